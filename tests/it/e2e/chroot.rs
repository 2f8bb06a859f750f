//! One static program that needs nothing else on the machine: the main job in a root directory that holds
//! the program, a tree and a key.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use ostree_rs::base::write_xattrs_at;
use ostree_rs::format::Xattrs;

use super::{OURS, REF, Work, ready, same};
use crate::oracle;
use crate::tree::fixture::{Detail, describe};

#[test]
fn no_dynamic_dependencies() {
    if !ready(&["readelf"]) {
        return;
    }
    let text = |option: &str| String::from_utf8(oracle::run("readelf", &[option, "-W", OURS])).unwrap();
    assert!(!text("--program-headers").contains("INTERP"));
    assert!(!text("--dynamic").contains("NEEDED"));
}

#[test]
fn the_main_job_in_an_empty_root() {
    if !ready(&["chroot", "gpg"]) {
        return;
    }
    let work = Work::on_disk();
    work.key("signer");
    let root = work.path("root");
    fs::create_dir(&root).unwrap();
    oracle::install(Path::new(OURS), &root.join("ostree-rs"));
    fs::rename(work.path("tree"), root.join("tree")).unwrap();
    // Without /proc, attributes of symbolic links are not easily reached.
    let link = Xattrs::from_pairs([(&b"trusted.link"[..], &b"value"[..])]);
    symlink("nowhere", root.join("tree/link")).unwrap();
    write_xattrs_at(fs::File::open(root.join("tree")).unwrap(), "link", &link).unwrap();
    for name in ["signer.gpg", "signer.secret"] {
        fs::rename(work.path(name), root.join(name)).unwrap();
    }
    let inside = |args: &[&str]| {
        let out = Command::new("chroot")
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .arg(&root)
            .arg("/ostree-rs")
            .args(args)
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{args:?}: {}\n{message}", out.status);
        String::from_utf8(out.stdout).unwrap().trim_end().to_owned()
    };
    for repo in ["--repo=/one", "--repo=/two"] {
        inside(&["init", repo, "--mode=bare"]);
    }
    let key = ["--gpg-sign=signer", "--gpg-homedir=/signer.secret"];
    let tree = ["commit", "--repo=/one", "-b", REF, "--bootable", "--tree=dir=/tree"];
    let commit = inside(&[&tree[..], &key].concat());
    inside(&["container", "build", "--repo=/one", "--ref", REF, "--oci-dir=/image", "--tag=v1"]);
    let pull =
        ["container", "pull", "--repo=/two", "--ref", REF, "--gpg-keyring=/signer.gpg", "oci:/image:v1"];
    assert_eq!(inside(&pull), commit);
    inside(&["fsck", "--repo=/two"]);
    inside(&["checkout", "--repo=/two", "-H", REF, "/checkout"]);
    let [tree, checkout] = ["tree", "checkout"].map(|name| describe(&root.join(name), Detail::Plain));
    same(&checkout, &tree, "the tree");
    assert!(tree.iter().any(|line| line.contains(&format!("{link:?}"))));
    // The same in a repository that keeps attributes elsewhere, checked out as copies.
    inside(&["init", "--repo=/user", "--mode=bare-user"]);
    inside(&["pull-local", "--repo=/user", "/one", REF]);
    inside(&["checkout", "--repo=/user", REF, "/copies"]);
    same(&describe(&root.join("copies"), Detail::Plain), &tree, "copies of the tree");
}
