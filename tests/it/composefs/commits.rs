//! The digest of an image in the metadata of its commit.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::ours;
use crate::cli::{OURS, start};

/// Metadata of every kind stand in the order that libostree gives them, and the image is compared with its digest.
#[test]
fn the_digest_in_the_metadata() {
    let tmp = tempfile::tempdir().unwrap();
    let rootfs = tmp.path().join("rootfs");
    fs::create_dir_all(rootfs.join("usr/lib/modules/6.1")).unwrap();
    fs::write(rootfs.join("usr/lib/modules/6.1/vmlinuz"), "kernel").unwrap();
    symlink("usr/lib", rootfs.join("lib")).unwrap();
    ours(tmp.path(), &["--repo=repo", "init", "--mode=archive"]);
    let commit = |more: &[&str]| commit(tmp.path(), more);
    // As libostree 2026.4 named them, given the same arguments.
    assert_eq!(commit(&[]), "cae6bae8d2d70a323f72955556e74fb7470b6b837466c04aae2497f048d15986");
    let mut more = vec!["--bootable", "--add-metadata-string=version=1"];
    assert_eq!(commit(&more), "3208b0321e42334caa245d9ca72eb46095a97f3917a443219540504910f43ea2");
    more.extend(["a=1", "bcd=1", "q=1", "rr=1"].into_iter().flat_map(|pair| ["--add-metadata-string", pair]));
    assert_eq!(commit(&more), "9d058b4ad605246d71d2e0f58408d33d9be9100a2c9290d499ec45aa7480a7a4");

    ours(tmp.path(), &["--repo=repo", "checkout", "--composefs", "os", "right.cfs"]);
    let wrong = "--add-metadata=ostree.composefs.digest.v0=[byte 1, 2]";
    ours(tmp.path(), &["--repo=repo", "commit", "-b", "wrong", wrong, "--tree=ref=os"]);
    let bytes = vec!["7"; 32].join(", ");
    let other = format!("--add-metadata=ostree.composefs.digest.v0=[byte {bytes}]");
    ours(tmp.path(), &["--repo=repo", "commit", "-b", "other", &other, "--tree=ref=os"]);
    for (name, message) in [("wrong", "has the wrong size"), ("other", "doesn't match expected digest")] {
        let out = start(OURS, tmp.path(), &["--repo=repo", "checkout", "--composefs", name, "no.cfs"]);
        assert_eq!(out.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&out.stderr).contains(message));
        assert!(!tmp.path().join("no.cfs").exists());
        ours(tmp.path(), &["--repo=repo", "checkout", "--composefs-noverity", name, "no.cfs"]);
        fs::remove_file(tmp.path().join("no.cfs")).unwrap();
    }
    let out = start(OURS, tmp.path(), &["--repo=repo", "checkout", "--composefs", "-H", "os", "no.cfs"]);
    assert!(String::from_utf8_lossy(&out.stderr).contains("incompatible with --composefs"));
}

/// Where objects have to be verified by the kernel, neither they nor an image are written without that. That it does, the
/// virtual machine of tests/boot shows: the kernel here need not be able to.
#[test]
fn fsverity_that_is_required_is_no_wish() {
    let tmp = tempfile::tempdir().unwrap();
    fs::create_dir(tmp.path().join("rootfs")).unwrap();
    ours(tmp.path(), &["--repo=repo", "init", "--mode=bare-user"]);
    let commit = ["--repo=repo", "commit", "-b", "os", "--tree=dir=rootfs"];
    for (key, value, code) in [
        ("ex-integrity.fsverity", "maybe", 0),
        ("ex-integrity.fsverity", "yes", 1),
        ("ex-integrity.fsverity", "no", 0),
        ("ex-integrity.composefs", "yes", 0),
        ("ex-fsverity.required", "true", 1),
    ] {
        ours(tmp.path(), &["--repo=repo", "config", "set", key, value]);
        let out = start(OURS, tmp.path(), &commit);
        assert_eq!(out.status.code(), Some(code), "{key}={value}");
        assert_eq!(String::from_utf8_lossy(&out.stderr).contains("fsverity required"), code == 1);
        for option in ["--composefs", "--composefs-noverity"] {
            let image = tmp.path().join("image");
            fs::write(&image, "old").unwrap();
            let out = start(OURS, tmp.path(), &["--repo=repo", "checkout", option, "os", "image"]);
            assert_eq!(out.status.code(), Some(code), "{key}={value} {option}");
            assert_eq!(String::from_utf8_lossy(&out.stderr).contains("fsverity required"), code == 1);
            assert_eq!(fs::read(&image).unwrap() == b"old", code == 1, "{key}={value} {option}");
        }
    }
}

fn commit(dir: &Path, more: &[&str]) -> String {
    let args = [
        "--repo=repo",
        "commit",
        "-b",
        "os",
        "--parent=none",
        "--timestamp=@1",
        "--generate-composefs-metadata",
        "--canonical-permissions",
        "--no-xattrs",
        "--tree=dir=rootfs",
    ];
    ours(dir, &[&args[..], more].concat())
}
