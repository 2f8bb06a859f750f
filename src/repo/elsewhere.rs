//! Content objects that a repository has, but not as objects: files of a system, for instance.

use std::fmt;
use std::os::fd::OwnedFd;

use super::Repo;
use crate::store::ObjectRead;

/// Where else there is content.
pub(super) struct Elsewhere {
    pub(super) files: Box<dyn ObjectRead + Send>,
    /// The directory that it is read from.
    pub(super) dir: OwnedFd,
}

impl Repo {
    /// Has content objects that neither this repository nor its parent holds looked up in `files`, which reads them from
    /// `dir`.
    pub fn set_elsewhere(&mut self, files: Box<dyn ObjectRead + Send>, dir: OwnedFd) {
        self.elsewhere = Some(Elsewhere { files, dir });
    }
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elsewhere").field("dir", &self.dir).finish_non_exhaustive()
    }
}
