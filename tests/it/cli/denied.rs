//! What the system denies, and what is said then: full disks, files of others, links to other file systems.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use ostree_rs::format::Checksum;
use tempfile::TempDir;

use super::messages::{line, repository, said};
use super::{OURS, start};
use crate::oracle::{self, install, need, need_root};
use crate::tar::build::{archive, entry, pax};

/// Nobody in particular.
const NOBODY: u32 = 65534;

/// Only root may give files away.
#[test]
fn owners_take_root() {
    let tmp = tempfile::tempdir().unwrap();
    let program = tmp.path().join("ostree-rs");
    install(Path::new(OURS), &program);
    fs::set_permissions(tmp.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let home = tmp.path().join("home");
    fs::create_dir_all(home.join("tree/usr")).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let run = |args: &[&str]| {
        let mut command = Command::new(&program);
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.args(args).current_dir(&home).env_remove("OSTREE_REPO").output().unwrap()
    };
    let commit = |repo: &str| {
        let tree = ["commit", "-b", "x", "--tree=dir=tree", "--owner-uid=0", "--owner-gid=0"];
        run(&[&[repo][..], &tree].concat())
    };
    fs::write(home.join("tree/usr/file"), b"content").unwrap();
    for mode in ["bare", "bare-user"] {
        assert!(run(&[&format!("--repo={mode}"), "init", &format!("--mode={mode}")]).status.success());
    }
    let refused = line(&["commit"], &commit("--repo=bare"));
    let advice =
        "; a bare repository keeps owners, which takes root; one of `init --mode=bare-user` does without";
    assert!(refused.starts_with("cannot give ") && refused.ends_with(advice), "{refused}");
    assert!(refused.contains("/usr/file (") && refused.contains(".file) to user 0 and group 0"), "{refused}");

    assert!(commit("--repo=bare-user").status.success());
    let refused = line(&["checkout"], &run(&["--repo=bare-user", "checkout", "x", "out"]));
    assert!(
        refused.starts_with("cannot give ")
            && refused.ends_with("; --user-mode (-U) leaves owners as they are")
    );
    assert!(run(&["--repo=bare-user", "checkout", "-U", "x", "user"]).status.success());
}

/// Whoever may read a repository only is told so, whatever is to be written.
#[test]
fn repositories_that_are_not_ours() {
    if !need_root() {
        return;
    }
    let tmp = repository();
    let program = tmp.path().join("ostree-rs");
    install(Path::new(OURS), &program);
    fs::set_permissions(tmp.path(), PermissionsExt::from_mode(0o755)).unwrap();
    for args in [
        &["refs", "--delete", "main"][..],
        &["refs", "--create=new", "main"],
        &["reset", "main", "main"],
        &["gpg-sign", "main", "me@example.org"],
        &["sign", "main", "key"],
        &["tar", "import", "repo/config"],
        &["summary", "--update"],
        &["config", "set", "core.x", "1"],
        &["config", "unset", "core.mode"],
        &["remote", "add", "--no-gpg-verify", "origin", "http://localhost/"],
        &["commit", "-b", "main", "--tree=ref=main"],
        &["pull-local", "repo", "main"],
    ] {
        let mut command = Command::new(&program);
        command.uid(NOBODY).gid(NOBODY).current_dir(tmp.path()).arg("--repo=repo").args(args);
        let out = command.env_remove("OSTREE_REPO").output().unwrap();
        let repo = tmp.path().canonicalize().unwrap().join("repo");
        let expected = format!("Cannot write to repository {}: Permission denied", repo.display());
        assert_eq!(line(args, &out), expected, "{args:?}");
    }
}

/// Runs a script with our program as `$0`, which may mount things.
fn script(script: &str) -> (TempDir, Output) {
    let temp = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", script, OURS]).current_dir(temp.path());
    let out = command.env_remove("OSTREE_REPO").output().unwrap();
    (temp, out)
}

/// A full file system is named, with what is free on it and what stays; with more room the next run succeeds.
#[test]
fn no_room() {
    if !need_root() || !need("unshare") {
        return;
    }
    if !script("mount -t tmpfs -o size=6m none /mnt").1.status.success() {
        eprintln!("skipped: no tmpfs can be mounted here");
        return;
    }
    let full = "mkdir m tree; mount -t tmpfs -o size=6m none m; head -c 8000000 /dev/urandom >tree/large
        $0 --repo=m/r init --mode=bare-user; $0 --repo=r init --mode=bare-user
        $0 --repo=m/r config set core.min-free-space-percent LIMIT; $0 --repo=r commit -b x --tree=dir=tree >id
        set +e\n";
    let large = "8.0\u{a0}MB were needed next, and ";
    for (limit, command, parts) in [
        (
            "0",
            "--repo=m/r commit -b x --tree=dir=tree",
            &["write an object in ", "/m/r/tmp/", large, " are free on "][..],
        ),
        ("3", "--repo=m/r commit -b x --tree=dir=tree", &["/m/r: min-free-space-percent '3%'", large]),
        ("0", "--repo=m/r pull-local --untrusted r", &["write an object in ", "/m/r/tmp/", large]),
        ("0", "--repo=r checkout -UC x m/out", &["Writing m/out: ", " are free now on "]),
        ("0", "--repo=r container build --ref=x --oci-dir=m/o", &["Writing oci:m/o: ", " are free now on "]),
        (
            "0",
            "--repo=r container build --ref=x --oci-archive=m/o",
            &["Writing oci-archive:m/o: ", " are free now on "],
        ),
        ("0", "--repo=r export x -o m/o.tar", &["Writing m/o.tar: ", " are free now on "]),
        ("0", "--repo=r tar export x -o m/o.tar", &["Writing m/o.tar: ", " are free now on "]),
    ] {
        let again = match command.contains("commit") {
            true => "mount -o remount,size=32m m && $0 --repo=m/r commit -b x --tree=dir=tree >again",
            false => "true",
        };
        let (temp, out) =
            script(&format!("{}$0 {command}; code=$?; {again} && exit $code", full.replace("LIMIT", limit)));
        let message = line(&[command], &out);
        let mount = temp.path().canonicalize().unwrap().join("m").display().to_string();
        let kept = "; what was written is kept for the next run";
        let end = format!(" on {mount}{}", if command.starts_with("--repo=m/r") { kept } else { "" });
        assert!(message.contains("No space left on device") || limit == "3", "{command}: {message}");
        assert!(message.ends_with(&end), "{command}: {message}");
        parts.iter().for_each(|part| assert!(message.contains(part), "{part}: {message}"));
    }
}

/// Room for bytes does not help where there may be no more files.
#[test]
fn no_inodes() {
    if !need_root() || !need("unshare") {
        return;
    }
    if !script("mount -t tmpfs -o nr_inodes=60 none /mnt").1.status.success() {
        eprintln!("skipped: no tmpfs can be mounted here");
        return;
    }
    let full = "mkdir m tree; mount -t tmpfs -o size=6m,nr_inodes=60 none m
        for n in $(seq 80); do echo $n >tree/$n; done; $0 --repo=m/r init --mode=archive
        code=0; $0 --repo=m/r commit -b x --tree=dir=tree || code=$?
        mount -o remount,nr_inodes=2k m; $0 --repo=m/r commit -b x --tree=dir=tree >id; ostree --repo=m/r fsck -q; exit $code";
    let (_temp, out) = script(full);
    let message = line(&["commit"], &out);
    assert!(
        message.contains("No space left on device") && message.contains(" inodes are free on "),
        "{message}"
    );
}

/// A checkout does without the cache of its repository where that takes no more; C ostree fails.
#[test]
fn no_room_for_a_cache() {
    if !need_root() || !need("unshare") || !need("ostree") {
        return;
    }
    if !script("mount -t tmpfs -o size=2m none /mnt").1.status.success() {
        eprintln!("skipped: no tmpfs can be mounted here");
        return;
    }
    let full = "mkdir m tree; mount -t tmpfs -o size=2m none m; head -c 8000000 /dev/zero >tree/large
        $0 --repo=m/r init --mode=archive; $0 --repo=m/r config set core.min-free-space-percent 0
        $0 --repo=m/r commit -b x --tree=dir=tree >id; ! ostree --repo=m/r checkout -U x theirs
        $0 --repo=m/r checkout -U x out; diff -r tree out; [ \"$(ls -A m/r/tmp)\" = cache ]";
    let (_temp, out) = script(full);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("No space left on device"), "{said}");
}

/// A repository of the mode bare-user that was copied without xattrs is no good to C ostree either; here it is said why.
#[test]
fn a_copy_without_xattrs() {
    if !need("ostree") {
        return;
    }
    let tmp = repository();
    oracle::run(
        "cp",
        &["-r", &format!("{}/repo", tmp.path().display()), &format!("{}/copy", tmp.path().display())],
    );
    assert!(!start("ostree", tmp.path(), &["--repo=copy", "fsck"]).status.success());
    let why = "it has no xattr user.ostreemeta: was the repository copied without xattrs?";
    let message = said(tmp.path(), &["--repo=copy", "checkout", "-U", "main", "out"]);
    assert!(message.ends_with(why), "{message}");
    let found = start(OURS, tmp.path(), &["--repo=copy", "fsck", "--all"]);
    let text = String::from_utf8(found.stderr).unwrap();
    assert!(!found.status.success() && text.contains(why) && !text.contains("(os error"), "{text}");
}

/// A hard link cannot go to another file system; the message tells what can.
#[test]
fn links_stay_on_one_file_system() {
    if !need_root() || !need("unshare") {
        return;
    }
    let command = "$0 --repo=r checkout -UH x m/out";
    let (_temp, out) = script(&format!(
        "mkdir m tree; mount -t tmpfs none m; echo x >tree/x; $0 --repo=r init --mode=bare-user
        $0 --repo=r commit -b x --tree=dir=tree >id; {command}"
    ));
    let message = line(&[command], &out);
    assert!(
        message.ends_with("; hard links stay on one file system, and without -H files are copied"),
        "{message}"
    );
}

/// What a file system cannot keep with one file is not a full file system, as ext4 says, nor a long list of arguments.
#[test]
fn xattrs_that_are_too_large() {
    if !need_root() || !need("ostree") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let run = |program: &str, args: &[&str]| {
        Command::new(program).args(args).current_dir(tmp.path()).env_remove("OSTREE_REPO").output().unwrap()
    };
    let long = format!("SCHILY.xattr.user.{}", "n".repeat(300));
    let cases = [
        ("SCHILY.xattr.user.big", 65_537, "with its 65537 bytes, the file has larger xattrs than"),
        ("SCHILY.xattr.user.big", 65_000, "with its 65000 bytes, the file has larger xattrs than"),
        (&*long, 1, "no name has 305 bytes"),
    ];
    for (name, size, expected) in cases {
        let value = vec![b'x'; size];
        let tree = [pax(b'x', &[(name, &value)]), entry(b'0', "file", b"1")].concat();
        fs::write(tmp.path().join("tree.tar"), archive(&[tree])).unwrap();
        let commit = |program: &str, mode: &str| {
            let repo = format!("--repo={mode}-{}", program == OURS);
            run(program, &[&repo, "init", &format!("--mode={mode}")]);
            run(program, &[&repo, "commit", "-b", "x", "--tree=tar=tree.tar", "--tar-autocreate-parents"])
        };
        let (ours, theirs) = (commit(OURS, "bare"), commit("ostree", "bare"));
        assert_eq!(ours.status.success(), theirs.status.success(), "{name}: {ours:?}");
        // Not every file system is as narrow as ext4.
        if ours.status.success() {
            assert_eq!(size, 65_000);
        } else {
            let message = line(&[name], &ours);
            assert!(message.contains(expected) && !message.contains("free on"), "{message}");
        }
        // In the other mode they lie in one attribute, which says as much.
        let ours = commit(OURS, "bare-user");
        let message = if ours.status.success() { String::new() } else { line(&[name], &ours) };
        assert!(!message.contains("No space"), "{message}");
    }
}

/// What a shell allows a process: without care a file that is too large ends it by a signal, and it says nothing.
#[test]
fn limits_of_the_process() {
    let tmp = repository();
    fs::write(tmp.path().join("tree/large"), vec![b'x'; 1_000_000]).unwrap();
    for (limits, message) in [
        ("ulimit -f 100", "File too large; the file system, or `ulimit -f`, allows no larger file"),
        ("ulimit -n 10", "Too many open files; `ulimit -n` with a larger number allows more of them"),
    ] {
        let script = format!("{limits}; exec {OURS} --repo=repo commit -b new --tree=dir=tree");
        let said = line(&[limits], &start("sh", tmp.path(), &["-c", &script]));
        assert!(said.ends_with(message), "{said}");
    }
    let said = line(&["--help"], &start("sh", tmp.path(), &["-c", &format!("{OURS} --help > /dev/full")]));
    assert_eq!(said, "write standard output: No space left on device");
}

/// Names that are not UTF-8: as arguments, and as what a link in a tree leads to.
#[test]
fn names_that_are_not_utf8() {
    let tmp = repository();
    let at = |path: &str| tmp.path().join(path);
    let name = OsStr::from_bytes(b"caf\xe9");
    let run = |args: &[&OsStr]| Command::new(OURS).current_dir(tmp.path()).args(args).output().unwrap();
    let out = run(&["--repo=repo".as_ref(), "ls".as_ref(), "main".as_ref(), name]);
    let message = "\"caf\\xE9\" is not UTF-8: names in a repository, refs and images have to be";
    assert_eq!(line(&["ls"], &out), message);
    fs::create_dir(at("links")).unwrap();
    symlink(name, at("links/one")).unwrap();
    let args = ["--repo=repo", "commit", "-b", "new", "--tree=dir=links"];
    assert_eq!(said(tmp.path(), &args), "readlinkat /one: the target is not UTF-8");
}

/// A commit that is damaged is called by its name, whoever looks at it first.
#[test]
fn damaged_commits_by_their_names() {
    let tmp = repository();
    let at = |path: &str| tmp.path().join(path);
    let args = ["--repo=repo", "commit", "-b", "new", "-s", "A subject", "--tree=dir=tree"];
    let commit = String::from_utf8(start(OURS, tmp.path(), &args).stdout).unwrap();
    let object = |id: &str| at(&format!("repo/objects/{}/{}.commit", &id[..2], &id[2..]));
    let mut bytes = fs::read(object(commit.trim())).unwrap();
    let place = bytes.windows(9).position(|text| text == b"A subject").unwrap();
    bytes[place] = 0xff;
    let damaged = Checksum::of(&bytes).to_string();
    fs::create_dir_all(object(&damaged).parent().unwrap()).unwrap();
    fs::write(object(&damaged), &bytes).unwrap();
    fs::write(at("repo/refs/heads/new"), format!("{damaged}\n")).unwrap();
    for verb in [&["pull-local", "--repo=other", "repo", "new"][..], &["pull", "--repo=other", "near", "new"]]
    {
        start(OURS, tmp.path(), &["--repo=other", "init", "--mode=bare-user"]);
        let url = format!("file://{}", at("repo").display());
        start(OURS, tmp.path(), &["--repo=other", "remote", "add", "--no-gpg-verify", "near", &url]);
        let said = said(tmp.path(), verb);
        let message = format!("Corrupted object {damaged}.commit: commit subject at byte {place}: not UTF-8");
        assert_eq!(said, message, "{verb:?}");
    }
}
