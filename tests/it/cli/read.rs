//! Verbs that only read.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{OURS, repository, same, start};
use crate::oracle::need;

const MODES: [&str; 3] = ["bare-user", "bare-user-only", "archive"];

#[test]
fn what_reads() {
    if !need("ostree") {
        return;
    }
    for mode in MODES {
        let tmp = repository(mode);
        let repo = |args: &[&str]| same(tmp.path(), &[&["--repo=repo"], args].concat());
        let lines: [&[&str]; 46] = [
            &["refs"],
            &["refs", "a"],
            &["refs", "a/b/c"],
            &["refs", "--list", "a"],
            &["refs", "origin:"],
            &["refs", "origin:."],
            &["refs", "-A"],
            &["refs", "nothing"],
            &["refs", "--delete"],
            &["rev-parse", "main"],
            &["rev-parse", "main^", "a/b/c", "origin:main"],
            &["rev-parse", "main^^"],
            &["rev-parse", "nothing"],
            &["rev-parse", "-S"],
            &["rev-parse"],
            &["log", "main"],
            &["log", "--raw", "main"],
            &["log"],
            &["show", "main"],
            &["show", "main^"],
            &["show", "--raw", "main^"],
            &["show", "-B", "main^"],
            &["show", "--print-metadata-key=version", "main^"],
            &["show", "--print-metadata-key=n", "main^"],
            &["show", "-B", "--print-metadata-key=n", "main^"],
            &["show", "--print-metadata-key=nothing", "main^"],
            &["show", "--print-detached-metadata-key=x", "main^"],
            &["ls", "main"],
            &["ls", "-R", "main"],
            &["ls", "-R", "-C", "main"],
            &["ls", "-R", "-C", "-X", "main"],
            &["ls", "-d", "main"],
            &["ls", "main", "/usr", "usr/link", "/usr/bin/tool"],
            &["ls", "-d", "main", "/usr/bin"],
            &["ls", "-R", "--nul-filenames-only", "main"],
            &["ls", "main", "/nothing"],
            &["ls", "main", "/usr/link/x"],
            &["cat", "main", "/usr/link", "usr/bin/tool", "/usr/absolute"],
            &["cat", "main", "/usr"],
            &["config", "get", "core.mode"],
            &["config", "get", "core.nothing"],
            &["diff", "main"],
            &["diff", "main^", "main"],
            &["diff", "main", "./tree"],
            &["diff", "--stats", "main^", "main"],
            &["diff", "main^^"],
        ];
        lines.iter().for_each(|args| repo(args));
        for object in ["tree", "meta", "file"].map(|kind| checksum_in(tmp.path(), kind)) {
            repo(&["show", &object]);
            repo(&["show", "--raw", &object]);
        }
    }
}

/// Names in a plain archive, with whatever is put before them.
#[test]
fn names_of_an_export() {
    if !need("ostree") {
        return;
    }
    let tmp = repository("bare-user");
    for options in
        [&[][..], &["--prefix=/abs"], &["--prefix=/abs/"], &["--prefix=a"], &["--prefix=a/", "--subpath=usr"]]
    {
        let names = |program: &str| {
            let args = [&["--repo=repo", "export", "main"], options].concat();
            let stream = start(program, tmp.path(), &args).stdout;
            let mut archive = tar::Archive::new(&stream[..]);
            let names = archive.entries().unwrap().map(|entry| entry.unwrap().path_bytes().into_owned());
            names.collect::<std::collections::BTreeSet<_>>()
        };
        let ours = names(OURS);
        assert!(ours.len() > 5, "{options:?}");
        assert_eq!(ours, names("ostree"), "{options:?}");
    }
}

/// The checksum of an object of the tree.
fn checksum_in(dir: &Path, kind: &str) -> String {
    let list = start("ostree", dir, &["--repo=repo", "ls", "-C", "main", "/usr"]).stdout;
    let list = String::from_utf8(list).unwrap();
    let mut words =
        list.lines().find(|line| line.ends_with("/usr")).unwrap().split(' ').filter(|w| w.len() == 64);
    match kind {
        "tree" => words.next().unwrap().into(),
        "meta" => words.nth(1).unwrap().into(),
        _ => {
            let line = list.lines().find(|line| line.contains("/usr/empty")).unwrap();
            line.split(' ').find(|word| word.len() == 64).unwrap().into()
        }
    }
}

/// A reader that goes away is no mistake where text is listed; of an archive or a file, it lacks something.
#[test]
fn output_that_nobody_reads_to_the_end() {
    if !need("ostree") {
        return;
    }
    let tmp = repository("bare-user");
    // More than a pipe holds, as text and as a file.
    for n in 0..3000 {
        std::fs::write(tmp.path().join("tree").join(format!("{n:0>60}")), "").unwrap();
    }
    std::fs::write(tmp.path().join("tree/large"), vec![b'x'; 1 << 20]).unwrap();
    let commit = ["commit", "--repo=repo", "-b", "large", "--tree=dir=tree"];
    assert!(start("ostree", tmp.path(), &commit).status.success());
    let code = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command.args(args).current_dir(tmp.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap();
        let out = child.wait_with_output().unwrap();
        (out.status.code(), !out.stderr.is_empty())
    };
    for args in [
        &["ls", "--repo=repo", "-R", "large"][..],
        &["cat", "--repo=repo", "large", "/large"],
        &["export", "--repo=repo", "large"],
    ] {
        assert_eq!(code(OURS, args), code("ostree", args), "{args:?}");
    }
    assert_eq!(code(OURS, &["tar", "export", "--repo=repo", "large"]), (Some(1), true));
}
