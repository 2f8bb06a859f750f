//! The composefs image of a deployment: always there, and the one of the commit. What the kernel makes of it is
//! seen by `prepare_root`, and by the virtual machine of `tests/boot`.

use std::fs;

use super::Place;
use crate::cli::OURS;
use crate::oracle::{need, need_root};

impl Place {
    /// A commit whose prepare-root.conf has this line, and the arguments for it, in a new sysroot.
    pub(super) fn wanting(&self, enabled: &str, more: &[&str]) {
        fs::create_dir_all(self.at("tree/usr/lib/ostree")).unwrap();
        self.write("tree/usr/lib/ostree/prepare-root.conf", &format!("[composefs]\nenabled={enabled}\n"));
        let commit = ["--repo=build", "commit", "-b", "os", "--tree=dir=tree", "--canonical-permissions"];
        self.ours(&[&commit, more].concat());
        self.sysroot("root");
    }
}

const DEPLOY: &[&str] = &["admin", "deploy", "--sysroot=root", "--os=os", "os"];

#[test]
fn the_image_is_that_of_the_commit() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    place.wanting("yes", &[]);
    place.ours(DEPLOY);
    place.ours(&["--repo=build", "checkout", "--composefs-noverity", "os", "image"]);
    let image = place.deployment("root").join(".ostree.cfs");
    assert_eq!(fs::read(image).unwrap(), fs::read(place.at("image")).unwrap());
    // C ostree finds nothing odd in such a deployment, and ours is not odd to the next one.
    place.c(&["admin", "deploy", "--sysroot=root", "--os=os", "os"]);
    place.ours(DEPLOY);
}

/// The kernel's command line may ask for it where the tree does not.
#[test]
fn the_image_is_there_without_being_wanted() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    place.wanting("no", &[]);
    place.ours(DEPLOY);
    place.ours(&["--repo=build", "checkout", "--composefs-noverity", "os", "image"]);
    let image = place.deployment("root").join(".ostree.cfs");
    assert_eq!(fs::read(image).unwrap(), fs::read(place.at("image")).unwrap());
}

#[test]
fn another_image_than_the_commit_says_is_refused() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    let wrong = format!("--add-metadata=ostree.composefs.digest.v0=[{}]", ["byte 0x07"; 32].join(", "));
    place.wanting("signed", &[&wrong]);
    let out = place.run(OURS, DEPLOY);
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(!out.status.success() && said.contains("Generated composefs image digest"), "{said}");
    assert!(!place.ours(&["admin", "status", "--sysroot=root"]).contains("os "), "it has no boot entry");
}

/// The name of the unfinished image may be one in the tree: a hard link to an object.
#[test]
fn the_image_is_not_written_into_an_object() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    place.write("tree/.ostree.cfs.new", "of the tree\n");
    place.wanting("yes", &[]);
    place.ours(DEPLOY);
    assert!(place.deployment("root").join(".ostree.cfs").exists());
    place.c(&["--repo=root/ostree/repo", "fsck", "-q"]);
}
