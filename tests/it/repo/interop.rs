//! What we write is what C ostree writes, and what it writes we read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flate2::read::DeflateDecoder;
use ostree_rs::base::Ctx;
use ostree_rs::format::{Checksum, FileId, MetaKind, ObjectType, RepoMode};
use ostree_rs::repo::Repo;
use ostree_rs::store::{ObjectRead, ObjectWrite, Refs, Txn};

use super::{create, dir, open, read};
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
