//! The bodies of the fuzz targets: they return, whatever the input is, and never allocate much beyond it.

use std::io::Read as _;

use ostree_format::fuzz::Target;

use super::{ImportOptions, Parents, Reader, TreeOptions, import_commit, import_objects, import_tree};
use crate::base::Ctx;
use crate::store::{MemStore, Modifier, MutableTree};

/// Every body.
pub const TARGETS: [Target; 4] =
    [("tar_reader", reader), ("tar_import", import), ("tar_objects", objects), ("tar_tree", tree)];

/// Reads every entry and its content; sizes and offsets have to agree with the input.
pub fn reader(data: &[u8]) {
    let mut reader = Reader::new(data);
    while let Ok(Some(entry)) = reader.next_entry() {
        let _ = entry.names();
        let mut content = Vec::new();
        if reader.content().read_to_end(&mut content).is_err() {
            return;
        }
        assert_eq!(content.len() as u64, entry.size);
        assert!(reader.offset() <= data.len() as u64 && entry.offset < reader.offset());
    }
}

/// Imports a commit, or refuses to.
pub fn import(data: &[u8]) {
    let _ = import_commit(&mut { data }, &MemStore::new(), &ImportOptions::default(), &Ctx::default());
}

/// Imports a set of objects, or refuses to.
pub fn objects(data: &[u8]) {
    let _ = import_objects(&mut { data }, &MemStore::new(), None, &Ctx::default());
}

/// Makes a tree of an archive, or refuses to.
pub fn tree(data: &[u8]) {
    let (store, mut tree) = (MemStore::new(), MutableTree::new());
    let options = TreeOptions { parents: Parents::Create, ..TreeOptions::default() };
    let modifier = &mut Modifier::default();
    if import_tree(&mut { data }, &store, &mut tree, modifier, &options, &Ctx::default()).is_ok() {
        let _ = tree.write(&store);
    }
}
