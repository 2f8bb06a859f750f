//! C ostree and we at work in one repository.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use ostree_rs::base::Ctx;
use ostree_rs::format::{FileHeader, MetaKind, RepoMode};
use ostree_rs::store::{Error, ObjectRead, ObjectWrite, Refs, Txn};

use super::{create, files, refspec, write_commit};
use crate::oracle::{need, need_root, run};

#[test]
fn c_and_we_lock_each_other_out() {
    if !need("ostree") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let mut repo = create(tmp.path(), RepoMode::Archive);
    repo.update_config(|file| {
        file.set_string("core", "lock-timeout-secs", "0").unwrap();
        Ok(())
    })
    .unwrap();
    let ctx = Ctx::default();
    let arg = format!("--repo={}", tmp.path().display());
    let commit = || {
        let args = [&arg, "commit", "-b", "theirs", "--tree=tar=/dev/stdin"];
        Command::new("ostree").args(args).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };

    let lock = repo.lock_exclusive(&ctx).unwrap();
    let out = commit().wait_with_output().unwrap();
    assert!(!out.status.success());
    assert!(String::from_utf8_lossy(&out.stderr).contains("Locking repo shared failed"));
    drop(lock);

    // In a transaction, C waits for its input; ours are welcome, an exclusive lock is not.
    let mut child = commit();
    while !fs::read_dir(tmp.path().join("tmp"))
        .unwrap()
        .any(|e| e.unwrap().path().to_string_lossy().ends_with("-lock"))
    {
        // A process that another test starts has our lock, too, for a moment: that one came too early.
        if child.try_wait().unwrap().is_some() {
            child = commit();
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(matches!(repo.lock_exclusive(&ctx), Err(Error::Locked(_))));
    let txn = repo.begin(&ctx).unwrap();
    assert!(!txn.is_resumed(), "took over a staging directory in use");
    txn.commit(&ctx).unwrap();
    let tree = tempfile::tempdir().unwrap();
    let tar = run("tar", &["-cC", tree.path().to_str().unwrap(), "."]);
    child.stdin.take().unwrap().write_all(&tar).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(repo.resolve(&refspec("theirs")).unwrap().is_some());
    drop(repo.lock_exclusive(&ctx).unwrap());
}

#[test]
fn c_and_we_write_at_once() {
    if !need("ostree") {
        return;
    }
    let (tmp, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (name, header, content) in files() {
        match header.symlink_target() {
            Some(target) => symlink(target, tree.path().join(name)).unwrap(),
            None => fs::write(tree.path().join(name), content).unwrap(),
        }
    }
    let repo = create(tmp.path(), RepoMode::BareUser);
    let arg = format!("--repo={}", tmp.path().display());
    let path = tree.path().display().to_string();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..5 {
                fs::write(tree.path().join("n"), n.to_string()).unwrap();
                run("ostree", &[&arg, "commit", "-b", "theirs", "--canonical-permissions", &path]);
            }
        });
        let ctx = Ctx::default();
        for n in 0..5 {
            let mut files = files();
            files.push(("n", FileHeader::regular(0, 0, 0o644, Default::default()), vec![n]));
            let txn = repo.begin(&ctx).unwrap();
            let commit = write_commit(&txn, &files);
            txn.set_ref(&refspec("rust"), Some(commit)).unwrap();
            txn.commit(&ctx).unwrap();
        }
    });
    assert_eq!(repo.list().unwrap().len(), 2);
    run("ostree", &[&arg, "fsck", "-q"]);
}

#[test]
fn c_goes_on_from_what_we_staged() {
    if !need("ostree") {
        return;
    }
    let (tmp, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let repo = create(tmp.path(), RepoMode::Archive);
    let ctx = Ctx::default();
    let txn = repo.begin(&ctx).unwrap();
    let commit = write_commit(&txn, &files());
    txn.suspend();
    assert!(!repo.contains(&commit.into()).unwrap());
    let arg = format!("--repo={}", tmp.path().display());
    run("ostree", &[&arg, "commit", "-b", "theirs", tree.path().to_str().unwrap()]);
    assert!(repo.contains(&commit.into()).unwrap());
    assert_eq!(fs::read_dir(tmp.path().join("tmp")).unwrap().count(), 1);
    run("ostree", &[&arg, "fsck", "-q", "--all"]);
}

#[test]
fn new_directories_inherit_as_those_of_c() {
    if !need("ostree") || !need("setfacl") || !need_root() {
        return;
    }
    let tree = tempfile::tempdir().unwrap();
    (0..40).for_each(|n| fs::write(tree.path().join(n.to_string()), [n; 99]).unwrap());
    let tree = tree.path().to_str().unwrap();
    // What the staging directory has to hand down, and what `objects` has.
    let group = ["chgrp 12 $0/objects && chmod g+s $0/objects", "chgrp 12 $0/tmp && chmod g+s $0/tmp"];
    let acl = ["setfacl -d -m u:7:rwx $0/objects", "setfacl -d -m u:7:r-x $0/tmp"];
    let made = "for n in $(seq 0 255); do mkdir -m 2770 $0/objects/$(printf %02x $n); done";
    for setup in ["true", group[0], group[1], &group.join("&&"), acl[0], acl[1], &acl.join("&&"), made] {
        let dirs = |program: &str| {
            let tmp = tempfile::tempdir().unwrap();
            let path = tmp.path().to_str().unwrap();
            let arg = format!("--repo={path}");
            run("ostree", &[&arg, "init", "--mode=archive"]);
            run("sh", &["-c", setup, path]);
            for branch in ["a", "b"] {
                // The second finds some of the directories there.
                run(program, &[&arg, "commit", "-b", branch, "-s", branch, "--timestamp=@1", tree]);
            }
            run("ostree", &[&arg, "fsck", "-q"]);
            String::from_utf8(run("sh", &["-c", "cd $0 && getfacl -R -n objects", path])).unwrap()
        };
        let directories = |listing: String| -> Vec<String> {
            let entries = listing.split("\n\n").filter(|entry| !entry.contains('.'));
            let mut entries: Vec<_> = entries.map(str::to_owned).collect();
            entries.sort_unstable();
            entries
        };
        let (ours, theirs) =
            (directories(dirs(env!("CARGO_BIN_EXE_ostree-rs"))), directories(dirs("ostree")));
        assert!(ours.len() > 30, "{ours:?}");
        assert_eq!(ours, theirs, "{setup}");
    }
}

#[test]
fn the_disk_is_left_as_free_as_c_leaves_it() {
    if !need("ostree") {
        return;
    }
    // Not in memory, where all may be free.
    let tmp = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("f"), vec![1; 1_234_567]).unwrap();
    let mut repo = create(tmp.path(), RepoMode::Archive);
    let header = FileHeader::regular(0, 0, 0o644, Default::default());
    let ctx = Ctx::default();
    for (key, other, value) in [
        ("min-free-space-percent", "min-free-space-size", "99"),
        ("min-free-space-size", "min-free-space-percent", "999TB"),
    ] {
        repo.update_config(|file| {
            file.remove("core", other);
            file.set_string("core", key, value).unwrap();
            Ok(())
        })
        .unwrap();
        let arg = format!("--repo={}", tmp.path().display());
        let out =
            Command::new("ostree").args([&arg, "commit", "-b", "theirs"]).arg(tree.path()).output().unwrap();
        let theirs = String::from_utf8(out.stderr).unwrap();
        let txn = repo.begin(&ctx).unwrap();
        let ours = txn.write_file(&header, 1_234_567, &mut &vec![1; 1_234_567][..]).unwrap_err();
        assert!(matches!(ours, Error::NoSpace { .. }));
        assert!(theirs.trim_end().ends_with(&ours.to_string()), "{theirs}{ours}");
        // Metadata may be written all the same.
        let mut meta = vec![0; 12];
        meta[10..].copy_from_slice(&[0x41, 0xed]);
        txn.write_meta(MetaKind::DirMeta, &meta).unwrap();
        drop(txn);
        assert_eq!(
            fs::read_dir(tmp.path().join("tmp")).unwrap().count(),
            1,
            "staged objects stay beside cache"
        );
    }
}
