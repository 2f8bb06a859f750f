//! Streams of ostree-ext's format come back as the same objects, and nothing else comes in.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use ostree_rs::base::{Ctx, ErrorKind, Kind as _};
use ostree_rs::format::{CommitId, FileId, ObjectName, ObjectType};
use ostree_rs::store::{
    CommitBytes, Completeness, MemStore, ObjectRead as _, Reachable, Txn as _, walk_commit,
};
use ostree_rs::tar::{
    ContentErrorKind, EntryErrorKind, EntryKind, Error, ExportOptions, ImportOptions, Reader, Writer,
    XattrDialect, check_complete, export_commit, import_commit, import_commit_layer, import_objects,
    write_object_set,
};

use super::{bare_store, commit_of, oci_layers, stable, unzstd};

fn import(stream: &[u8], store: &MemStore) -> Result<CommitId, Error> {
    import_commit(&mut { stream }, store, &ImportOptions::default(), &Ctx::default())
}

/// Everything that the commit reaches is in both stores, bytes and all.
fn assert_equal(commit: &CommitId, ours: &MemStore, theirs: &MemStore) {
    let mut n = 0;
    walk_commit(theirs, commit, &mut Reachable::default(), &mut |name| {
        n += 1;
        if name.kind == ObjectType::File {
            // A store in memory names content by what it is.
            assert!(ours.contains(&name)?, "{name}");
        } else {
            assert_eq!(ours.read_meta(&name)?, theirs.read_meta(&name)?, "{name}");
        }
        Ok(())
    })
    .unwrap();
    assert!(n > 3);
    let detached = ObjectName::commitmeta(commit);
    assert_eq!(ours.read_meta(&detached).unwrap(), theirs.read_meta(&detached).unwrap());
}

#[test]
fn what_ostree_ext_wrote_comes_in() {
    for stream in ["v1", "v1-copied"] {
        let store = MemStore::new();
        assert_eq!(import(&unzstd(&format!("ostree-ext/{stream}.tar.zst")), &store).unwrap(), stable());
        assert_equal(&stable(), &store, &bare_store());
    }
}

#[test]
fn what_we_write_comes_in() {
    for xattrs in [XattrDialect::Linked, XattrDialect::Copied] {
        let (source, store) = (bare_store(), MemStore::new());
        let mut stream = Vec::new();
        let options = ExportOptions { xattrs, ..ExportOptions::default() };
        export_commit(&source, &stable(), &mut stream, &options, &Ctx::default()).unwrap();
        assert_eq!(import(&stream, &store).unwrap(), stable());
        assert_equal(&stable(), &store, &source);
    }
}

#[test]
fn layers_come_in_any_order_after_the_first() {
    let store = MemStore::new();
    let ctx = Ctx::default();
    let layers = oci_layers("chunked");
    let first = import_commit_layer(&mut &*layers[0], &store, &ImportOptions::default(), &ctx).unwrap();
    assert_eq!(first.commit, stable());
    assert_eq!(store.completeness(&stable()).unwrap(), Completeness::Partial);
    assert!(matches!(check_complete(&store, &stable()), Err(Error::Content(_))));
    let mut found = HashSet::new();
    for layer in layers[1..].iter().rev() {
        found.extend(import_objects(&mut &**layer, &store, Some(&first.elsewhere), None, &ctx).unwrap());
    }
    assert_eq!(found, first.elsewhere);
    check_complete(&store, &stable()).unwrap();
    assert_equal(&stable(), &store, &bare_store());

    // A layer with other objects than the commit's is refused before the first is written.
    let store = MemStore::new();
    let error = import_objects(&mut &*layers[1], &store, Some(&HashSet::new()), None, &ctx).unwrap_err();
    assert!(matches!(error, Error::Entry { kind: EntryErrorKind::Unexpected, .. }), "{error}");
    // The first layer alone is no whole commit.
    let error = import(&layers[0], &MemStore::new()).unwrap_err();
    assert!(matches!(error, Error::Content(ContentErrorKind::Incomplete(..))), "{error}");
}

#[test]
fn the_hook_decides_before_anything_is_written() {
    let stream = unzstd("ostree-ext/v1.tar.zst");
    let store = MemStore::new();
    let asked = AtomicUsize::new(0);
    let verify = |commit: &CommitBytes<'_>| {
        asked.fetch_add(1, Relaxed);
        assert_eq!(commit.id, stable());
        assert!(!commit.bytes.is_empty() && commit.detached.is_some_and(|bytes| bytes.len() > 64));
        Err("no".into())
    };
    let options = ImportOptions { voucher: Some(&verify), ..ImportOptions::default() };
    let error = import_commit(&mut &*stream, &store, &options, &Ctx::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert_eq!(asked.load(Relaxed), 1);
    walk_commit(&bare_store(), &stable(), &mut Reachable::default(), &mut |name| {
        assert!(!store.contains(&name)?, "{name} was written");
        Ok(())
    })
    .unwrap();
}

/// A small commit and its stream, without the directories.
fn small() -> (MemStore, CommitId, Vec<u8>) {
    let store = MemStore::new();
    let commit = commit_of(&store, &["usr/bin/sh", "usr/etc/passwd", "usr/l -> a//b", "var/"]);
    let mut stream = Vec::new();
    export_commit(&store, &commit, &mut stream, &ExportOptions::default(), &Ctx::default()).unwrap();
    let stream = edit(&stream, |path, kind, bytes| match kind {
        EntryKind::Dir => Vec::new(),
        _ if path.ends_with("/config") => Vec::new(),
        _ => bytes.to_vec(),
    });
    (store, commit, stream)
}

/// Passes the bytes of each entry, headers and all, through `f`.
fn edit(stream: &[u8], mut f: impl FnMut(&str, EntryKind, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut reader = Reader::new(stream);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        entries.push((entry.offset as usize, String::from_utf8(entry.path).unwrap(), entry.kind));
    }
    let ends = entries.iter().skip(1).map(|e| e.0).chain([stream.len() - 1024]);
    let mut out = Vec::new();
    for ((start, path, kind), end) in entries.iter().zip(ends.collect::<Vec<_>>()) {
        out.extend(f(path, *kind, &stream[*start..end]));
    }
    out.extend([0; 1024]);
    out
}

#[test]
fn every_changed_byte_is_refused_or_means_nothing() {
    let (_, commit, stream) = small();
    assert!(stream.len() < 64 * 1024);
    for at in 0..stream.len() {
        // Zeros lie in padding and unused fields mostly: some of them will do.
        if stream[at] == 0 && at % 16 != 0 {
            continue;
        }
        let mut bad = stream.clone();
        bad[at] ^= if at % 32 < 16 { 0x01 } else { 0x20 };
        let store = MemStore::new();
        match import(&bad, &store) {
            Ok(id) => {
                assert_eq!(id, commit, "byte {at}");
                check_complete(&store, &id).unwrap();
            }
            Err(_) => assert!(!store.contains(&commit.into()).unwrap(), "byte {at}"),
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    let (_, commit, stream) = small();
    for len in (0..stream.len()).step_by(97) {
        let store = MemStore::new();
        assert!(import(&stream[..len], &store).is_err(), "{len}");
        assert!(!store.contains(&commit.into()).unwrap());
    }
}

#[test]
fn what_a_commit_does_not_reach_is_refused() {
    let (_, _, stream) = small();
    let other = MemStore::new();
    let other_commit = commit_of(&other, &["other"]);
    let mut foreign = Vec::new();
    export_commit(&other, &other_commit, &mut foreign, &ExportOptions::default(), &Ctx::default()).unwrap();
    for suffix in [".file", ".dirtree"] {
        let mut extra = Vec::new();
        edit(&foreign, |path, _, bytes| {
            let wanted = path.contains("/objects/")
                && (path.ends_with(suffix) || suffix == ".file" && path.contains(".file-xattrs"));
            extra.extend(if wanted { bytes.to_vec() } else { Vec::new() });
            Vec::new()
        });
        let stream = [&stream[..stream.len() - 1024], &extra, &[0; 1024]].concat();
        let error = import(&stream, &MemStore::new()).unwrap_err();
        assert!(matches!(error, Error::Entry { kind: EntryErrorKind::Unexpected, .. }), "{error}");
    }
}

#[test]
fn missing_and_doubled_objects_are_refused() {
    let (_, _, stream) = small();
    for suffix in [".commit", ".dirtree", ".dirmeta", ".file", ".file-xattrs", ".file-xattrs-link"] {
        for times in [0, 2] {
            let mut left = 1;
            let bad = edit(&stream, |path, _, bytes| {
                if path.ends_with(suffix) && left > 0 {
                    left -= 1;
                    return bytes.repeat(times);
                }
                bytes.to_vec()
            });
            // A set of xattrs that stands there twice says the same twice.
            let fine = suffix == ".file-xattrs" && times == 2;
            assert_eq!(import(&bad, &MemStore::new()).is_ok(), fine, "{suffix} {times} times");
        }
    }
}

#[test]
fn unsafe_paths_are_refused_even_in_the_checkout() {
    let (_, _, stream) = small();
    let body = &stream[..stream.len() - 1024];
    for (path, target) in
        [("../x", "a"), ("/x", "a"), ("a/../../x", "a"), ("ok", "../../etc/passwd"), ("ok", "/x")]
    {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Link);
        header.set_size(0);
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        let bad = [body, header.as_bytes(), &[0; 1024]].concat();
        let error = import(&bad, &MemStore::new()).unwrap_err();
        assert!(matches!(error, Error::Entry { .. }), "{path} {target}: {error}");
    }
}

#[test]
fn version_0_comes_in() {
    let (source, commit, stream) = small();
    let mut reader = Reader::new(&*stream);
    let mut writer = Writer::new(Vec::new());
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut reader.content(), &mut content).unwrap();
        let v0 = |path: &[u8]| {
            let path = std::str::from_utf8(path).unwrap();
            let path = match path.strip_suffix(".file-xattrs") {
                Some(set) => format!("sysroot/ostree/repo/xattrs/{}", set[28..].replace('/', "")),
                None => path.replace(".file-xattrs-link", ".file.xattrs"),
            };
            format!("./{path}")
        };
        let mut header = tar::Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        // Version 0 wrote the type into the mode.
        header.set_mode(entry.permissions | 0o100_000);
        header.set_size(entry.size);
        match entry.kind {
            EntryKind::Regular => {
                header.set_entry_type(tar::EntryType::Regular);
                writer.append_bytes(&mut header, &v0(&entry.path), &content).unwrap();
            }
            EntryKind::Symlink => {
                header.set_entry_type(tar::EntryType::Symlink);
                let target = std::str::from_utf8(&entry.link).unwrap();
                writer.append_link(&mut header, &v0(&entry.path), target).unwrap();
            }
            _ => {
                header.set_entry_type(tar::EntryType::Link);
                writer.append_link(&mut header, &v0(&entry.path), &v0(&entry.link)).unwrap();
            }
        }
    }
    let stream = writer.finish().unwrap();
    let store = MemStore::new();
    assert_eq!(import(&stream, &store).unwrap(), commit);
    assert_equal(&commit, &store, &source);
}

#[test]
fn object_sets_depend_on_their_objects_alone() {
    let store = MemStore::new();
    let ids: Vec<FileId> = ["aa", "bb"].iter().map(|b| FileId::new(b.repeat(32).parse().unwrap())).collect();
    let forwards = write_object_set(&store, &ids.iter().copied().collect(), Default::default()).unwrap();
    let backwards =
        write_object_set(&store, &ids.iter().rev().copied().collect(), Default::default()).unwrap();
    assert_eq!(forwards, backwards);
    assert_ne!(forwards, write_object_set(&store, &[ids[0]].into(), Default::default()).unwrap());
}
