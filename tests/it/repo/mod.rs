//! The repository on disk, compared with what C ostree writes and reads.

mod archive;
mod at_once;
mod beside_c;
mod durable;
mod interop;
mod kept;
mod plain_fs;
mod reflinks;
mod refs;
mod strangers;
mod txn;

use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ostree_rs::base::Ctx;
use ostree_rs::format::variant::Dict;
use ostree_rs::format::{
    Checksum, Commit, CommitId, DirEntry, DirMeta, DirTree, FileHeader, FileId, FileName, MetaKind,
    ObjectName, ObjectType, RefSpec, RepoMode, RootDir, Xattrs,
};
use ostree_rs::repo::Repo;
use ostree_rs::store::{Completeness, Error, MemStore, ObjectRead, Refs, Txn, load_commit, walk_commit};

use crate::oracle::{need, run};

fn dir(path: &Path) -> Dir {
    Dir::open_ambient_dir(path, ambient_authority()).unwrap()
}

fn create(path: &Path, mode: RepoMode) -> Repo {
    fs::create_dir_all(path).unwrap();
    Repo::create(dir(path), mode, None).unwrap()
}

fn open(path: &Path) -> Repo {
    Repo::open(dir(path)).unwrap()
}

fn read(mut from: impl Read) -> Vec<u8> {
    let mut out = Vec::new();
    from.read_to_end(&mut out).unwrap();
    out
}

/// Files that every mode can keep: small, empty, larger than what is held in memory, a link.
fn files() -> Vec<(&'static str, FileHeader, Vec<u8>)> {
    let large = (0..700_000_u32).flat_map(|n| (n / 3).to_le_bytes()).collect();
    let regular = |mode| FileHeader::regular(0, 0, mode, Xattrs::EMPTY);
    vec![
        ("empty", regular(0o644), Vec::new()),
        ("large", regular(0o755), large),
        ("link", FileHeader::symlink(0, 0, "../x//y/.", Xattrs::EMPTY), Vec::new()),
        ("small", regular(0o600), b"content\n".to_vec()),
    ]
}

/// Writes a commit with these files; returns it.
fn write_commit(store: &dyn Txn, files: &[(&str, FileHeader, Vec<u8>)]) -> CommitId {
    let meta = DirMeta { uid: 0, gid: 0, mode: 0o040_755, xattrs: Xattrs::EMPTY };
    let meta = store.write_dirmeta(&meta).unwrap();
    let mut tree = DirTree::default();
    for (name, header, content) in files {
        let id = store.write_file(header, content.len() as u64, &mut Cursor::new(content)).unwrap();
        assert_eq!(id, header.id_with(content));
        tree.files.insert(FileName::new(name).unwrap(), id);
    }
    let write_tree = |tree: &DirTree| store.write_dirtree(tree).unwrap();
    let mut root = DirTree::default();
    root.dirs.insert(FileName::new("sub").unwrap(), DirEntry { tree: write_tree(&tree), meta });
    let commit = Commit {
        metadata: Dict::new(),
        parent: None,
        related: Vec::new(),
        subject: "subject".into(),
        body: String::new(),
        timestamp: 1_700_000_000,
        root: RootDir { tree: write_tree(&root), meta },
    };
    store.write_commit(&commit).unwrap()
}

fn refspec(text: &str) -> RefSpec {
    text.parse().unwrap()
}

/// What every store has to do.
fn conformance(store: &dyn Txn) -> CommitId {
    let files = files();
    let commit = write_commit(store, &files);
    assert_eq!(write_commit(store, &files), commit);
    for (name, header, content) in &files {
        let id = header.id_with(content);
        assert!(store.contains(&id.into()).unwrap());
        let file = store.open_file(&id).unwrap().unwrap();
        assert_eq!((&file.header, file.len), (header, content.len() as u64), "{name}");
        assert!(read(file) == *content, "{name}");
    }
    assert!(load_commit(store, &commit).is_ok());

    let absent = Checksum::of(b"absent");
    assert!(!store.contains(&ObjectName::new(absent, ObjectType::DirTree)).unwrap());
    assert!(store.read_meta(&ObjectName::new(absent, ObjectType::Commit)).unwrap().is_none());
    assert!(store.open_file(&FileId::new(absent)).unwrap().is_none());

    let regular = FileHeader::regular(0, 0, 0o644, Xattrs::EMPTY);
    for len in [0, 3, 5, 1 << 20] {
        let wrong = store.write_file(&regular, len, &mut &b"four"[..]);
        assert!(matches!(wrong, Err(Error::Read { .. })), "{len}");
    }
    assert!(matches!(store.write_meta(MetaKind::DirTree, b"rubbish"), Err(Error::Corrupt { .. })));

    let main = refspec("a/main");
    assert_eq!(store.resolve(&main).unwrap(), None);
    store.set_ref(&main, Some(commit)).unwrap();
    store.set_ref(&refspec("origin:b"), Some(commit)).unwrap();
    assert_eq!(store.resolve(&main).unwrap(), Some(commit));
    assert_eq!(store.list().unwrap().len(), 2);
    let digits = commit.to_string();
    assert_eq!(store.commits_with_prefix(&digits[..1]).unwrap(), [commit]);
    assert_eq!(store.commits_with_prefix(&digits[..5]).unwrap(), [commit]);

    let mut detached = Dict::new();
    detached.insert("key", "value");
    store.set_detached(&commit, &detached).unwrap();
    let name = ObjectName::commitmeta(&commit);
    assert_eq!(store.read_meta(&name).unwrap().unwrap(), detached.to_bytes());
    store.set_partial(&commit, Completeness::Partial).unwrap();
    store.set_partial(&commit, Completeness::Complete).unwrap();
    commit
}

#[test]
fn every_store_does_the_same() {
    let in_memory = MemStore::new();
    let commit = conformance(&in_memory);
    for mode in RepoMode::ALL {
        let tmp = tempfile::tempdir().unwrap();
        let repo = create(tmp.path(), mode);
        let txn = repo.begin(&Ctx::default()).unwrap();
        assert_eq!(conformance(&txn), commit, "{mode}");
        assert!(!repo.contains(&commit.into()).unwrap(), "{mode}: visible before the commit");
        let stats = txn.commit(&Ctx::default()).unwrap();
        assert_eq!((stats.metadata_written, stats.content_written), (4, 4), "{mode}");
        assert_eq!((stats.metadata_total, stats.content_total), (9, 12), "{mode}");

        let repo = open(tmp.path());
        assert_eq!(repo.resolve(&refspec("a/main")).unwrap(), Some(commit), "{mode}");
        assert_eq!(repo.completeness(&commit).unwrap(), Completeness::Complete);
        let mut seen = 0;
        walk_commit(&repo, &commit, &mut Default::default(), &mut |name| {
            seen += 1;
            assert!(repo.contains(&name).unwrap());
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, 8, "{mode}");
        let left: Vec<_> =
            fs::read_dir(tmp.path().join("tmp")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["cache"], "{mode}");
        if need("ostree") && mode != RepoMode::BareSplitXattrs {
            let arg = format!("--repo={}", tmp.path().display());
            run("ostree", &[&arg, "fsck", "-q"]);
        }
    }
}
