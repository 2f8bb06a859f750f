//! Streams of ostree-ext's format, byte for byte as ostree-ext writes them.

use std::collections::HashMap;
use std::io::Read as _;

use ostree_rs::base::Ctx;
use ostree_rs::format::FileId;
use ostree_rs::store::{MemStore, ObjectRead as _};
use ostree_rs::tar::{
    ChunkContent, EntryKind, ExportOptions, ImportOptions, Reader, StreamPart, XattrDialect, export_commit,
    import_commit,
};

use super::{bare_store, commit_of, oci_layers, stable, unzstd};

/// The first difference, told so that one can find it.
fn assert_same(ours: &[u8], theirs: &[u8]) {
    if ours == theirs {
        return;
    }
    let at = ours.iter().zip(theirs).position(|(a, b)| a != b).unwrap_or(ours.len().min(theirs.len()));
    let block = |s: &[u8]| {
        let start = at / 512 * 512;
        String::from_utf8_lossy(&s[start.min(s.len())..(start + 512).min(s.len())]).replace('\0', "·")
    };
    panic!(
        "differ at byte {at} of {} and {}\nours:   {}\ntheirs: {}",
        ours.len(),
        theirs.len(),
        block(ours),
        block(theirs)
    );
}

fn export(store: &MemStore, options: &ExportOptions) -> Vec<u8> {
    let mut out = Vec::new();
    export_commit(store, &stable(), &mut out, options, &Ctx::default()).unwrap();
    out
}

#[test]
fn whole_commit_is_byte_for_byte_as_by_ostree_ext() {
    let store = bare_store();
    for (xattrs, theirs) in [(XattrDialect::Linked, "v1"), (XattrDialect::Copied, "v1-copied")] {
        let options = ExportOptions { xattrs, ..ExportOptions::default() };
        assert_same(&export(&store, &options), &unzstd(&format!("ostree-ext/{theirs}.tar.zst")));
    }
}

/// Which content objects a layer holds.
fn objects_in(layer: &[u8]) -> Vec<FileId> {
    let mut reader = Reader::new(layer);
    let mut out = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        if let ["sysroot", "ostree", "repo", "objects", dir, file] = &entry.names().unwrap()[..]
            && let Some(rest) = file.strip_suffix(".file")
        {
            out.push(FileId::new([dir, rest].concat().parse().unwrap()));
        }
    }
    out
}

#[test]
fn layers_are_byte_for_byte_as_by_ostree_ext() {
    let store = bare_store();
    let all = ChunkContent::of_commit(&store, &stable()).unwrap();
    for tag in ["single", "chunked"] {
        for (n, theirs) in oci_layers(tag).iter().enumerate() {
            let objects = objects_in(theirs);
            let content = all.select(|id| objects.contains(id));
            let mut ours = Vec::new();
            let part = if n == 0 { StreamPart::Rest(&content) } else { StreamPart::Chunk(&content) };
            let options = ExportOptions { part, ..ExportOptions::default() };
            export_commit(&store, &stable(), &mut ours, &options, &Ctx::default()).unwrap();
            assert_same(&ours, theirs);
        }
    }
}

#[test]
fn copied_xattrs_are_extended_headers_too() {
    let store = bare_store();
    let stream = export(&store, &ExportOptions { xattrs: XattrDialect::Copied, ..ExportOptions::default() });
    let mut reader = Reader::new(&*stream);
    let mut xattrs = 0;
    while let Some(entry) = reader.next_entry().unwrap() {
        if entry.path.ends_with(b".file") && entry.kind != EntryKind::Link {
            let hex =
                String::from_utf8(entry.path[entry.path.len() - 70..entry.path.len() - 5].into()).unwrap();
            let id = FileId::new(hex.replace('/', "").parse().unwrap());
            assert_eq!(store.open_file(&id).unwrap().unwrap().header.xattrs, entry.xattrs);
            xattrs += entry.xattrs.len();
        }
    }
    assert!(xattrs > 0);
}

#[test]
fn every_tree_exports_and_no_path_is_there_twice() {
    let long = format!("usr/lib/l -> {}//{}", "a".repeat(80), "b".repeat(80));
    let trees: [(&[&str], &[&str]); 6] = [
        (&["var/tmp/", "usr/etc/passwd"], &["var/tmp", "etc/passwd"]),
        (&["var -> usr/var", "usr/var/"], &["var", "usr/var"]),
        (&["var/tmp -> /tmp"], &["var/tmp"]),
        (&["etc/hosts", "usr/etc/passwd"], &["etc/hosts", "usr/etc/passwd", "var/tmp"]),
        (&["sysroot/ostree/repo/x", "sysroot/y"], &["var/tmp"]),
        (
            &["a -> x/./y", "b -> x//y", "c -> x/./y", "d -> ..foo/", &long],
            &["a", "b", "c", "d", "usr/lib/l"],
        ),
    ];
    for (paths, expected) in trees {
        let store = MemStore::new();
        let commit = commit_of(&store, paths);
        let mut stream = Vec::new();
        export_commit(&store, &commit, &mut stream, &ExportOptions::default(), &Ctx::default()).unwrap();
        let mut reader = Reader::new(&*stream);
        let mut seen = std::collections::BTreeSet::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            let path = entry.names().unwrap().join("/");
            assert!(seen.insert(path.clone()), "{path} is there twice");
            let mut content = Vec::new();
            reader.content().read_to_end(&mut content).unwrap();
        }
        for path in expected {
            assert!(seen.contains(*path), "{path} is missing of {paths:?}");
        }
        assert!(!seen.contains("sysroot/y"));
    }
}

/// ext4 lets a file have 65,000 names: what has more in a commit is there several times.
#[test]
fn no_file_has_more_names_than_file_systems_bear() {
    const MORE: usize = 65_010;
    let (store, ctx) = (MemStore::new(), Ctx::default());
    let own: Vec<_> = (0..MORE).map(|n| format!("own/{n}")).collect();
    let links: Vec<_> = (0..MORE).map(|n| format!("links/{n} -> same")).collect();
    let paths: Vec<_> = own.iter().chain(&links).map(String::as_str).collect();
    let commit = commit_of(&store, &paths);
    let mut stream = Vec::new();
    export_commit(&store, &commit, &mut stream, &ExportOptions::default(), &ctx).unwrap();
    let mut names = HashMap::<Vec<u8>, u32>::new();
    let (mut sets, mut links) = (0, 0);
    let mut reader = Reader::new(&*stream);
    while let Some(entry) = reader.next_entry().unwrap() {
        let is_link = entry.kind == EntryKind::Link;
        sets += usize::from(entry.path.ends_with(b".file-xattrs-link") && !is_link);
        links += usize::from(entry.path.starts_with(b"links/") && entry.kind == EntryKind::Symlink);
        *names.entry(if is_link { entry.link } else { entry.path }).or_default() += 1;
    }
    assert_eq!(names.values().max(), Some(&65_000));
    // The set has a name of its own, besides those of the objects, of which there is one more; a link that is copied
    // is linked to in turn.
    assert_eq!((sets, links), (MORE + 1 - 64_999, 1));
    let imported = MemStore::new();
    assert_eq!(import_commit(&mut &*stream, &imported, &ImportOptions::default(), &ctx).unwrap(), commit);
}
