//! The cache of uncompressed files of an archive: what a user-mode checkout wrote once is linked to by the next.
//!
//! ```text
//! uncompressed-objects-cache/ab/cdef….file      content and permissions of the object, the user's own
//! ```
//! libostree keeps the same, by default.

use std::os::fd::AsFd;
use std::sync::OnceLock;

use ostree_format::{FileId, FileKind, ObjectName, RepoMode};

use super::dir::ObjectDir;
use super::{Repo, sys};
use crate::base::io::copy_exact;
use crate::base::{ErrorKind, Kind};
use crate::store::{Error, LooseFile, ObjectRead, Result};

const PATH: &str = "uncompressed-objects-cache";

/// Opened when it is first needed.
pub(super) type Uncompressed = OnceLock<ObjectDir>;

impl Repo {
    /// [`ObjectRead::plain_file`].
    pub(super) fn uncompressed_file(&self, id: &FileId) -> Result<Option<LooseFile<'_>>> {
        if self.mode() != RepoMode::Archive || !self.config.uncompressed_cache || !self.writable {
            return Ok(None);
        }
        match self.cached_file(id) {
            // Where there is no room for a cache there may be for what is checked out.
            Err(error) if error.kind() == ErrorKind::Exhausted => Ok(None),
            found => found,
        }
    }

    /// The file in the cache, which is written if it is not there. Links, empty files and files that their user cannot read
    /// are not kept: checkouts do not link them.
    fn cached_file(&self, id: &FileId) -> Result<Option<LooseFile<'_>>> {
        let Some(cache) = self.uncompressed_dir()? else { return Ok(None) };
        let name = ObjectName::from(*id);
        let path = name.loose_path(RepoMode::BareUserOnly);
        if !cache.contains(&name, RepoMode::BareUserOnly)? {
            let mut object = self.open_file(id)?.ok_or(Error::NotFound(name))?;
            let permissions = object.header.permissions;
            if object.header.kind != FileKind::Regular || object.len == 0 || permissions & 0o400 == 0 {
                return Ok(None);
            }
            cache.ensure_parent(&name)?;
            let written = sys::TempFile::new(self.tmp.as_fd()).and_then(|file| {
                let len = object.len;
                copy_exact(&mut object, &mut file.file(), len)?;
                sys::set_mode(file.file(), permissions & !0o6000)?;
                file.link(cache.as_fd(), &path)
            });
            written.map_err(|e| cache.failed("write", &path, e))?;
        }
        Ok(Some(LooseFile { dir: cache.as_fd(), path: path.into(), mode: RepoMode::BareUserOnly }))
    }

    /// The cache; none if it is not this user's own, who would link to what others can change.
    fn uncompressed_dir(&self) -> Result<Option<&ObjectDir>> {
        if let Some(dir) = self.uncompressed.get() {
            return Ok(Some(dir));
        }
        let opened = sys::mkdir(&self.root, PATH, 0o775).and_then(|_| sys::open_own_dir(&self.root, PATH));
        let Some(fd) = opened.map_err(|e| self.failed("mkdir", PATH, e))? else { return Ok(None) };
        // Another thread may have been first.
        Ok(Some(self.uncompressed.get_or_init(|| ObjectDir::new(fd))))
    }
}
