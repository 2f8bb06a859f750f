//! The bodies of the fuzz targets: they return, whatever the input is, and never allocate much beyond it.

use std::collections::BTreeSet;
use std::io;

use ostree_format::fuzz::FuzzTarget;

use super::archive::Archive;
use super::zip::ZipReader;
use super::{
    ArchiveInput, ImportOptions, LayerOptions, Parents, Reader, TreeOptions, import_commit, import_layer,
    import_objects, import_tree,
};
use crate::base::Ctx;
use crate::store::{ListedOverLink, MemStore, Modifier, MutableTree, Upper};

/// The fuzz targets of this module, by name.
pub const TARGETS: [FuzzTarget; 6] = [
    ("tar_reader", reader),
    ("tar_zip", zip),
    ("tar_import", import),
    ("tar_objects", objects),
    ("tar_tree", tree),
    ("tar_layer", layer),
];

/// Files may be larger than the archive by this much.
const MAX_HOLES_BYTES: u64 = 1024 * 1024;

/// Reads every entry and its content; sizes and offsets have to agree with the input.
pub fn reader(data: &[u8]) {
    let mut reader = Reader::new(data);
    while let Ok(Some(entry)) = reader.next_entry() {
        let _ = entry.names();
        if entry.size > data.len() as u64 + MAX_HOLES_BYTES {
            continue;
        }
        let Ok(bytes) = io::copy(&mut reader.content(), &mut io::sink()) else { return };
        assert_eq!(bytes, entry.size);
        assert!(reader.offset() <= data.len() as u64 && entry.offset < reader.offset());
    }
}

/// Reads every entry of a zip archive and its content; sizes have to be as they say.
pub fn zip(data: &[u8]) {
    let Ok(mut reader) = ZipReader::open(data, data.len() as u64) else { return };
    while let Ok(Some(entry)) = reader.next_entry() {
        let (mut buffer, mut bytes) = ([0; 4096], 0);
        loop {
            match reader.read_content(&mut buffer) {
                Ok(0) => break assert_eq!(bytes, entry.size),
                Ok(n) => bytes += n as u64,
                Err(_) => break,
            }
        }
    }
}

/// Whether files have many more bytes than the archive: stores in memory are not for these.
fn has_large_holes(data: &[u8]) -> bool {
    let (mut input, mut bytes) = (data, 0);
    let Ok(mut archive) = Archive::open(ArchiveInput::Stream(&mut input)) else { return false };
    while let Ok(Some(entry)) = archive.next_entry() {
        bytes += entry.size;
        if bytes > data.len() as u64 + MAX_HOLES_BYTES {
            return true;
        }
    }
    false
}

/// Imports a commit, or refuses to.
pub fn import(data: &[u8]) {
    if has_large_holes(data) {
        return;
    }
    let _ = import_commit(&mut { data }, &MemStore::new(), &ImportOptions::default(), &Ctx::default());
}

/// Imports a set of objects, or refuses to.
pub fn objects(data: &[u8]) {
    if has_large_holes(data) {
        return;
    }
    let _ = import_objects(&mut { data }, &MemStore::new(), None, None, &Ctx::default());
}

/// Makes a tree of an archive, or refuses to.
pub fn tree(data: &[u8]) {
    if has_large_holes(data) {
        return;
    }
    let (store, mut tree) = (MemStore::new(), MutableTree::new());
    let options = TreeOptions { parents: Parents::Create, ..TreeOptions::default() };
    let modifier = &mut Modifier::default();
    if import_tree(
        ArchiveInput::Stream(&mut { data }),
        &store,
        &mut tree,
        modifier,
        &options,
        &Ctx::default(),
    )
    .is_ok()
    {
        let _ = tree.write(&store);
    }
}

/// Makes a tree of a plain layer and lays it over itself, or refuses to.
pub fn layer(data: &[u8]) {
    if has_large_holes(data) {
        return;
    }
    let store = MemStore::new();
    let (options, modifier) = (LayerOptions::default(), Modifier::default());
    let read = |wanted: &BTreeSet<String>| {
        import_layer(&mut { data }, &store, options, wanted, &modifier, None, &Ctx::default())
    };
    let Ok(layer) = read(&BTreeSet::new()) else { return };
    let Ok(layer) = read(&layer.wanted) else { return };
    let listed = |path: &str| !layer.implied.contains(path);
    for listed_over_link in [ListedOverLink::Replaces, ListedOverLink::Follows] {
        let mut tree = MutableTree::from_root(layer.root);
        let upper = Upper { root: layer.root, listed: &listed, placement: &options, listed_over_link };
        if tree.lay_over(&store, &upper).is_ok() {
            let _ = tree.write(&store);
        }
    }
}
