//! The program beside C ostree on the same repository: same output, same exit code.

mod collections;
mod dates;
mod denied;
mod images;
mod lan;
mod messages;
mod own;
mod parity;
mod peers;
mod places;
mod push;
mod push_ssh;
mod read;
mod remotes;
mod shells;
mod sign;
mod threads;
mod trust;
mod write;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Our program.
pub(crate) const OURS: &str = env!("CARGO_BIN_EXE_ostree-rs");

pub(super) fn start(program: &str, dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).env("TZ", "UTC").env("LC_ALL", "C.UTF-8").env_remove("OSTREE_REPO");
    command.output().unwrap_or_else(|e| panic!("{program}: {e}"))
}

/// Runs both programs and compares standard output and exit code.
pub(super) fn same(dir: &Path, args: &[&str]) {
    let (theirs, ours) = (start("ostree", dir, args), start(OURS, dir, args));
    // Older versions of C ostree list refs in no order.
    let sort = args.contains(&"refs");
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        if sort {
            lines.sort_unstable();
        }
        lines.concat()
    };
    assert_eq!(text(&ours.stdout), text(&theirs.stdout), "{args:?}: {}", text(&ours.stderr));
    assert_eq!(ours.status.code(), theirs.status.code(), "{args:?}: {}", text(&ours.stderr));
}

/// A directory with a small tree.
pub(super) fn repository_tree() -> TempDir {
    let tmp = tempfile::tempdir().unwrap();
    let at = |path: &str| tmp.path().join(path);
    fs::create_dir_all(at("tree/usr/bin")).unwrap();
    fs::create_dir_all(at("tree/usr/ä ö/empty")).unwrap();
    fs::write(at("tree/usr/bin/tool"), b"#!/bin/sh\nexit 0\n").unwrap();
    fs::write(at("tree/usr/empty"), b"").unwrap();
    symlink("bin/tool", at("tree/usr/link")).unwrap();
    symlink("/usr/bin/tool", at("tree/usr/absolute")).unwrap();
    tmp
}

/// A directory with a repository `repo` of two commits on `main`, written by C ostree.
pub(super) fn repository(mode: &str) -> TempDir {
    let tmp = repository_tree();
    let at = |path: &str| tmp.path().join(path);
    let c = |args: &[&str]| {
        let out = start("ostree", tmp.path(), args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    c(&["--repo=repo", "init", &format!("--mode={mode}")]);
    c(&[
        "--repo=repo",
        "commit",
        "-b",
        "main",
        "-s",
        "First",
        "-m",
        "Body\n\nof two paragraphs",
        "--timestamp=2024-01-02 03:04:05 +0000",
        "--add-metadata-string=version=1.0",
        "--add-metadata=n=uint64 7",
        "--tree=dir=tree",
    ]);
    fs::write(at("tree/usr/new"), b"new\n").unwrap();
    c(&["--repo=repo", "commit", "-b", "main", "--timestamp=2024-02-03 04:05:06 +0000", "--tree=dir=tree"]);
    c(&["--repo=repo", "refs", "--create=a/b/c", "main^"]);
    c(&["--repo=repo", "refs", "--create=origin:main", "main"]);
    c(&["--repo=repo", "refs", "-A", "--create=alias", "main"]);
    tmp
}
