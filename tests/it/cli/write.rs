//! Verbs that write: the same commands leave the same behind.

use std::ffi::OsStr;
use std::fs;

use rustix::fs::{CWD, FileType, mknodat};
use tempfile::TempDir;

use super::{OURS, repository, same, start};
use crate::oracle::{need, run};

/// The same commands on a repository of each program leave the same config and refs.
#[test]
fn what_writes() {
    if !need("ostree") {
        return;
    }
    let lines: [&[&str]; 20] = [
        &["init", "--mode=bare-user", "--collection-id=org.example.Os"],
        &["init", "--mode=bare-user"],
        &["init", "--mode=nonsense"],
        &["config", "set", "core.min-free-space-size", "1GB"],
        &["config", "set", "--group=x y", "key", "a value"],
        &["config", "unset", "core.nothing"],
        &["config", "set", "nodot", "x"],
        &["config", "get", "core.mode", "extra"],
        &["remote", "add", "origin", "http://example.com", "a/b", "c"],
        &["remote", "add", "origin", "http://example.com"],
        &["remote", "add", "--if-not-exists", "origin", "http://example.org"],
        &["remote", "add", "--force", "--no-gpg-verify", "--set=x=y=z", "origin", "metalink=http://m"],
        &["remote", "add", "--no-sign-verify", "--contenturl=http://c", "zweite", "http://z"],
        &["remote", "list"],
        &["remote", "list", "-u"],
        &["remote", "show-url", "zweite"],
        &["remote", "show-url", "nothing"],
        &["remote", "delete", "nothing"],
        &["remote", "delete", "--if-exists", "nothing"],
        &["remote", "delete", "zweite"],
    ];
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for args in lines {
        let args = [args, &["--repo=repo"]].concat();
        let (t, o) = (start("ostree", theirs.path(), &args), start(OURS, ours.path(), &args));
        assert_eq!(o.status.code(), t.status.code(), "{args:?}: {}", String::from_utf8_lossy(&o.stderr));
        assert_eq!(o.stdout, t.stdout, "{args:?}");
        let config = |dir: &TempDir| fs::read_to_string(dir.path().join("repo/config")).unwrap();
        assert_eq!(config(&ours), config(&theirs), "{args:?}");
    }
}

#[test]
fn refs_are_written() {
    if !need("ostree") {
        return;
    }
    let tmp = repository("bare-user");
    run(
        "cp",
        &[OsStr::new("-a"), tmp.path().join("repo").as_ref(), tmp.path().join("other").as_ref()]
            .map(|s| s.to_str().unwrap()),
    );
    let lines: [&[&str]; 14] = [
        &["refs", "--create=main", "main^"],
        &["refs", "--create=x/y", "main^"],
        &["refs", "--create=x", "main"],
        &["refs", "--create=x/y/z", "main"],
        &["refs", "--create=x/y", "main", "--force"],
        &["refs", "-A", "--create=alias2", "x/y"],
        &["refs", "-A", "--create=alias3", "nothing"],
        &["refs", "-A", "--create=origin:alias", "main"],
        &["refs", "--delete", "x"],
        &["refs", "--delete", "alias2"],
        &["refs", "--delete", "x"],
        &["reset", "main", "main^"],
        &["reset", "nothing", "main"],
        &["refs", "--create=-bad", "main"],
    ];
    for args in lines {
        let theirs = start("ostree", tmp.path(), &[&["--repo=repo"], args].concat());
        let ours = start(OURS, tmp.path(), &[&["--repo=other"], args].concat());
        assert_eq!(
            ours.status.code(),
            theirs.status.code(),
            "{args:?}: {}",
            String::from_utf8_lossy(&ours.stderr)
        );
        let listed = |repo: &str| {
            // This version of C ostree lists no commits.
            [(OURS, "-r"), ("ostree", "--list"), ("ostree", "-A")].map(|(program, how)| {
                let out = start(program, tmp.path(), &[&format!("--repo={repo}"), "refs", how]);
                assert!(out.status.success(), "{args:?}");
                String::from_utf8(out.stdout).unwrap()
            })
        };
        assert_eq!(listed("other"), listed("repo"), "{args:?}");
    }
}

/// An empty variable in a script, or a name that cannot be one, deletes nothing: it is refused, as by C ostree.
#[test]
fn what_is_no_ref_deletes_none() {
    if !need("ostree") {
        return;
    }
    let tmp = repository("archive");
    let refs = || start("ostree", tmp.path(), &["--repo=repo", "refs"]).stdout;
    let before = refs();
    assert!(!before.is_empty());
    for bad in ["", "/", "//", ".", "..", "a//b", "/main", "ma in", ":", "origin:/", "^"] {
        for args in [&["refs", "--delete", bad][..], &["refs", "--list", bad], &["refs", bad]] {
            let args = [&["--repo=repo"], args].concat();
            let (ours, theirs) = (start(OURS, tmp.path(), &args), start("ostree", tmp.path(), &args));
            assert!(!ours.status.success() && !theirs.status.success(), "{args:?}");
            let error = String::from_utf8_lossy(&ours.stderr);
            assert!(error.contains("Invalid refspec"), "{args:?}: {error}");
        }
    }
    assert_eq!(refs(), before);
}

/// To C ostree letters are those of every script: what it has written so is seen, and no prune takes it.
#[test]
fn refs_of_every_script() {
    if !need("ostree") {
        return;
    }
    let tmp = repository("bare-user");
    let names = ["größe", "ветка/стабильная", "日本", "r:é"];
    for name in names {
        assert!(
            start("ostree", tmp.path(), &["--repo=repo", "refs", &format!("--create={name}"), "main^"])
                .status
                .success()
        );
    }
    start(
        "ostree",
        tmp.path(),
        &["--repo=repo", "commit", "-b", "außen", "--tree=dir=tree/usr", "--timestamp=@7"],
    );
    for args in [&["refs"][..], &["rev-parse", "außen", "日本", "r:é"], &["log", "größe"]] {
        same(tmp.path(), &[&["--repo=repo"], args].concat());
    }
    assert!(start(OURS, tmp.path(), &["--repo=repo", "refs", "--create=neu/ö", "außen"]).status.success());
    assert!(start(OURS, tmp.path(), &["--repo=repo", "prune", "--refs-only", "--depth=0"]).status.success());
    for name in [&names[..], &["außen", "neu/ö"]].concat() {
        let shown = start("ostree", tmp.path(), &["--repo=repo", "ls", "-R", name]);
        assert!(shown.status.success(), "{name}: {}", String::from_utf8_lossy(&shown.stderr));
    }
    assert!(
        !start(OURS, tmp.path(), &["--repo=repo", "commit", "-b", "a–b", "--tree=dir=tree"]).status.success()
    );
}

/// The system takes 4294967295 for "as it is": a file that is given to it keeps another owner than its object says.
#[test]
fn no_file_belongs_to_minus_one() {
    let tmp = super::repository_tree();
    for (mode, fine) in [("bare", false), ("bare-user", true), ("archive", true)] {
        let repo = format!("--repo={mode}");
        start(OURS, tmp.path(), &[&repo, "init", &format!("--mode={mode}")]);
        for owner in ["--owner-uid=4294967295", "--owner-gid=4294967295"] {
            let out = start(OURS, tmp.path(), &[&repo, "commit", "-b", "main", "--tree=dir=tree", owner]);
            let error = String::from_utf8_lossy(&out.stderr);
            assert_eq!(out.status.code(), Some(i32::from(!fine)), "{mode}: {error}");
            if fine {
                let out = start(OURS, tmp.path(), &[&repo, "checkout", "main", "out"]);
                let error = String::from_utf8_lossy(&out.stderr);
                assert_eq!(out.status.code(), Some(1), "{mode}: {error}");
                assert!(error.contains("4294967295"), "{error}");
                fs::remove_dir_all(tmp.path().join("out")).unwrap();
            } else {
                assert!(error.contains("no file can belong to 4294967295"), "{error}");
            }
        }
    }
}

/// What is wrong is named: the archive, the option, the pair.
#[test]
fn mistakes_of_commit_are_named() {
    let tmp = super::repository_tree();
    start(OURS, tmp.path(), &["--repo=repo", "init", "--mode=archive"]);
    fs::write(tmp.path().join("broken.tar"), [b'x'; 1024]).unwrap();
    for (args, said) in [
        (&["--tree=tar=broken.tar"][..], "broken.tar: "),
        (&["--tree=dir=tree", "--tree=tar=tree/usr"], "tree/usr: "),
        (&["--owner-uid=4294967296"], "--owner-uid 4294967296: no owner has a number above 4294967295"),
        (&["--owner-gid=99999999999"], "--owner-gid 99999999999: "),
        (&["--add-metadata-string==a"], "Empty metadata key in '=a'"),
        (&["--add-metadata==1"], "Empty metadata key in '=1'"),
        (&["--parent=main"], "Invalid rev main: --parent takes a whole checksum"),
    ] {
        let out = start(OURS, tmp.path(), &[&["--repo=repo", "commit", "-b", "x"], args].concat());
        let error = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{args:?}: {error}");
        assert!(error.starts_with(&format!("error: {said}")), "{args:?}: {error}");
    }
}

#[test]
fn copies_between_repositories() {
    if !need("ostree") {
        return;
    }
    let tmp = repository("bare-user");
    for program in ["ostree", OURS] {
        start(program, tmp.path(), &["--repo=d", "init", "--mode=bare-user"]);
        fs::rename(tmp.path().join("d"), tmp.path().join(if program == OURS { "ours" } else { "theirs" }))
            .unwrap();
    }
    let lines: [&[&str]; 8] = [
        &["main"],
        &["--depth=-1", "main"],
        &["--remote=r", "main"],
        &["alias"],
        &["nothing"],
        &["--gpg-verify", "main"],
        &["--untrusted", "main"],
        &["--disable-verify-bindings", "alias"],
    ];
    for args in lines {
        let theirs = start("ostree", tmp.path(), &[&["--repo=theirs", "pull-local", "repo"], args].concat());
        let ours = start(OURS, tmp.path(), &[&["--repo=ours", "pull-local", "repo"], args].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(text(&ours.stdout), text(&theirs.stdout), "{args:?}");
        assert_eq!(ours.status.code(), theirs.status.code(), "{args:?}: {}", text(&ours.stderr));
        let refs = |repo: &str| start(OURS, tmp.path(), &[&format!("--repo={repo}"), "refs", "-r"]).stdout;
        assert_eq!(text(&refs("ours")), text(&refs("theirs")), "{args:?}");
    }
    let fifo = tmp.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, 0o640.into(), 0).unwrap();
    for path in ["tree", "tree/usr/empty", "tree/usr/link", "nothing", "fifo", "/dev/null"] {
        same(tmp.path(), &["checksum", path]);
    }
}

/// A value that is not understood keeps the other commands away where it does so in C ostree, not the one that reads
/// and mends it.
#[test]
fn a_config_is_mended() {
    if !need("ostree") {
        return;
    }
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (group, key, bad, good, c_opens) in [
        ("core", "lock-timeout-secs", "soon", "30", true),
        ("core", "tmp-expiry-secs", "12x", "60", true),
        ("core", "min-free-space-percent", "few", "1", true),
        ("archive", "zlib-level", "best", "9", true),
        ("core", "min-free-space-size", "1 GB", "1GB", false),
        ("core", "fsync", "maybe", "false", false),
        ("core", "mode", "bair", "bare", false),
        ("core", "parent", "/nothing", "", false),
        ("sysroot", "bootloader", "lilo", "none", false),
    ] {
        let name = format!("{group}.{key}");
        for (dir, program) in [(&theirs, "ostree"), (&ours, OURS)] {
            let config = dir.path().join("repo/config");
            let _ = fs::remove_dir_all(dir.path().join("repo"));
            assert!(start(program, dir.path(), &["init", "--repo=repo"]).status.success());
            let text = fs::read_to_string(&config).unwrap();
            fs::write(&config, format!("{text}[{group}]\n{key}={bad}\n[x]\ny=z\n")).unwrap();
        }
        let opens =
            |dir: &TempDir, program| start(program, dir.path(), &["refs", "--repo=repo"]).status.success();
        assert_eq!(opens(&theirs, "ostree"), c_opens, "{name}");
        // What only deployments ask for stands in nobody else's way.
        assert_eq!(opens(&ours, OURS), c_opens || group == "sysroot", "{name}");
        for args in [
            &["config", "get", &name][..],
            &["config", "get", "x.y"],
            &["config", "set", "x.y", "w"],
            &["config", "set", &name, good],
            &["config", "unset", &name],
            &["refs"],
        ] {
            let args = [args, &["--repo=repo"]].concat();
            let (t, o) = (start("ostree", theirs.path(), &args), start(OURS, ours.path(), &args));
            assert!(o.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&o.stderr));
            if c_opens {
                assert_eq!(o.stdout, t.stdout, "{name} {args:?}");
                let config = |dir: &TempDir| fs::read_to_string(dir.path().join("repo/config")).unwrap();
                assert_eq!(config(&ours), config(&theirs), "{name} {args:?}");
            }
        }
    }
    // One wrong value after the other; where all are right, none is made wrong.
    let config = ours.path().join("repo/config");
    fs::write(&config, "[core]\nrepo_version=1\nmode=bair\nfsync=maybe\n").unwrap();
    let ours = |args: &[&str]| start(OURS, ours.path(), &[args, &["--repo=repo"]].concat()).status.success();
    assert!(!ours(&["refs"]));
    assert!(ours(&["config", "set", "core.mode", "bare"]) && !ours(&["refs"]));
    assert!(ours(&["config", "set", "core.fsync", "true"]) && ours(&["refs"]));
    assert!(!ours(&["config", "set", "core.fsync", "maybe"]) && ours(&["refs"]));
    assert!(!ours(&["config", "unset", "core.repo_version"]) && ours(&["refs"]));
}

/// Whoever changes the config at the same time as others loses nothing, and of two who add one remote, one is told.
#[test]
fn many_at_once() {
    let tmp = tempfile::tempdir().unwrap();
    let ours = |args: &[&str]| start(OURS, tmp.path(), &[&["--repo=repo"], args].concat());
    assert!(ours(&["init", "--mode=archive"]).status.success());
    let added = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                scope.spawn(move || {
                    let key = format!("x.key{n}");
                    assert!(ours(&["config", "set", &key, "value"]).status.success());
                    let name = format!("remote{n}");
                    assert!(ours(&["remote", "add", &name, "http://example.com"]).status.success());
                    ours(&["remote", "add", "same", "http://example.com"]).status.success()
                })
            })
            .collect();
        threads.into_iter().map(|thread| u32::from(thread.join().unwrap())).sum::<u32>()
    });
    assert_eq!(added, 1);
    let config = fs::read_to_string(tmp.path().join("repo/config")).unwrap();
    assert_eq!((config.matches("key").count(), config.matches("[remote ").count()), (8, 9), "{config}");
}

/// What C ostree does, and what it says: labels without a policy, a subject that looks like an option, deltas that
/// are indexed.
#[test]
fn as_c_ostree_does() {
    if !need("ostree") {
        return;
    }
    let tmp = repository("archive");
    let commit = ["commit", "--repo=repo", "--orphan", "--timestamp=@1", "--tree=dir=tree"];
    same(tmp.path(), &[&commit[..], &["-P"]].concat());
    same(tmp.path(), &[&commit[..], &["-s", "--version"]].concat());
    let repo = format!("--repo={}", tmp.path().join("repo").display());
    run("ostree", &[&repo, "static-delta", "generate", "main"]);
    run("ostree", &[&repo, "static-delta", "generate", "--empty", "main"]);
    let indexes = |program: &str| {
        assert!(start(program, tmp.path(), &["--repo=repo", "summary", "-u"]).status.success());
        let dir = tmp.path().join("repo/delta-indexes");
        let files = fs::read_dir(&dir).unwrap().flat_map(|dir| fs::read_dir(dir.unwrap().path()).unwrap());
        let files: Vec<_> =
            files.map(|file| file.unwrap()).map(|f| (f.file_name(), fs::read(f.path()).unwrap())).collect();
        fs::remove_dir_all(dir).unwrap();
        (files, fs::read_to_string(tmp.path().join("repo/config")).unwrap())
    };
    let theirs = indexes("ostree");
    assert_eq!(theirs.0.len(), 1);
    assert_eq!(indexes(OURS), theirs);
}
