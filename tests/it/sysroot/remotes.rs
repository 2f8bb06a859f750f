//! Remotes of a sysroot: in the repository's config, or in files of the deployment.

use std::fs;
use std::os::unix::fs::symlink;

use super::Place;
use crate::cli::OURS;
use crate::oracle::{need, need_root};
use crate::sign::Openssl;

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

/// `admin status --verify` shows the signatures that a remote asks for, and fails where one asks for none.
#[test]
fn signatures_of_deployments_are_demanded() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    let (id, key) = ("os@example.org", Openssl::ed25519());
    place.ours(&["gpg-new-key", "--secret=secret.asc", "--public=key.asc", &format!("Example OS <{id}>")]);
    place.ours(&["gpg-sign", "--repo=build", "--gpg-homedir=secret.asc", "os", id]);
    place.ours(&["sign", "--repo=build", "os", &key.secret()]);
    place.sysroot("root");
    let (repo, status) = ("--repo=root/ostree/repo", ["admin", "status", "--sysroot=root", "--verify"]);
    let url = format!("file://{}", place.at("build").display());
    place.c(&[repo, "remote", "add", "--gpg-import=key.asc", "asks", &url]);
    place.c(&[repo, "remote", "add", "--no-gpg-verify", "other", &url]);
    let deploy = |remote: &str| {
        place.c(&[repo, "pull", remote, "os"]);
        place.c(&["admin", "deploy", "--sysroot=root", "--os=os", &format!("{remote}:os")]);
    };
    let same = || {
        let (ours, theirs) = (place.run(OURS, &status), place.run("ostree", &status));
        assert_eq!(String::from_utf8_lossy(&ours.stdout), String::from_utf8_lossy(&theirs.stdout));
        assert_eq!(ours.status.code(), theirs.status.code());
        ours
    };
    deploy("asks");
    assert!(String::from_utf8_lossy(&same().stdout).contains("\nGPG: Good signature"));
    deploy("other");
    let said = String::from_utf8(same().stderr).unwrap();
    assert!(said.contains("remote other, which asks for no signature"), "{said}");

    // C ostree as Debian has it knows no such keys. The line is the one of `sign --verify`.
    let trust = |key: &Openssl| {
        place.c(&[repo, "config", "set", "remote \"other\".verification-ed25519-key", &key.public()]);
    };
    place.c(&[repo, "config", "set", "remote \"other\".sign-verify", "ed25519"]);
    trust(&key);
    let good = place.ours(&["sign", "--repo=build", "--verify", "os", &key.public()]);
    assert!(place.ours(&status).contains(&format!("\n{good}")), "{good}");
    trust(&Openssl::ed25519());
    assert!(place.fails(&status).contains("Can't verify commit"));
}
