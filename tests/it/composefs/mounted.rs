//! What the kernel shows of an image, with the objects of a repository below it.

use std::process::Command;

use super::ours;
use crate::oracle::{need, run};
use crate::tree::fixture::{Detail, describe, hard_tree, ready};

/// Mounts an image and overlayfs on top of it, and copies what is to be seen; in a mount namespace of its own.
const COPY: &str = "
    mkdir image view
    mount -t erofs -o ro,loop root.cfs image
    mount -t overlay -o ro,metacopy=on,redirect_dir=on,lowerdir=image::repo/objects overlay view
    mkdir copy
    cp -a view/. copy
";

/// The tree of a commit with owners, modes, xattrs and links is to be seen as it was.
#[test]
fn the_kernel_shows_the_commit() {
    if !ready() || !need("unshare") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let mount = |script: &str| {
        Command::new("unshare").args(["--mount", "sh", "-ec", script]).current_dir(&tmp).output().unwrap()
    };
    if !mount("mkdir -p probe; mount -t tmpfs none probe").status.success() {
        eprintln!("skipped: nothing may be mounted here");
        return;
    }
    hard_tree(&tmp.path().join("rootfs"));
    ours(tmp.path(), &["--repo=repo", "init", "--mode=bare"]);
    ours(tmp.path(), &["--repo=repo", "commit", "-b", "os", "--fsync=false", "rootfs"]);
    ours(tmp.path(), &["--repo=repo", "checkout", "--composefs", "os", "root.cfs"]);
    let out = mount(COPY);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for dir in ["boot", "etc", "sysroot", "var"] {
        // What a root file system needs was added.
        run("rmdir", &[tmp.path().join("copy").join(dir).to_str().unwrap()]);
    }
    let (seen, committed) = (tmp.path().join("copy"), tmp.path().join("rootfs"));
    assert_eq!(describe(&seen, Detail::Plain), describe(&committed, Detail::Plain));
}
