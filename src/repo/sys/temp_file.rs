//! Files that nobody else sees until they get a name.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{rename_new, sync_file, unlink};
use crate::base::fs::{link_unnamed, unused_name};

/// The permissions of a file that is not finished.
const OWNER_ONLY: Mode = Mode::RUSR.union(Mode::WUSR);

/// What [`TempFile::link`] and [`link`] found at the new name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::repo) enum Linked {
    /// The name was free: the file has it now.
    New,
    /// A file, which stays as it is.
    Existed,
}

/// A file that nobody else sees: it has no name yet, or where the file system knows no such files, a
/// random one. Dropped, it is gone.
#[derive(Debug)]
pub(in crate::repo) struct TempFile<'d> {
    file: File,
    dir: BorrowedFd<'d>,
    name: Option<String>,
}

impl<'d> TempFile<'d> {
    /// Makes an empty file on the file system of `dir`.
    pub(in crate::repo) fn new(dir: BorrowedFd<'d>) -> io::Result<Self> {
        match Self::unnamed(dir) {
            Ok(file) => return Ok(Self::of(file, dir)),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOSYS | Errno::NOENT) => {}
            Err(e) => return Err(e.into()),
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOCTTY;
        let (name, fd) = unused_name(".tmp-", |name| Ok(rustix::fs::openat(dir, name, flags, OWNER_ONLY)?))?;
        Ok(Self { file: fd.into(), dir, name: Some(name) })
    }

    /// An empty file without a name on the file system of `dir`, which may know no such files.
    pub(in crate::repo) fn unnamed(dir: BorrowedFd<'_>) -> Result<File, Errno> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::TMPFILE;
        rustix::fs::openat(dir, ".", flags, OWNER_ONLY).map(File::from)
    }

    /// A file that [`TempFile::unnamed`] made.
    pub(in crate::repo) fn of(file: File, dir: BorrowedFd<'d>) -> Self {
        Self { file, dir, name: None }
    }

    /// The open file.
    pub(in crate::repo) fn file(&self) -> &File {
        &self.file
    }

    /// The open file, to be opened in another way.
    pub(in crate::repo) fn file_mut(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives the file a name, unless a file has it; done once.
    pub(in crate::repo) fn link(&self, dir: BorrowedFd<'_>, path: &str) -> io::Result<Linked> {
        if let Some(name) = &self.name {
            // Not linked: FAT knows neither files without a name nor two names of one.
            let moved = rename_new(self.dir, name, dir, path)?;
            return Ok(if moved { Linked::New } else { Linked::Existed });
        }
        match link_unnamed(&self.file, dir, Path::new(path)) {
            Ok(()) => Ok(Linked::New),
            Err(Errno::EXIST) => Ok(Linked::Existed),
            Err(e) => Err(e.into()),
        }
    }

    /// Gives the file a name, in place of a file that has it. With `sync` its content reaches the disk first, and
    /// then that it has a name: without a journal a file system takes it for deleted otherwise, whatever the
    /// directory says. The directory is the caller's.
    pub(in crate::repo) fn replace(mut self, dir: BorrowedFd<'_>, path: &str, sync: bool) -> io::Result<()> {
        if sync {
            sync_file(&self.file)?;
        }
        let name = match self.name.take() {
            Some(name) => name,
            None => {
                let link = |name: &str| match self.link(self.dir, name)? {
                    Linked::New => Ok(()),
                    Linked::Existed => Err(Errno::EXIST.into()),
                };
                unused_name(".tmp-", link)?.0
            }
        };
        let renamed = rustix::fs::renameat(self.dir, name.as_str(), dir, path);
        self.name = renamed.is_err().then_some(name);
        renamed?;
        if sync { sync_file(&self.file) } else { Ok(()) }
    }
}

impl Drop for TempFile<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = unlink(self.dir, name);
        }
    }
}

/// Hard-links a file, never through a symbolic link.
pub(in crate::repo) fn link(
    from: BorrowedFd<'_>,
    path: &str,
    to: BorrowedFd<'_>,
    name: &str,
) -> io::Result<Linked> {
    match rustix::fs::linkat(from, path, to, name, AtFlags::empty()) {
        Ok(()) => Ok(Linked::New),
        Err(Errno::EXIST) => Ok(Linked::Existed),
        Err(e) => Err(e.into()),
    }
}
