//! A directory of loose objects: `objects` itself or a staging directory.
//!
//! ```text
//! ab/cdef….EXT      62 digits behind the first two
//! ```

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use ostree_format::{ObjectName, RepoMode};
use rustix::fs::FileType;

use super::sys;
use crate::store::{Error, Result};

/// A directory with up to 256 directories of objects in it.
#[derive(Debug)]
pub(super) struct ObjectDir {
    fd: OwnedFd,
    /// The directories that are known to exist.
    made: Box<[AtomicBool; 256]>,
}

impl AsFd for ObjectDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl ObjectDir {
    /// Takes an open directory.
    pub(super) fn new(fd: OwnedFd) -> Self {
        let made = Box::new(std::array::from_fn(|_| AtomicBool::new(false)));
        Self { fd, made }
    }

    /// Whether an object lies here.
    pub(super) fn contains(&self, name: &ObjectName, mode: RepoMode) -> Result<bool> {
        let path = name.loose_path(mode);
        sys::lstat(self, &path).map(|stat| stat.is_some()).map_err(|e| self.failed("stat", &path, e))
    }

    /// Makes the directory for an object.
    pub(super) fn ensure_parent(&self, name: &ObjectName) -> Result<()> {
        let made = &self.made[usize::from(name.checksum.as_bytes()[0])];
        if made.load(Ordering::Acquire) {
            return Ok(());
        }
        let hex = name.checksum.hex();
        let dir = &hex.as_str()[..2];
        sys::mkdir(self, dir, 0o777).map_err(|e| self.failed("mkdir", dir, e))?;
        made.store(true, Ordering::Release);
        Ok(())
    }

    /// Calls `visit` for each object, directory by directory.
    pub(super) fn for_each(
        &self,
        mode: RepoMode,
        visit: &mut dyn FnMut(ObjectName) -> Result<()>,
    ) -> Result<()> {
        self.dirs()?.iter().try_for_each(|dir| self.for_each_in(dir, mode, visit))
    }

    /// The directories that are there: two digits each.
    pub(super) fn dirs(&self) -> Result<Vec<String>> {
        let all = sys::list(self, ".").map_err(|e| self.failed("list", "", e))?;
        let dirs = all.into_iter().filter(|(dir, kind)| *kind == FileType::Directory && dir.len() == 2);
        Ok(dirs.map(|(dir, _)| dir).collect())
    }

    /// Calls `visit` for each object in the directory whose name is the two digits `dir`; it may be missing.
    pub(super) fn for_each_in(
        &self,
        dir: &str,
        mode: RepoMode,
        visit: &mut dyn FnMut(ObjectName) -> Result<()>,
    ) -> Result<()> {
        self.names_in(dir, mode)?.into_iter().flatten().try_for_each(visit)
    }

    /// What lies in a directory; `None` stands for what is no object.
    pub(super) fn names_in(&self, dir: &str, mode: RepoMode) -> Result<Vec<Option<ObjectName>>> {
        let files = sys::list(self, dir).map_err(|e| self.failed("list", dir, e))?;
        let name = |(file, _): &(String, _)| ObjectName::from_loose_path(dir, file, mode);
        Ok(files.iter().map(name).collect())
    }

    /// An [`Error::Io`] about `path` in here.
    pub(super) fn failed(&self, op: &'static str, path: &str, source: std::io::Error) -> Error {
        Error::at(self, op, path, source)
    }
}
