//! From a file on disk to the content object that it is a hard link of.

use std::collections::HashMap;
use std::os::fd::AsFd;

use ostree_format::{FileId, ObjectType, RepoMode};

use super::dir::ObjectDir;
use super::sys;
use crate::store::Result;

/// Which inodes are content objects: a file checked out as a hard link need not be read to be committed.
#[derive(Debug, Clone, Default)]
pub struct DevInoCache(HashMap<(u64, u64), FileId>);

impl DevInoCache {
    /// Nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that the inode `ino` on the device `dev` is the object `id`.
    pub fn insert(&mut self, dev: u64, ino: u64, id: FileId) {
        self.0.insert((dev, ino), id);
    }

    /// The object whose inode it is.
    pub fn get(&self, dev: u64, ino: u64) -> Option<FileId> {
        self.0.get(&(dev, ino)).copied()
    }

    /// How many inodes are known.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds every content object of `objects`.
    pub(super) fn scan(&mut self, objects: &ObjectDir, mode: RepoMode) -> Result<()> {
        objects.for_each(mode, &mut |name| {
            if name.kind != ObjectType::File {
                return Ok(());
            }
            let path = name.loose_path(mode);
            let stat = sys::lstat(objects.as_fd(), &path).map_err(|e| objects.failed("stat", &path, e))?;
            if let Some(stat) = stat {
                self.insert(stat.st_dev, stat.st_ino, FileId::new(name.checksum));
            }
            Ok(())
        })
    }
}
