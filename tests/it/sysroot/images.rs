//! Images in sysroots: deployed, upgraded, changed over to; beside C ostree, which lists what came out.

use std::fs;
use std::path::PathBuf;

use super::Place;
use super::deploy::assert_bootable;
use crate::cli::OURS;
use crate::oracle::{need, need_root};

impl Place {
    /// An image of a new version, which lies in `oci` under this tag.
    fn image(&self, version: &str, tag: &str) {
        self.write("tree/usr/bin/tool", version);
        let version = format!("--add-metadata-string=version={version}");
        let commit = ["--repo=build", "commit", "-b", "os", "--tree=dir=tree", "--canonical-permissions"];
        self.c(&[&commit[..], &["--bootable", &version]].concat());
        self.tag(tag);
    }

    /// An image of the newest version under this tag.
    fn tag(&self, tag: &str) {
        let tag = format!("--tag={tag}");
        self.ours(&["container", "build", "--repo=build", "--ref=os", "--oci-dir=oci", &tag]);
    }

    /// The origin of the deployment that is booted next, and its directory.
    fn newest(&self, sysroot: &str) -> (String, PathBuf) {
        let dir = self.c(&["admin", "--print-current-dir", &format!("--sysroot={sysroot}")]);
        let dir = PathBuf::from(dir.trim_end());
        let origin = format!("{}.origin", dir.display());
        (fs::read_to_string(origin).unwrap(), dir)
    }

    fn deployments(&self, sysroot: &str) -> usize {
        let status = self.c(&["admin", "status", &format!("--sysroot={sysroot}")]);
        status.lines().filter(|line| line.trim_start_matches(['*', ' ']).starts_with("os ")).count()
    }
}

#[test]
fn images_are_deployed_upgraded_and_changed_over_to() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    fs::create_dir(place.at("root")).unwrap();
    place.c(&["admin", "init-fs", "root"]);
    place.c(&["admin", "os-init", "os", "--sysroot=root"]);
    place.image("1", "1");
    place.tag("latest");
    let deploy =
        ["container", "image", "deploy", "--sysroot=root", "--stateroot=os", "--karg=quiet", "--karg=a=b"];
    let (source, target) = ("ostree-unverified-image:oci:oci:1", "ostree-unverified-image:oci:oci:latest");
    let names = ["--imgref", source, "--target-imgref", target, "--write-commitid-to=commit"];
    place.ours(&[&deploy[..], &names].concat());
    let (origin, dir) = place.newest("root");
    assert_eq!(origin, format!("[origin]\ncontainer-image-reference={target}\n"));
    let commit = fs::read_to_string(place.at("commit")).unwrap();
    assert!(dir.ends_with(format!("{commit}.0")), "{commit} {dir:?}");
    assert_eq!(fs::read_to_string(dir.join("usr/bin/tool")).unwrap(), "1");
    assert_bootable(&place.at("root"));
    fs::write(dir.join("etc/file"), "changed\n").unwrap();

    let upgrade = ["container", "image", "upgrade", "--sysroot=root"];
    let check = |options: &[&str]| {
        let out = place.run(OURS, &[&upgrade[..], &["--check"], options].concat());
        (out.status.code(), String::from_utf8(out.stdout).unwrap())
    };
    assert_eq!(check(&[]), (Some(77), "No update available.\n".to_owned()));
    assert_eq!(place.ours(&upgrade), "No update available.\n");
    place.image("2", "latest");
    let (code, text) = check(&[]);
    assert!(code == Some(0) && text.contains("(version 2)") && text.contains("To fetch: "), "{text}");
    let (code, text) = check(&["--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, Some(0));
    assert_eq!((&json["changed"], &json["version"]), (&true.into(), &"2".into()), "{json}");
    assert_eq!(json["from_version"], "1", "{json}");
    assert_eq!(place.deployments("root"), 1);

    place.ours(&[&upgrade[..], &["--pull-only"]].concat());
    assert_eq!(place.deployments("root"), 1);
    place.ours(&upgrade);
    let (origin, dir) = place.newest("root");
    assert_eq!(origin, format!("[origin]\ncontainer-image-reference={target}\n"));
    assert_eq!(fs::read_to_string(dir.join("usr/bin/tool")).unwrap(), "2");
    assert_eq!(fs::read_to_string(dir.join("etc/file")).unwrap(), "changed\n");
    assert_eq!(place.deployments("root"), 2);
    assert_bootable(&place.at("root"));
    let entries = fs::read_dir(place.at("root/boot/loader/entries")).unwrap();
    for entry in entries {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(text.contains("options quiet a=b ostree="), "{text}");
    }

    place.image("3", "other");
    let other = "ostree-unverified-image:oci:oci:other";
    place.ours(&["container", "image", "switch", "--sysroot=root", other]);
    let (origin, dir) = place.newest("root");
    assert_eq!(origin, format!("[origin]\ncontainer-image-reference={other}\n"));
    assert_eq!(fs::read_to_string(dir.join("usr/bin/tool")).unwrap(), "3");
    // The same by the verbs of C ostree, which know images here.
    let admin =
        |words: &[&str]| place.run(OURS, &[&["admin"], words, &["--sysroot=root", "--os=os"]].concat());
    assert_eq!(admin(&["upgrade", "--check"]).status.code(), Some(77));
    place.image("4", "other");
    assert!(admin(&["upgrade", "--pull-only"]).status.success());
    assert!(admin(&["upgrade", "--deploy-only"]).status.success());
    let (origin, dir) = place.newest("root");
    assert_eq!(origin, format!("[origin]\ncontainer-image-reference={other}\n"));
    assert_eq!(fs::read_to_string(dir.join("usr/bin/tool")).unwrap(), "4");
    assert!(admin(&["switch", target]).status.success());
    assert_eq!(place.newest("root").0, format!("[origin]\ncontainer-image-reference={target}\n"));
    // What C ostree leaves of it is whole.
    place.c(&["admin", "cleanup", "--sysroot=root"]);
    place.c(&["fsck", "-q", "--repo=root/ostree/repo"]);
    assert_bootable(&place.at("root"));
}

#[test]
fn what_does_not_boot_is_not_deployed() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    fs::create_dir(place.at("root")).unwrap();
    place.c(&["admin", "init-fs", "root"]);
    place.c(&["admin", "os-init", "default", "--sysroot=root"]);
    place.ours(&["container", "build", "--repo=build", "--ref=os", "--oci-dir=oci", "--tag=x"]);
    let deploy = ["container", "image", "deploy", "--sysroot=root", "--image=oci:x", "--transport=oci"];
    let out = place.run(OURS, &deploy);
    let text = String::from_utf8(out.stderr).unwrap();
    assert!(!out.status.success() && text.contains("does not have ostree.bootable label"), "{text}");
    let repo = ["--repo=root/ostree/repo", "refs"];
    assert_eq!(place.c(&repo), "", "nothing was pulled");
}
