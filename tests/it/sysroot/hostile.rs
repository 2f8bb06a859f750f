//! What a tree, or what somebody left in a sysroot, must not bring about.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use ostree_rs::base::{Ctx, WithCauses};
use ostree_rs::cap_std::ambient_authority;
use ostree_rs::cap_std::fs::Dir;
use ostree_rs::store::resolve_rev;
use ostree_rs::sysroot::{DeployOptions, Surroundings, Sysroot};

use super::Place;
use super::deploy::assert_bootable;
use crate::cli::OURS;
use crate::oracle::{need, need_root};

const DEPLOY: &[&str] = &["admin", "deploy", "--sysroot=root", "--os=os", "os"];

fn deployed() -> Option<Place> {
    if !need("ostree") || !need_root() {
        return None;
    }
    let place = Place::new();
    place.sysroot("root");
    place.ours(DEPLOY);
    Some(place)
}

/// Mounts `precious` in the directory `$1` of a deployment that is to be deleted, and lets our program, `$0`, try.
const MOUNTED: &str = "mkdir -p precious $1/home; echo content >precious/file; mount --bind precious $1/home\n\
    if \"$0\" admin cleanup --sysroot=root 2>said; then echo it was deleted; exit 1; fi\n\
    cat precious/file said; umount $1/home; \"$0\" admin cleanup --sysroot=root; test ! -e $1";

#[test]
fn what_is_mounted_in_an_old_deployment_is_not_deleted() {
    let Some(place) = deployed() else { return };
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: nothing can be mounted here");
        return;
    }
    let old = format!("root/ostree/deploy/os/deploy/{}.0", "a".repeat(64));
    let said = place.succeeds("unshare", &["-m", "sh", "-ec", MOUNTED, OURS, &old]);
    assert!(said.starts_with("content\n") && said.contains(&old[5..]), "{said}");
    assert_bootable(&place.at("root"));
}

#[test]
fn a_tree_whose_etc_leads_elsewhere_changes_nothing_there() {
    let Some(place) = deployed() else { return };
    fs::write(place.deployment("root").join("etc/file"), "changed\n").unwrap();
    fs::create_dir(place.at("elsewhere")).unwrap();
    fs::remove_dir_all(place.at("tree/usr/etc")).unwrap();
    symlink(place.at("elsewhere"), place.at("tree/etc")).unwrap();
    place.new_version("2", &["root"]);
    let said = place.fails(DEPLOY);
    assert!(said.contains("a path led outside"), "{said}");
    assert_eq!(fs::read_dir(place.at("elsewhere")).unwrap().count(), 0);
    assert_bootable(&place.at("root"));
}

#[test]
fn after_the_last_number_there_is_no_first_one() {
    let Some(place) = deployed() else { return };
    let dir = Dir::open_ambient_dir(place.at("root"), ambient_authority()).unwrap();
    let sysroot = Sysroot::open(dir, Surroundings::default()).unwrap();
    let commit = resolve_rev(sysroot.repo(), &"os".parse().unwrap()).unwrap();
    let booted = place.deployment("root");
    fs::create_dir(booted.with_file_name(format!("{commit}.{}", u32::MAX))).unwrap();
    let options = DeployOptions::new("os".parse().unwrap(), commit);
    let refused = sysroot.deploy(&options, &Ctx::default()).unwrap_err();
    let refused = WithCauses(&refused).to_string();
    assert!(refused.contains(&u32::MAX.to_string()), "{refused}");
    assert!(booted.join("etc/file").exists(), "the deployment 0 was deleted");
}

/// A disk whose file system of `/boot` is not mounted is one without boot entries.
#[test]
fn deployments_are_not_deleted_where_boot_is_not_mounted() {
    let Some(place) = deployed() else { return };
    let deployment = place.deployment("root");
    fs::rename(place.at("root/boot"), place.at("mounted")).unwrap();
    for empty in [false, true] {
        if empty {
            fs::create_dir(place.at("root/boot")).unwrap();
        }
        for args in [&["admin", "cleanup", "--sysroot=root"][..], DEPLOY] {
            let said = place.fails(args);
            assert!(said.contains("mount its file system there"), "{said}");
        }
    }
    assert!(deployment.join("etc/file").exists());
    fs::remove_dir(place.at("root/boot")).unwrap();
    fs::rename(place.at("mounted"), place.at("root/boot")).unwrap();
    place.ours(&["admin", "cleanup", "--sysroot=root"]);
    assert_bootable(&place.at("root"));

    // Who has lost all boot entries says so, and begins anew.
    fs::remove_dir_all(place.at("root/boot")).unwrap();
    fs::create_dir_all(place.at("root/boot/ostree")).unwrap();
    place.ours(DEPLOY);
    assert_bootable(&place.at("root"));
}

/// A first deployment that broke off before its boot entry counted is no deployment.
#[test]
fn what_a_first_deployment_left_is_deleted() {
    let Some(place) = deployed() else { return };
    fs::remove_file(place.at("root/boot/loader")).unwrap();
    place.ours(&["admin", "cleanup", "--sysroot=root"]);
    assert_eq!(fs::read_dir(place.at("root/ostree/deploy/os/deploy")).unwrap().count(), 0);
    place.ours(DEPLOY);
    assert_bootable(&place.at("root"));
}

/// What cannot be booted is no deployment: a file in the place of its directory, or a link that leads elsewhere.
#[test]
fn a_boot_entry_has_to_lead_to_a_directory() {
    let Some(place) = deployed() else { return };
    let deployment = place.deployment("root");
    let moved = deployment.with_extension("moved");
    fs::rename(&deployment, &moved).unwrap();
    fs::write(&deployment, "").unwrap();
    let status = ["admin", "status", "--sysroot=root"];
    let refused = |why: &str| {
        assert!(!place.run("ostree", &status).status.success());
        for args in [&status[..], &["admin", "cleanup", "--sysroot=root"], DEPLOY] {
            let said = place.fails(args);
            let there = format!("opendir {}/", place.at("root/ostree").display());
            assert!(said.contains(&there) && said.contains(why), "{said}");
        }
    };
    refused("Not a directory");
    fs::remove_file(&deployment).unwrap();
    fs::rename(&moved, &deployment).unwrap();
    let entry = fs::read_dir(place.at("root/boot/loader/entries")).unwrap().next().unwrap().unwrap();
    let entry = fs::read_to_string(entry.path()).unwrap();
    let link = entry.split_whitespace().find_map(|word| word.strip_prefix("ostree=")).unwrap();
    let link = place.at(&format!("root{link}"));
    fs::remove_file(&link).unwrap();
    let name = deployment.file_name().unwrap().display().to_string();
    symlink(format!("../../../deploy/other/deploy/{name}"), &link).unwrap();
    refused("No such file");
}
