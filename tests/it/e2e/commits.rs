//! Commits and checkouts of a root file system, by both programs, from both programs' repositories.

use std::fs;

use super::{OURS, REF, THEIRS, Work, ready, same};
use crate::tree::fixture::{Detail, describe};

const TIME: &str = "--timestamp=2024-01-02 03:04:05 +0000";

/// Options that change every kind of thing in a commit.
const ALL: [&str; 10] = [
    TIME,
    "--subject=First",
    "--body=Of two\nlines",
    "--bootable",
    "--add-metadata-string=version=1.0",
    "--add-metadata=example.u64=uint64 7",
    "--add-metadata=example.list=['a', 'b']",
    "--bind-ref=os/other",
    "--statoverride=override",
    "--skip-list=skip",
];

/// Different sets of options, for the same repository.
const SETS: [&[&str]; 6] = [
    &ALL,
    &[TIME, "--keep-metadata=version", "--bootable", "--owner-uid=0"],
    &[TIME],
    &[TIME, "--owner-uid=1000", "--owner-gid=0"],
    &[TIME, "--no-xattrs", "--mode-ro-executables"],
    &[TIME, "--canonical-permissions", "--no-bindings", "--parent=none"],
];

fn commit(work: &Work, program: &str, repo: &str, options: &[&str]) -> String {
    let repo = format!("--repo={repo}");
    work.run(program, &[&["commit", &repo, "-b", REF], options, &["--tree=dir=tree"]].concat())
}

fn new() -> Work {
    let work = Work::new();
    fs::write(work.path("override"), "=384 /etc/passwd\n2048 /usr/lib\n1024 /etc/group\n").unwrap();
    fs::write(work.path("skip"), "/etc/shadow\n/etc/default\n").unwrap();
    work
}

/// Commits with both programs into repositories of one mode, and compares everything that comes of it.
fn compare(mode: &str, options: &[&str], checkouts: &[&[&str]]) {
    if !ready(&[THEIRS]) {
        return;
    }
    let work = new();
    for (program, repo) in [(OURS, "ours"), (THEIRS, "theirs")] {
        work.init(program, repo, mode);
    }
    let theirs = commit(&work, THEIRS, "theirs", options);
    assert_eq!(commit(&work, OURS, "ours", options), theirs, "{mode}");
    work.run(THEIRS, &["fsck", "--repo=ours", "-q"]);
    work.run(OURS, &["fsck", "--repo=theirs", "-q"]);
    let list = |program: &str, repo: &str| {
        work.run(program, &["ls", &format!("--repo={repo}"), "-R", "-C", "-X", REF])
    };
    let expected = list(THEIRS, "theirs");
    for (program, repo) in [(OURS, "ours"), (OURS, "theirs"), (THEIRS, "ours")] {
        assert!(list(program, repo) == expected, "{mode}: ls differs");
    }
    for options in checkouts {
        let expected = work.checkout(THEIRS, "theirs", options);
        for (program, repo) in [(OURS, "theirs"), (THEIRS, "ours"), (OURS, "ours")] {
            let checkout = work.checkout(program, repo, options);
            same(&checkout, &expected, &format!("{mode}, {options:?}, {program} from {repo}"));
        }
    }
}

#[test]
fn bare() {
    compare("bare", &ALL, &[&["-H"], &["-C"], &["-U"]]);
}

#[test]
fn bare_user() {
    compare("bare-user", &ALL, &[&["-U", "-H"], &[]]);
}

#[test]
fn bare_user_only() {
    let canonical = [&ALL[..], &["--canonical-permissions", "--no-xattrs"]].concat();
    // Modes that such a repository cannot hold.
    let options: Vec<_> = canonical.into_iter().filter(|o| !o.starts_with("--statoverride")).collect();
    compare("bare-user-only", &options, &[&["-U", "-H"], &["-C"]]);
}

#[test]
fn archive() {
    compare("archive", &ALL, &[&[], &["-U", "--disable-cache"]]);
}

/// C ostree reads this mode, but writes it only as an experiment.
#[test]
fn bare_split_xattrs() {
    if !ready(&[THEIRS]) {
        return;
    }
    let work = new();
    work.init(OURS, "split", "bare-split-xattrs");
    work.init(THEIRS, "theirs", "bare");
    assert_eq!(commit(&work, OURS, "split", &ALL), commit(&work, THEIRS, "theirs", &ALL));
    work.run(THEIRS, &["fsck", "--repo=split", "-q"]);
    let list = |repo: &str| work.run(THEIRS, &["ls", &format!("--repo={repo}"), "-R", "-C", "-X", REF]);
    assert!(list("split") == list("theirs"));
    let expected = work.checkout(THEIRS, "theirs", &["-C"]);
    same(&work.checkout(OURS, "split", &["-C"]), &expected, "from split xattrs");
}

/// One commit after the other, each the parent of the next.
#[test]
fn every_set_of_options() {
    if !ready(&[THEIRS]) {
        return;
    }
    let work = new();
    for (program, repo) in [(OURS, "ours"), (THEIRS, "theirs")] {
        work.init(program, repo, "bare");
    }
    for options in SETS {
        let theirs = commit(&work, THEIRS, "theirs", options);
        assert_eq!(commit(&work, OURS, "ours", options), theirs, "{options:?}");
        if options.len() == 1 {
            // Nothing is changed: the checkout is the tree.
            work.run(OURS, &["checkout", "--repo=ours", "-H", REF, "checkout"]);
            let tree = describe(&work.path("tree"), Detail::Plain);
            same(&describe(&work.path("checkout"), Detail::Plain), &tree, "the tree");
        }
    }
    work.run(THEIRS, &["fsck", "--repo=ours", "-q"]);
    work.run(OURS, &["fsck", "--repo=theirs", "-q"]);
}
