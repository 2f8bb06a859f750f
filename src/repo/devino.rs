//! Tells of a file on disk which content object it is a hard link of.

use std::os::fd::AsFd;

use ostree_format::{FileId, ObjectType, RepoMode};

use super::dir::ObjectDir;
use super::sys;
use crate::base::Inode;
use crate::store::{DevInoCache, Result};

/// Adds every content object of `objects` to `cache`: a file checked out as a hard link need not be read to be
/// committed.
pub(super) fn scan(cache: &mut DevInoCache, objects: &ObjectDir, mode: RepoMode) -> Result<()> {
    objects.for_each(mode, &mut |name| {
        if name.kind != ObjectType::File {
            return Ok(());
        }
        let path = name.loose_path(mode);
        let stat = sys::lstat(objects.as_fd(), &path).map_err(|e| objects.failed("stat", &path, e))?;
        if let Some(stat) = stat {
            cache.insert(Inode::from(&stat), FileId::new(name.checksum));
        }
        Ok(())
    })
}
