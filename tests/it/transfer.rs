//! Commits copied from store to store.

mod pipe;

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use ostree_rs::base::Ctx;
use ostree_rs::format::variant::Dict;
use ostree_rs::format::{
    Commit, CommitId, DirMeta, FileHeader, FileId, MetaKind, ObjectName, ObjectType, RefName, RootDir, Xattrs,
};
use ostree_rs::store::{
    CommitBytes, Completeness, Content, Depth, Error, FileObject, MemStore, MutableTree, ObjectRead,
    ObjectWrite, Reachable, Refs, Refusal, Result, Txn, load_commitmeta, local_ref, walk_commit,
};
use ostree_rs::transfer::{
    self, CopiedRef, Extent, FileModes, Moves, RefCopy, TransferOptions, TransferStats, Trust,
};

/// A store whose objects can be taken away or damaged, and that counts reads of content.
struct Flawed {
    inner: MemStore,
    missing: Option<ObjectName>,
    damaged: Option<ObjectName>,
    opened: AtomicU64,
}

impl ObjectRead for Flawed {
    fn contains(&self, name: &ObjectName) -> Result<bool> {
        Ok(self.missing != Some(*name) && self.inner.contains(name)?)
    }

    fn read_meta(&self, name: &ObjectName) -> Result<Option<Vec<u8>>> {
        let mut bytes = self.inner.read_meta(name)?.filter(|_| self.missing != Some(*name));
        if let Some(bytes) = bytes.as_mut().filter(|_| self.damaged == Some(*name)) {
            *bytes.last_mut().unwrap() ^= 1;
        }
        Ok(bytes)
    }

    fn open_file(&self, id: &FileId) -> Result<Option<FileObject>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        if self.missing == Some((*id).into()) {
            return Ok(None);
        }
        let file = self.inner.open_file(id)?;
        Ok(file.map(|mut file| {
            if self.damaged == Some((*id).into()) {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).unwrap();
                bytes[0] ^= 1;
                file.content = Content::Stream(Box::new(std::io::Cursor::new(bytes)));
            }
            file
        }))
    }
}

/// Three commits, one upon the other, each with one file more; detached metadata on the last.
fn source() -> (Flawed, Vec<CommitId>) {
    let store = MemStore::new();
    let meta = DirMeta::new(0, 0, 0o755, Xattrs::EMPTY);
    let meta_id = meta.id();
    store.write_meta(MetaKind::DirMeta, &meta.to_bytes()).unwrap();
    let mut root = MutableTree::new();
    root.set_meta(meta_id);
    let mut commits: Vec<CommitId> = Vec::new();
    for n in 0..3 {
        for (dir, mode) in [("usr", 0o644), ("var", 0o4755)] {
            let header = FileHeader::regular(0, 0, mode, Xattrs::EMPTY);
            let content = format!("{dir} {n}");
            let id = store.write_file(&header, content.len() as u64, &mut content.as_bytes()).unwrap();
            let dir = root.ensure_dir(&store, dir.parse_name()).unwrap();
            dir.set_meta(meta_id);
            dir.set_file(&store, format!("file{n}").parse_name(), id).unwrap();
        }
        let tree = root.write(&store).unwrap();
        commits.push(commit(&store, tree, commits.last().copied()));
    }
    let mut detached = Dict::new();
    detached.insert("some.signature", b"bytes".to_vec());
    store.set_detached(&commits[2], &detached).unwrap();
    (Flawed { inner: store, missing: None, damaged: None, opened: AtomicU64::new(0) }, commits)
}

trait ParseName {
    fn parse_name(&self) -> ostree_rs::format::FileName;
}

impl ParseName for str {
    fn parse_name(&self) -> ostree_rs::format::FileName {
        ostree_rs::format::FileName::new(self).unwrap()
    }
}

fn commit(store: &MemStore, root: RootDir, parent: Option<CommitId>) -> CommitId {
    let commit = Commit {
        metadata: Dict::new(),
        parent,
        related: Vec::new(),
        subject: "s".into(),
        body: String::new(),
        timestamp: 7,
        root,
    };
    store.write_commit(&commit).unwrap()
}

fn objects(store: &MemStore, commit: &CommitId) -> Result<Vec<ObjectName>> {
    let mut names = Vec::new();
    walk_commit(store, commit, &mut Reachable::default(), &mut |name| {
        names.push(name);
        match store.contains(&name)? {
            true => Ok(()),
            false => Err(Error::NotFound(name)),
        }
    })?;
    Ok(names)
}

fn copy(
    from: &Flawed,
    to: &MemStore,
    commit: CommitId,
    options: &TransferOptions<'_>,
) -> Result<TransferStats> {
    transfer::copy(from, to, &[commit], options, &Ctx::default())
}

#[test]
fn depth_and_resumption() {
    let (from, commits) = source();
    let to = MemStore::new();
    let stats = copy(&from, &to, commits[2], &TransferOptions::default()).unwrap();
    // A commit, three dirtrees, a dirmeta, six files of at least six bytes.
    assert_eq!(
        stats,
        TransferStats { metadata_objects: 5, content_objects: 6, linked_objects: 0, copied_bytes: 30 }
    );
    assert_eq!(objects(&to, &commits[2]).unwrap(), objects(&from.inner, &commits[2]).unwrap());
    assert_eq!(to.completeness(&commits[2]).unwrap(), Completeness::Complete);
    assert_eq!(
        load_commitmeta(&to, &commits[2]).unwrap().unwrap().get_bytes("some.signature"),
        Some(&b"bytes"[..])
    );
    assert!(!to.contains(&commits[1].into()).unwrap());
    assert_eq!(copy(&from, &to, commits[2], &TransferOptions::default()).unwrap(), TransferStats::default());

    let one = TransferOptions { depth: Depth::Parents(1), ..TransferOptions::default() };
    assert_eq!(copy(&from, &to, commits[2], &one).unwrap().metadata_objects, 4);
    assert!(!to.contains(&commits[0].into()).unwrap());
    let all = TransferOptions { depth: Depth::All, ..TransferOptions::default() };
    copy(&from, &to, commits[2], &all).unwrap();
    objects(&to, &commits[0]).unwrap();
}

#[test]
fn commit_only_first() {
    let (from, commits) = source();
    let to = MemStore::new();
    let only =
        TransferOptions { extent: Extent::CommitOnly, depth: Depth::All, ..TransferOptions::default() };
    assert_eq!(copy(&from, &to, commits[2], &only).unwrap().metadata_objects, 3);
    assert_eq!(to.completeness(&commits[0]).unwrap(), Completeness::Partial);
    copy(&from, &to, commits[1], &TransferOptions::default()).unwrap();
    assert_eq!(to.completeness(&commits[1]).unwrap(), Completeness::Complete);
    assert_eq!(to.completeness(&commits[2]).unwrap(), Completeness::Partial);
    objects(&to, &commits[1]).unwrap();
}

#[test]
fn subpaths_leave_the_commit_partial() {
    let (from, commits) = source();
    let to = MemStore::new();
    let some = |paths: &[&str]| TransferOptions {
        extent: Extent::Subpaths(paths.iter().map(|p| (*p).into()).collect()),
        ..TransferOptions::default()
    };
    assert_eq!(copy(&from, &to, commits[2], &some(&["/usr/file1"])).unwrap().content_objects, 1);
    assert_eq!(copy(&from, &to, commits[2], &some(&["/usr"])).unwrap().content_objects, 2);
    assert_eq!(copy(&from, &to, commits[2], &some(&["/us", "/usr/file"])).unwrap(), TransferStats::default());
    assert_eq!(to.completeness(&commits[2]).unwrap(), Completeness::Partial);
    assert_eq!(copy(&from, &to, commits[2], &some(&["/"])).unwrap().content_objects, 3);
    objects(&to, &commits[2]).unwrap();
}

#[test]
fn every_flaw_is_named() {
    let (mut from, commits) = source();
    let names = objects(&from.inner, &commits[2]).unwrap();
    for name in names {
        for damage in [false, true] {
            (from.missing, from.damaged) = if damage { (None, Some(name)) } else { (Some(name), None) };
            for trust in [Trust::Linked, Trust::Nothing] {
                let to = MemStore::new();
                let options = TransferOptions { trust, ..TransferOptions::default() };
                match copy(&from, &to, commits[2], &options) {
                    Err(Error::NotFound(missing)) if !damage => assert_eq!(missing, name),
                    Err(Error::Mismatch { expected, .. }) if damage => assert_eq!(expected, name),
                    other => panic!("{name}: {other:?}"),
                }
                let is_partial = to.completeness(&commits[2]).unwrap() == Completeness::Partial;
                assert_eq!(is_partial, name.kind != ObjectType::Commit);
                // Once the source is whole again, the copy goes on.
                (from.missing, from.damaged) = (None, None);
                copy(&from, &to, commits[2], &options).unwrap();
                objects(&to, &commits[2]).unwrap();
                assert_eq!(to.completeness(&commits[2]).unwrap(), Completeness::Complete);
                (from.missing, from.damaged) = if damage { (None, Some(name)) } else { (Some(name), None) };
            }
        }
    }
}

#[test]
fn a_missing_parent_ends_the_history() {
    let (mut from, commits) = source();
    from.missing = Some(commits[0].into());
    let to = MemStore::new();
    let all = TransferOptions { depth: Depth::All, ..TransferOptions::default() };
    copy(&from, &to, commits[2], &all).unwrap();
    assert!(to.contains(&commits[1].into()).unwrap());
    assert!(matches!(copy(&from, &to, commits[0], &all), Err(Error::NotFound(_))));
}

#[test]
fn the_check_comes_before_anything_is_written() {
    let (from, commits) = source();
    let to = MemStore::new();
    let check = |commit: &CommitBytes<'_>| -> Result<(), Refusal> {
        assert_eq!(Commit::parse(commit.bytes).unwrap().id(), commit.id);
        match commit.detached {
            Some(_) => Ok(()),
            None => Err(format!("{} is not signed", commit.id).into()),
        }
    };
    let options = TransferOptions { depth: Depth::All, voucher: Some(&check), ..TransferOptions::default() };
    assert!(matches!(copy(&from, &to, commits[1], &options), Err(Error::Refused { .. })));
    assert!(!to.contains(&commits[1].into()).unwrap());
    let options = TransferOptions { voucher: Some(&check), ..TransferOptions::default() };
    copy(&from, &to, commits[2], &options).unwrap();
}

#[test]
fn modes_that_bare_user_only_cannot_keep() {
    let (from, commits) = source();
    let options = TransferOptions { file_modes: FileModes::BareUserOnly, ..TransferOptions::default() };
    let error = copy(&from, &MemStore::new(), commits[0], &options).unwrap_err();
    assert!(error.to_string().contains("invalid mode 0104755 with bits 04000"), "{error}");
}

/// Between repositories on disk, written by C ostree and checked by it afterwards.
#[test]
fn every_mode_into_every_other() {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use cap_std::ambient_authority;
    use cap_std::fs::Dir;
    use ostree_rs::format::{RefSpec, RepoMode};
    use ostree_rs::repo::Repo;
    use ostree_rs::store::Refs;

    use crate::oracle::{need, run};

    if !need("ostree") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let tree = tmp.path().join("tree");
    fs::create_dir_all(tree.join("sub")).unwrap();
    fs::write(tree.join("sub/file"), "content").unwrap();
    fs::write(tree.join("large"), vec![7; 1 << 20]).unwrap();
    std::os::unix::fs::symlink("sub/file", tree.join("link")).unwrap();
    let open = |name: &str| Dir::open_ambient_dir(tmp.path().join(name), ambient_authority()).unwrap();
    let main: RefSpec = "x".parse().unwrap();
    let modes = [RepoMode::Bare, RepoMode::BareUser, RepoMode::BareUserOnly, RepoMode::Archive];
    for from_mode in modes {
        let from = format!("from-{from_mode}");
        let arg = format!("--repo={}", tmp.path().join(&from).display());
        run("ostree", &[&arg, "init", &format!("--mode={from_mode}")]);
        let tree_arg = format!("--tree=dir={}", tree.display());
        run("ostree", &[&arg, "commit", "-b", "x", "--canonical-permissions", "--no-xattrs", &tree_arg]);
        let source = Repo::open(open(&from)).unwrap();
        let commit = source.resolve(&main).unwrap().unwrap();
        for to_mode in modes {
            for trust in [Trust::Source, Trust::Linked, Trust::Nothing] {
                let to = format!("{from}-to-{to_mode}-{trust:?}");
                fs::create_dir(tmp.path().join(&to)).unwrap();
                let target = Repo::create(open(&to), to_mode, None).unwrap();
                let ctx = Ctx::default();
                let txn = target.begin(&ctx).unwrap();
                let options = TransferOptions { trust, ..TransferOptions::default() };
                let stats = transfer::copy(&source, &txn, &[commit], &options, &ctx).unwrap();
                txn.set_ref(&main, Some(commit)).unwrap();
                txn.commit(&ctx).unwrap();
                run("ostree", &["fsck", "-q", &format!("--repo={}", tmp.path().join(&to).display())]);
                assert_eq!((stats.metadata_objects, stats.content_objects), (4, 3), "{to}");
                // Regular files look the same with and without `user.ostreemeta`, links do not.
                let linked = match (from_mode, to_mode) {
                    _ if from_mode == to_mode => 3,
                    (RepoMode::BareUser, RepoMode::BareUserOnly) => 2,
                    _ => 0,
                };
                assert_eq!(stats.linked_objects, linked, "{to}");
                let tree = ostree_rs::store::load_commit(&source, &commit).unwrap().root.tree;
                let path = ObjectName::from(tree).loose_path(to_mode);
                let links = fs::metadata(tmp.path().join(&to).join("objects").join(path)).unwrap().nlink();
                assert_eq!(links > 1, trust != Trust::Nothing, "{to}");
            }
        }
    }
}

#[test]
fn refs_move_forward_only() {
    let (from, commits) = source();
    let name = |name: &str| name.parse::<RefName>().unwrap();
    let (to, source) = (MemStore::new(), from.inner);
    source.set_ref(&local_ref(name("new")), Some(commits[2])).unwrap();
    source.set_ref(&local_ref(name("old")), Some(commits[0])).unwrap();
    let copy = |from: &str, moves| {
        let refs = [RefCopy { from: name(from), to: name("main") }];
        transfer::copy_refs(&source, &to, &refs, moves, &TransferOptions::default(), &Ctx::default())
    };
    let (copied, stats) = copy("old", Moves::Forward).unwrap();
    assert_eq!(copied, [CopiedRef { name: name("main"), before: None, now: commits[0] }]);
    assert_eq!(stats.content_objects, 2);
    let (copied, _) = copy("new", Moves::Forward).unwrap();
    assert_eq!(copied, [CopiedRef { name: name("main"), before: Some(commits[0]), now: commits[2] }]);
    assert_eq!(copy("new", Moves::Forward).unwrap().1, TransferStats::default());
    let back = copy("old", Moves::Forward).unwrap_err();
    assert!(
        matches!(back, Error::NotForward { before, now, .. } if before == commits[2] && now == commits[0])
    );
    assert_eq!(to.resolve(&local_ref(name("main"))).unwrap(), Some(commits[2]));
    copy("old", Moves::Anywhere).unwrap();
    assert_eq!(to.resolve(&local_ref(name("main"))).unwrap(), Some(commits[0]));
    assert!(matches!(copy("none", Moves::Forward), Err(Error::RefNotFound(_))));
}
