//! Small files that are replaced as a whole: refs, the config, the summary. They reach the disk before a command
//! says that it is done, unless `core.fsync` says no.
//!
//! ```text
//! temporary file written, to disk · renamed over the old one, to disk · directories to disk, each once
//! ```
//! libostree leaves the last step out, so that after a power cut the ref of a finished commit may be the old one.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use super::{Fsync, Repo, sys};
use crate::store::Result;

/// Directories of the repository in which names came, went or changed.
#[derive(Debug, Default)]
pub(super) struct ChangedDirs(BTreeSet<String>);

impl ChangedDirs {
    /// The file `path` came, went or was replaced; the directories on the way to it may be new.
    pub(super) fn note(&mut self, path: &str) {
        if !path.contains('/') {
            self.0.insert(".".into());
        }
        self.0.extend(path.match_indices('/').map(|(end, _)| path[..end].to_owned()));
    }
}

impl Repo {
    /// Makes what happened in these directories reach the disk.
    pub(super) fn sync_changed(&self, changed: &ChangedDirs) -> Result<()> {
        if self.fsync == Fsync::Never {
            return Ok(());
        }
        for path in &changed.0 {
            // A directory may have given way to a ref of its name.
            let Some(dir) = sys::optional(sys::open_dir(&self.root, path)).or_else(|e| match e.kind() {
                io::ErrorKind::NotADirectory => Ok(None),
                _ => Err(self.failed("open", path, e)),
            })?
            else {
                continue;
            };
            sys::sync_file(dir).map_err(|e| self.failed("fsync", path, e))?;
        }
        Ok(())
    }

    /// A file of the repository, such as the keys of a remote; `None` if it is not there.
    pub(crate) fn read_file(&self, path: &str, limit_bytes: u64) -> Result<Option<Vec<u8>>> {
        sys::read_file(&self.root, path, limit_bytes).map_err(|e| self.failed("read", path, e))
    }

    /// Replaces a file of the repository.
    pub(crate) fn replace_file(&self, path: &str, content: &[u8]) -> Result<()> {
        let mut changed = ChangedDirs::default();
        changed.note(path);
        self.replace_file_at(path, content).map_err(|e| self.failed("write", path, e))?;
        self.sync_changed(&changed)
    }

    /// Replaces two files of the repository that belong together. Both are whole before the first gets its name, and they
    /// have the same time of modification, so that caches of HTTP give both up at the same time.
    pub(super) fn replace_pair(&self, first: (&str, &[u8]), second: (&str, &[u8])) -> Result<()> {
        let mut changed = ChangedDirs::default();
        changed.note(first.0);
        changed.note(second.0);
        let failed = |path: &str| {
            let path = path.to_owned();
            move |error| self.failed("write", path, error)
        };
        let file = written(self.tmp.as_fd(), first.1).map_err(failed(first.0))?;
        let other = written(self.tmp.as_fd(), second.1).map_err(failed(second.0))?;
        sys::copy_mtime(other.file(), file.file()).map_err(failed(first.0))?;
        let sync = self.fsync != Fsync::Never;
        file.replace(self.root.as_fd(), first.0, sync).map_err(failed(first.0))?;
        other.replace(self.root.as_fd(), second.0, sync).map_err(failed(second.0))?;
        self.sync_changed(&changed)
    }

    /// Removes a file of the repository; nothing there is fine.
    pub(crate) fn remove_file(&self, path: &str) -> Result<()> {
        let mut changed = ChangedDirs::default();
        changed.note(path);
        match sys::unlink(&self.root, path).map_err(|e| self.failed("unlink", path, e))? {
            true => self.sync_changed(&changed),
            false => Ok(()),
        }
    }

    /// [`Repo::replace_file`] without its last step.
    pub(super) fn replace_file_at(&self, path: &str, content: &[u8]) -> io::Result<()> {
        replace(self.tmp.as_fd(), self.root.as_fd(), path, content, self.fsync)
    }
}

/// Replaces the file `path` of `dir`, by way of one in `tmp`.
pub(super) fn replace(
    tmp: BorrowedFd<'_>,
    dir: BorrowedFd<'_>,
    path: &str,
    content: &[u8],
    fsync: Fsync,
) -> io::Result<()> {
    written(tmp, content)?.replace(dir, path, fsync != Fsync::Never)
}

/// A file without a name that everybody may read.
fn written<'d>(tmp: BorrowedFd<'d>, content: &[u8]) -> io::Result<sys::TempFile<'d>> {
    let file = sys::TempFile::new(tmp)?;
    file.file().write_all(content)?;
    sys::set_mode(file.file(), 0o644)?;
    Ok(file)
}
