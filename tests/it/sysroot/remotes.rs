//! Remotes of a sysroot: in the repository's config, or in files of the deployment.

use std::fs;
use std::os::unix::fs::symlink;

use super::Place;
use crate::cli::OURS;
use crate::oracle::{need, need_root};

#[test]
fn remotes_are_configured_where_c_ostree_has_them() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    place.sysroot("root");
    place.ours(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    let deployment = place.at("root").join(place.deployment("root"));
    // As it is mounted when it runs.
    fs::remove_dir(deployment.join("sysroot")).unwrap();
    symlink(place.at("root"), deployment.join("sysroot")).unwrap();
    let running = format!("--sysroot={}", deployment.display());
    let file = |name: &str| fs::read_to_string(deployment.join(format!("etc/ostree/remotes.d/{name}.conf")));
    let config = || fs::read_to_string(place.at("root/ostree/repo/config")).unwrap();
    let url = "http://example.org/repo";
    let add = |program: &str, sysroot: &str, name: &str| {
        place.succeeds(program, &["remote", "add", sysroot, "--set=gpg-verify=false", name, url]);
    };
    add("ostree", "--sysroot=root", "theirs-on-disk");
    add(OURS, "--sysroot=root", "ours-on-disk");
    add("ostree", &running, "theirs-running");
    add(OURS, &running, "ours-running");
    for name in ["theirs-on-disk", "ours-on-disk"] {
        assert!(config().contains(name) && file(name).is_err(), "{name}");
    }
    let same = file("theirs-running").unwrap().replace("theirs", "ours");
    assert_eq!(file("ours-running").unwrap(), same);
    assert!(!config().contains("running"));
    // Each deletes what the other has made.
    place.ours(&["remote", "delete", &running, "theirs-running"]);
    place.c(&["remote", "delete", &running, "ours-running"]);
    assert!(file("theirs-running").is_err() && file("ours-running").is_err());
    place.c(&["--repo=root/ostree/repo", "config", "set", "core.add-remotes-config-dir", "false"]);
    add(OURS, &running, "in-config");
    assert!(config().contains("in-config") && file("in-config").is_err());
}

#[test]
fn the_repository_of_the_sysroot_is_the_one_that_is_meant() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    place.sysroot("root");
    let mut command = std::process::Command::new(OURS);
    command.arg("refs").current_dir(place.tmp.path()).env_remove("OSTREE_REPO").env("OSTREE_SYSROOT", "root");
    let out = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "os\n", "{}", String::from_utf8_lossy(&out.stderr));
}
