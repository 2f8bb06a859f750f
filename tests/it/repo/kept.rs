//! What modes and settings let a repository keep of a file, and what it has from its parent.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ostree_rs::base::Ctx;
use ostree_rs::format::{FileHeader, ObjectName, RepoMode, Xattrs};
use ostree_rs::store::{Error, ObjectRead, ObjectWrite, Refs, Txn};

use super::txn::objects;
use super::{create, files, read, refspec, write_commit};

#[test]
fn what_a_mode_cannot_keep() {
    let tmp = tempfile::tempdir().unwrap();
    let repo = create(tmp.path(), RepoMode::BareUserOnly);
    let txn = repo.begin(&Ctx::default()).unwrap();
    let setuid = FileHeader::regular(0, 0, 0o4755, Default::default());
    let error = txn.write_file(&setuid, 2, &mut &b"hi"[..]).unwrap_err();
    let id = setuid.id_with(b"hi");
    // As `_ostree_validate_bareuseronly_mode` says it.
    let start = format!("Content object {id}: invalid mode 0104755 with bits 04000, ");
    assert!(error.to_string().starts_with(&start), "{error}");
    assert!(!txn.contains(&id.into()).unwrap());
    // It would be lost, and with it the checksum.
    let xattrs = Xattrs::from_pairs([(*b"user.a", *b"1"), (*b"user.b", *b"2")]);
    let owned = [FileHeader::regular(5, 6, 0o644, xattrs.clone()), FileHeader::symlink(5, 6, "to", xattrs)];
    for header in owned {
        for content in [&b""[..], &[b'x'; 300_000]] {
            let content = if header.symlink_target().is_some() { b"" } else { content };
            let error = txn.write_file(&header, content.len() as u64, &mut &*content).unwrap_err();
            assert!(matches!(error, Error::Unsupported(_)));
            let id = header.id_with(content);
            let start = format!("Content object {id}: owner 5:6, xattr user.a, xattr user.b, ");
            assert!(error.to_string().starts_with(&start), "{error}");
            assert!(!txn.contains(&id.into()).unwrap());
        }
    }
    assert_eq!(txn.commit(&Ctx::default()).unwrap().content_written, 0);
    assert_eq!(objects(&repo), 0);
}

#[test]
fn xattrs_that_are_disabled() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, mut to) = (create(from.path(), RepoMode::Bare), create(to.path(), RepoMode::Bare));
    to.update_config(|file| {
        file.set_string("core", "disable-xattrs", "true").unwrap();
        Ok(())
    })
    .unwrap();
    let ctx = Ctx::default();
    let owner = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let xattrs = Xattrs::from_pairs([(*b"user.a", *b"1")]);
    let [with, without] =
        [xattrs, Xattrs::EMPTY].map(|xattrs| FileHeader::regular(owner.0, owner.1, 0o644, xattrs));
    let txn = from.begin(&ctx).unwrap();
    let ids = [&with, &without].map(|header| txn.write_file(header, 2, &mut &b"hi"[..]).unwrap());
    txn.commit(&ctx).unwrap();

    let txn = to.begin(&ctx).unwrap();
    for content in [&b"hi"[..], &[b'x'; 300_000]] {
        let error = txn.write_file(&with, content.len() as u64, &mut &*content).unwrap_err();
        let start = format!("Content object {}: it has xattrs, ", with.id_with(content));
        assert!(error.to_string().starts_with(&start), "{error}");
    }
    // By hard link neither.
    let linked = ids.map(|id| txn.link_file(&id, &from.loose_file(&id).unwrap()).unwrap());
    assert_eq!(linked, [false, true]);
    txn.commit(&ctx).unwrap();
    assert_eq!(objects(&to), 1);
    let file = to.open_file(&ids[1]).unwrap().unwrap();
    assert_eq!(file.header, without);
}

/// The kernel gives every symbolic link the same permissions.
#[test]
fn permissions_of_symbolic_links() {
    let header = FileHeader { permissions: 0o644, ..FileHeader::symlink(0, 0, "to", Xattrs::EMPTY) };
    let id = header.id_with(b"");
    for mode in RepoMode::ALL {
        let tmp = tempfile::tempdir().unwrap();
        let repo = create(tmp.path(), mode);
        let txn = repo.begin(&Ctx::default()).unwrap();
        let written = txn.write_file(&header, 0, &mut &b""[..]);
        if matches!(mode, RepoMode::BareUser | RepoMode::Archive) {
            assert_eq!(written.unwrap(), id);
            assert_eq!(txn.open_file(&id).unwrap().unwrap().header, header);
            continue;
        }
        let error = written.unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{mode}: {error}");
        let start =
            format!("Content object {id}: a symbolic link with mode 0120644, which mode {mode} cannot");
        assert!(error.to_string().starts_with(&start), "{error}");
        assert!(!txn.contains(&id.into()).unwrap());
    }
}

#[test]
fn objects_by_hard_link() {
    for mode in RepoMode::ALL {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (from, to) = (create(one.path(), mode), create(two.path(), mode));
        let ctx = Ctx::default();
        let txn = from.begin(&ctx).unwrap();
        write_commit(&txn, &files());
        txn.commit(&ctx).unwrap();
        let txn = to.begin(&ctx).unwrap();
        for (name, header, content) in files() {
            let id = header.id_with(&content);
            assert!(txn.link_file(&id, &from.loose_file(&id).unwrap()).unwrap(), "{mode} {name}");
            let object = txn.open_file(&id).unwrap().unwrap();
            assert_eq!((object.header.clone(), read(object)), (header, content));
        }
        txn.commit(&ctx).unwrap();
        for (_, header, content) in files() {
            let path = ObjectName::from(header.id_with(&content)).loose_path(mode);
            let inode = |repo: &Path| repo.join("objects").join(&path).symlink_metadata().unwrap().ino();
            assert_eq!(inode(one.path()), inode(two.path()));
        }
        let third = tempfile::tempdir().unwrap();
        let other = RepoMode::ALL.into_iter().find(|m| *m != mode).unwrap();
        let third = create(third.path(), other);
        let txn = third.begin(&ctx).unwrap();
        let (_, header, content) = &files()[3];
        let id = header.id_with(content);
        assert!(!txn.link_file(&id, &from.loose_file(&id).unwrap()).unwrap(), "from {mode} to {other}");
    }
}

#[test]
fn a_parent_has_what_is_missing() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let parent = create(one.path(), RepoMode::BareUser);
    let txn = parent.begin(&Ctx::default()).unwrap();
    let commit = write_commit(&txn, &files());
    txn.set_ref(&refspec("main"), Some(commit)).unwrap();
    txn.commit(&Ctx::default()).unwrap();
    let mut repo = create(two.path(), RepoMode::Archive);
    assert!(!repo.contains(&commit.into()).unwrap());
    repo.set_parent(parent);
    assert!(repo.contains(&commit.into()).unwrap() && repo.read_meta(&commit.into()).unwrap().is_some());
    assert_eq!(repo.resolve(&refspec("main")).unwrap(), Some(commit));
    let (_, header, content) = &files()[0];
    let id = header.id_with(content);
    assert_eq!(repo.open_file(&id).unwrap().unwrap().header, *header);
    assert_eq!(repo.loose_file(&id).unwrap().mode, RepoMode::BareUser);
    assert_eq!(repo.devino_cache().unwrap().len(), 4);
}
