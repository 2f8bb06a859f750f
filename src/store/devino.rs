//! A cache that tells which object a file is a hard link to.

use std::collections::HashMap;

use ostree_format::FileId;

use crate::base::Inode;

/// The content objects of a store by device and inode, so that hard links to them need not be read.
#[derive(Debug, Clone, Default)]
pub struct DevInoCache(HashMap<Inode, FileId>);

impl DevInoCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that the file `key` is the object `id`.
    pub fn insert(&mut self, key: Inode, id: FileId) {
        self.0.insert(key, id);
    }

    /// The object that the file `key` is.
    pub fn get(&self, key: Inode) -> Option<FileId> {
        self.0.get(&key).copied()
    }

    /// The number of files that are known.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no file is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
