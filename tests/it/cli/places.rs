//! The same names are in every repository, layout and sysroot: what the system refuses is told with the place. And what a
//! command leaves that is killed lies where the next one clears it away.

use std::fs;
use std::path::Path;

use super::{OURS, repository_tree};
use crate::oracle::{self, need, need_root};

/// What fails, in a copy of everything, and the place that the message has to name.
const FAULTS: &[(&str, &str, &str)] = &[
    (
        "renameat:error=EIO",
        "refs --repo=HERE/repo --create=a/b/c main",
        "HERE/repo/refs/heads/a/b/c: Input/output",
    ),
    ("getdents64:error=EIO", "refs --repo=HERE/repo", "HERE/repo/refs"),
    ("unlinkat:error=EIO", "refs --repo=HERE/repo --delete main", "HERE/repo/refs/heads/main: Input/output"),
    ("fsync:error=ENOSPC", "config --repo=HERE/repo set a.b c", "HERE/repo/config: No space"),
    ("write:error=EDQUOT:when=1", "config --repo=HERE/repo set a.b c", "HERE/repo/config: Disk quota"),
    ("fcntl:error=ENOLCK", "config --repo=HERE/repo set a.b c", "standard output: No locks"),
    ("linkat:error=EIO", "pull-local --repo=HERE/other HERE/repo", "HERE/other/tmp/staging-"),
    ("mkdirat:error=EIO:when=4", "pull-local --repo=HERE/other HERE/repo", "HERE/other/tmp"),
    (
        "fsync:error=EIO",
        "container build --repo=HERE/repo --ref=main --oci-dir=HERE/new",
        "HERE/new/oci-layout: ",
    ),
    (
        "renameat:error=EIO",
        "container build --repo=HERE/repo --ref=main --oci-archive=HERE/a",
        "HERE/a: Input/output",
    ),
    (
        "write:error=EIO:when=1",
        "container copy oci:HERE/image dir:HERE/new",
        "HERE/new/version: Input/output",
    ),
    ("write:error=EIO:when=2", "tar export --repo=HERE/repo main -o HERE/new", "Writing HERE/new: "),
    ("write:error=EIO:when=1", "export --repo=HERE/repo main -o HERE/new", "Writing HERE/new: "),
    ("fchmod:error=EIO", "checkout --repo=HERE/repo -U main HERE/new", "HERE/new"),
    ("linkat:error=EIO", "checkout --repo=HERE/repo -UH main HERE/new", "HERE/new/usr/bin/"),
];

fn fails(root: &Path, inject: &str, command: &str) -> Option<String> {
    let args: Vec<_> = command.split(' ').map(|word| word.replace("HERE", root.to_str().unwrap())).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let out = oracle::injected(&["-e", &format!("inject={inject}")], OURS, &args)?;
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{inject} {command}: {said}");
    Some(said)
}

#[test]
fn what_fails_is_told_with_its_place() {
    if !need("ostree") {
        return;
    }
    let tmp = repository_tree();
    let root = tmp.path().canonicalize().unwrap();
    let at = |path: &str| root.join(path).display().to_string();
    let repo = format!("--repo={}", at("repo"));
    oracle::run("ostree", &[&repo, "init", "--mode=bare-user"]);
    oracle::run("ostree", &[&repo, "commit", "-b", "main", &format!("--tree=dir={}", at("tree"))]);
    oracle::run("ostree", &[&format!("--repo={}", at("other")), "init", "--mode=archive"]);
    oracle::run(OURS, &["container", "build", "-q", &repo, "--ref=main", "--oci-dir", &at("image")]);
    for (inject, command, place) in FAULTS {
        let Some(said) = fails(&root, inject, command) else { return };
        assert!(said.contains(&place.replace("HERE", root.to_str().unwrap())), "{inject} {command}: {said}");
        let _ = fs::remove_dir_all(root.join("new")).or_else(|_| fs::remove_file(root.join("new")));
    }
    oracle::run("ostree", &[&repo, "fsck", "-q"]);
    let other = format!("--repo={}", at("other"));
    assert_eq!(oracle::run("ostree", &[&other, "refs"]), b"");
}

/// Only of what root alone may do is said that it takes root.
#[test]
fn a_disk_that_fails_does_not_take_root() {
    if !need("ostree") || !need_root() {
        return;
    }
    let tmp = repository_tree();
    let root = tmp.path().canonicalize().unwrap();
    let repo = format!("--repo={}", root.join("repo").display());
    oracle::run("ostree", &[&repo, "init", "--mode=bare"]);
    let commit = "commit --repo=HERE/repo -b main --tree=dir=HERE/tree";
    for (error, takes_root) in [("EPERM", true), ("EIO", false)] {
        let Some(said) = fails(&root, &format!("fchown:error={error}"), commit) else { return };
        assert_eq!(said.contains("takes root"), takes_root, "{said}");
    }
}

fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.starts_with(".lock")).collect();
    names.sort();
    names
}

/// Files that are not whole have no name, or one in the directory of the repository for them.
#[test]
fn killed_commands_leave_nothing_outside_of_tmp() {
    let tmp = repository_tree();
    let at = |path: &str| tmp.path().join(path).display().to_string();
    let repo = format!("--repo={}", at("repo"));
    oracle::run(OURS, &["init", &repo, "--mode=bare-user"]);
    oracle::run(OURS, &["commit", &repo, "-b", "main", &format!("--tree=dir={}", at("tree"))]);
    let whole = names(&tmp.path().join("repo"));
    let (tar, new) = (at("new.tar"), format!("--repo={}", at("new")));
    for (call, args) in [
        ("renameat", &["config", &repo, "set", "a.b", "c"][..]),
        ("renameat", &["init", &new, "--mode=archive"]),
        ("write", &["export", &repo, "main", "-o", &tar]),
        ("write", &["tar", "export", &repo, "main", "-o", &tar]),
    ] {
        let before = names(tmp.path());
        let inject = format!("inject={call}:signal=KILL:when=1");
        let Some(out) = oracle::injected(&["-e", &inject], OURS, args) else { return };
        assert!(!out.status.success(), "{args:?}");
        assert_eq!(names(&tmp.path().join("repo")), whole, "{args:?}");
        match args[0] {
            "init" => {
                oracle::run(OURS, args);
                assert_eq!(names(&tmp.path().join("new")), whole);
            }
            _ => assert_eq!(names(tmp.path()), before, "{args:?}"),
        }
    }
}
