//! What we write is what C ostree writes, and what it writes we read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::DeflateDecoder;
use ostree_rs::base::Ctx;
use ostree_rs::format::{Checksum, FileHeader, FileId, MetaKind, ObjectType, RepoMode};
use ostree_rs::repo::Repo;
use ostree_rs::store::{Error, ObjectRead, ObjectWrite, Refs, Txn};

use super::{create, dir, files, open, read, refspec, write_commit};
use crate::corpus::unpack;
use crate::oracle::{need, need_root, run};

/// Everything below a directory, apart from what two writers cannot have in common: times (but not those
/// that are the epoch) and how well something is compressed.
fn snapshot(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut out = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()) {
            let meta = entry.symlink_metadata().unwrap();
            let mut text = format!("{:o} {}:{}", meta.mode(), meta.uid(), meta.gid());
            let is_object = meta.is_file() && entry.extension().is_some_and(|e| e == "file");
            if is_object {
                write!(text, " mtime={}.{}", meta.mtime(), meta.mtime_nsec()).unwrap();
            }
            if meta.is_dir() {
                todo.push(entry.clone());
            } else if meta.is_symlink() {
                write!(text, " -> {}", fs::read_link(&entry).unwrap().display()).unwrap();
            } else {
                let bytes = fs::read(&entry).unwrap();
                let bytes =
                    if entry.extension().is_some_and(|e| e == "filez") { inflate(&bytes) } else { bytes };
                write!(text, " {}", ostree_rs::format::Checksum::of(&bytes)).unwrap();
            }
            if !meta.is_dir() {
                write!(text, " {}", xattrs(&entry)).unwrap();
            }
            out.insert(entry.strip_prefix(root).unwrap().to_owned(), text);
        }
    }
    out
}

/// The header of a `.filez`, and its content without the compression.
fn inflate(bytes: &[u8]) -> Vec<u8> {
    let header = 8 + u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    let mut out = bytes[..header].to_vec();
    if bytes.len() > header {
        out.extend(read(DeflateDecoder::new(&bytes[header..])));
    }
    out
}

/// The xattrs of a file, as `getfattr` prints them.
fn xattrs(path: &Path) -> String {
    let out =
        run("getfattr", &["-h", "-d", "-m", "-", "-e", "hex", "--absolute-names", path.to_str().unwrap()]);
    String::from_utf8(out).unwrap().lines().skip(1).collect::<Vec<_>>().join(" ")
}

fn assert_same(ours: &Path, theirs: &Path) {
    assert_equal(&snapshot(ours), &snapshot(theirs));
}

fn assert_equal(ours: &BTreeMap<PathBuf, String>, theirs: &BTreeMap<PathBuf, String>) {
    for (path, text) in theirs {
        assert_eq!(ours.get(path), Some(text), "{}", path.display());
    }
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
}

#[test]
fn an_empty_repository_is_that_of_c() {
    if !need("ostree") || !need("getfattr") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    for mode in RepoMode::ALL {
        for collection in [None, Some("org.example.Os")] {
            let (ours, theirs) = (tmp.path().join("ours"), tmp.path().join("theirs"));
            fs::create_dir(&ours).unwrap();
            let id = collection.map(|id| id.parse().unwrap());
            Repo::create(dir(&ours), mode, id.as_ref()).unwrap();
            let mut args =
                vec![format!("--repo={}", theirs.display()), "init".into(), format!("--mode={mode}")];
            args.extend(collection.map(|id| format!("--collection-id={id}")));
            run("ostree", &args.iter().map(String::as_str).collect::<Vec<_>>());
            assert_same(&ours, &theirs);
            // Again, and with another mode: it stays as it is.
            assert_eq!(Repo::create(dir(&ours), RepoMode::Bare, None).unwrap().mode(), mode);
            assert_same(&ours, &theirs);
            fs::remove_dir_all(&ours).unwrap();
            fs::remove_dir_all(&theirs).unwrap();
        }
    }
}

/// Copies every object through the traits.
fn copy(from: &Repo, to: &Repo) {
    let ctx = Ctx::default();
    let txn = to.begin(&ctx).unwrap();
    let mut detached = Vec::new();
    from.for_each_object(&mut |name| {
        let kind = match name.kind {
            ObjectType::File => {
                let id = FileId::new(name.checksum);
                let mut file = from.open_file(&id)?.unwrap();
                let (header, len) = (file.header.clone(), file.len);
                assert_eq!(txn.write_file(&header, len, &mut file)?, id, "{name}");
                return Ok(());
            }
            ObjectType::Commit => MetaKind::Commit,
            ObjectType::DirTree => MetaKind::DirTree,
            ObjectType::DirMeta => MetaKind::DirMeta,
            ObjectType::CommitMeta => {
                detached.push(name);
                return Ok(());
            }
            _ => return Ok(()),
        };
        assert_eq!(txn.write_meta(kind, &from.read_meta(&name)?.unwrap())?, name.checksum);
        Ok(())
    })
    .unwrap();
    for name in detached {
        let dict = ostree_rs::format::variant::Dict::parse(&from.read_meta(&name).unwrap().unwrap()).unwrap();
        txn.set_detached(&ostree_rs::format::CommitId::new(name.checksum), &dict).unwrap();
    }
    for (refspec, target) in from.list().unwrap() {
        txn.set_ref(&refspec, Some(target)).unwrap();
    }
    txn.commit(&ctx).unwrap();
}

#[test]
fn every_object_is_that_of_c() {
    if !need_root() || !need("getfattr") {
        return;
    }
    for mode in [RepoMode::Bare, RepoMode::BareUser, RepoMode::BareUserOnly, RepoMode::Archive] {
        let name = if mode == RepoMode::Archive { "archive".into() } else { mode.to_string() };
        let unpacked = unpack(&format!("repos/{name}.tar.zst"));
        let theirs = find_repo(unpacked.path());
        let ours = tempfile::tempdir().unwrap();
        let repo = create(ours.path(), mode);
        copy(&open(&theirs), &repo);
        let objects = |repo: &Path| {
            let mut all = snapshot(&repo.join("objects"));
            // A deleted commit left its directory and its tombstone.
            all.retain(|path, _| path.extension().is_some_and(|e| e != "tombstone-commit"));
            all
        };
        assert_equal(&objects(ours.path()), &objects(&theirs));
        assert_same(&ours.path().join("refs"), &theirs.join("refs"));
    }
}

/// The repository in a directory or one directory below.
fn find_repo(path: &Path) -> PathBuf {
    let inner = fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).find(|p| p.join("objects").is_dir());
    inner.unwrap_or_else(|| path.to_owned())
}

#[test]
fn split_xattrs_as_c_reads_them() {
    if !need_root() || !need("ostree") {
        return;
    }
    let bare = unpack("repos/bare.tar.zst");
    let bare = open(&find_repo(bare.path()));
    let (tmp, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let split = create(tmp.path(), RepoMode::BareSplitXattrs);
    copy(&bare, &split);
    // Each object's link is the file that its content names, and there is one for each set of xattrs.
    let mut inodes = BTreeMap::new();
    split
        .for_each_object(&mut |name| {
            let path = tmp.path().join("objects").join(name.loose_path(RepoMode::BareSplitXattrs));
            match name.kind {
                ObjectType::FileXattrs => {
                    let sum = ostree_rs::format::Checksum::of(&fs::read(&path).unwrap());
                    assert_eq!(sum, name.checksum);
                    inodes.entry(path.metadata().unwrap().ino()).or_insert((0, 0)).0 += 1;
                }
                ObjectType::FileXattrsLink => {
                    inodes.entry(path.metadata().unwrap().ino()).or_insert((0, 0)).1 += 1;
                }
                ObjectType::File => assert_eq!(xattrs(&path), "", "{name}"),
                _ => {}
            }
            Ok(())
        })
        .unwrap();
    assert!(inodes.len() > 1 && inodes.values().all(|(shared, own)| *shared == 1 && *own > 0), "{inodes:?}");
    let arg = format!("--repo={}", tmp.path().display());
    run("ostree", &[&arg, "fsck", "-q"]);
    // C reads it, with all owners and xattrs, into a repository that is as its own.
    let to = create(back.path(), RepoMode::Archive);
    drop(to);
    let arg = format!("--repo={}", back.path().display());
    run("ostree", &[&arg, "pull-local", tmp.path().to_str().unwrap()]);
    run("ostree", &[&arg, "fsck", "-q"]);
    let theirs = unpack("repos/archive.tar.zst");
    let theirs = snapshot(&find_repo(theirs.path()).join("objects"));
    for (path, text) in snapshot(&back.path().join("objects")) {
        // Each repository of the corpus was signed for itself.
        if path.extension().is_some_and(|e| e == "commitmeta") {
            continue;
        }
        assert_eq!(theirs.get(&path), Some(&text), "{}", path.display());
    }
}

#[test]
fn split_xattrs_of_the_fixture() {
    let fixture = Path::new("/usr/libexec/installed-tests/libostree/bare-split-xattrs-basic.tar.xz");
    assert!(fixture.exists() || std::env::var_os("CI").is_none(), "ostree-tests is not installed");
    if !fixture.exists() {
        eprintln!("skipped: no {}", fixture.display());
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    run("tar", &["-xJf", fixture.to_str().unwrap(), "-C", tmp.path().to_str().unwrap()]);
    let repo = open(&find_repo(tmp.path()));
    let mut files = 0;
    repo.for_each_object(&mut |name| {
        if name.kind == ObjectType::File {
            let mut file = repo.open_file(&FileId::new(name.checksum))?.unwrap();
            let header = file.header.clone();
            assert_eq!(header.id_with(&read(&mut file)), FileId::new(name.checksum));
            files += 1;
        }
        Ok(())
    })
    .unwrap();
    assert!(files > 0);
}

/// A payload link is named by the content of the file that it leads to, and goes away with that.
#[test]
fn payload_links_of_c_ostree() {
    let tmp = unpack("repos/bare-payload-link.tar.zst");
    let path = find_repo(tmp.path());
    let links = || {
        let mut links = Vec::new();
        open(&path)
            .for_each_object(&mut |name| {
                links.extend((name.kind == ObjectType::PayloadLink).then_some(name));
                Ok(())
            })
            .unwrap();
        links
    };
    let found = links();
    assert_eq!(found.len(), 1);
    let link = path.join("objects").join(found[0].loose_path(RepoMode::Bare));
    assert_eq!(found[0].checksum, Checksum::of(&fs::read(&link).unwrap()));
    let ours = |args: &[&str]| {
        run(env!("CARGO_BIN_EXE_ostree-rs"), &[args, &["--repo", path.to_str().unwrap()]].concat())
    };
    if need_root() {
        ours(&["fsck", "-q"]);
    }
    ours(&["prune", "--refs-only"]);
    assert_eq!(links(), found);
    ours(&["refs", "--delete", "os/stable"]);
    ours(&["prune", "--refs-only"]);
    assert_eq!(links(), []);
    assert!(fs::symlink_metadata(&link).is_err());
}

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
