//! Files of a sysroot: small ones replaced as a whole, links switched by one rename, directories made and listed.
//! Every path starts at an open directory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::{AtFlags, FileType, IFlags, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{Error, Result};
use crate::base::fs;
pub(super) use crate::base::fs::optional;

/// The largest small file: origin, boot entry, os-release, state of a staged deployment.
pub(super) const MAX_SMALL_BYTES: u64 = 8 << 20;

/// Whether what is written is on the disk when the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// The content is, before the file gets its name.
    Synced,
    /// The caller syncs the file system.
    Later,
}

/// What lies at `path`, not followed if it is a symbolic link.
pub(super) fn lstat(dir: impl AsFd, path: &str) -> Result<Option<Stat>> {
    fs::lstat(&dir, path).map_err(|e| Error::at(&dir, "stat", path, e))
}

/// What lies at `path`, symbolic links followed.
pub(super) fn stat(dir: impl AsFd, path: &str) -> Result<Option<Stat>> {
    optional(rustix::fs::statat(&dir, path, AtFlags::empty())).map_err(|e| Error::at(&dir, "stat", path, e))
}

/// Opens a directory.
pub(super) fn open_dir(dir: impl AsFd, path: &str) -> Result<OwnedFd> {
    open_dir_if_there(&dir, path)?.ok_or_else(|| Error::at(&dir, "opendir", path, Errno::NOENT))
}

/// Opens a directory; `None` if it is not there.
pub(super) fn open_dir_if_there(dir: impl AsFd, path: &str) -> Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(&dir, path, flags, Mode::empty());
    optional(opened).map_err(|e| Error::at(&dir, "opendir", path, e))
}

/// An open directory in which paths do not lead out.
pub(super) fn into_dir(dir: OwnedFd) -> Dir {
    Dir::from_std_file(File::from(dir))
}

/// Opens a regular file to be read; `None` if it is not there.
pub(super) fn open_file(dir: impl AsFd, path: &str) -> Result<Option<File>> {
    let failed = |e| Error::at(&dir, "open", path, e);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = rustix::fs::openat(&dir, path, flags, Mode::empty());
    optional(opened).map_err(failed)?.map(|fd| regular(fd.into())).transpose()
}

/// Opens a regular file to be read that lies in a tree, also where symbolic links within the tree lead to it; `None` if
/// it is not there.
pub(super) fn open_file_within(tree: &Dir, path: &str) -> Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
    let opened = optional(tree.open_with(path, &options)).map_err(|e| Error::at(tree, "open", path, e))?;
    opened.map(|file| regular(file.into_std())).transpose()
}

/// A symbolic link in a tree may lead to a device that never ends.
fn regular(file: File) -> Result<File> {
    let failed = |e| Error::at(&file, "open", ".", e);
    match file.metadata().map_err(failed)?.is_file() {
        true => Ok(file),
        false => Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))),
    }
}

/// Opens an entry of a directory that others may write into; `None` if it is gone, or has become a symbolic link.
pub(super) fn open_entry(dir: impl AsFd, name: &str, flags: OFlags) -> Result<Option<OwnedFd>> {
    let flags =
        flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    match rustix::fs::openat(&dir, name, flags, Mode::empty()) {
        Ok(opened) => Ok(Some(opened)),
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(Error::at(&dir, "open", name, error)),
    }
}

/// The content of a small file; `None` if it is not there.
pub(super) fn read(dir: impl AsFd, path: &str) -> Result<Option<Vec<u8>>> {
    let Some(file) = open_file(&dir, path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let read = file.take(MAX_SMALL_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|e| Error::at(&dir, "read", path, e))?;
    if bytes.len() as u64 > MAX_SMALL_BYTES {
        return Err(Error::at(&dir, "read", path, io::Error::from(io::ErrorKind::FileTooLarge)));
    }
    Ok(Some(bytes))
}

/// The names in a directory and what they are; none if it is not there. Names that are not UTF-8 are left out.
pub(super) fn list(dir: impl AsFd, path: &str) -> Result<Vec<(String, FileType)>> {
    let Some(dir) = open_dir_if_there(dir, path)? else { return Ok(Vec::new()) };
    fs::entries(&dir).map_err(|e| Error::at(&dir, "readdir", ".", e))
}

/// Makes a directory and those above it, unless they are there.
pub(super) fn mkdir_all(dir: impl AsFd, path: &str, mode: u32) -> Result<()> {
    fs::mkdir_all(&dir, path, mode).map_err(|e| Error::at(&dir, "mkdir", path, e))
}

/// Makes a directory; says whether it was not there.
pub(super) fn mkdir(dir: impl AsFd, path: &str, mode: u32) -> Result<bool> {
    fs::mkdir(&dir, path, mode).map_err(|e| Error::at(&dir, "mkdir", path, e))
}

/// Sets the permissions, which the umask has reduced when the file was made.
pub(super) fn chmod(dir: impl AsFd, path: &str, mode: u32) -> Result<()> {
    let set = rustix::fs::chmodat(&dir, path, Mode::from_raw_mode(mode), AtFlags::empty());
    set.map_err(|e| Error::at(&dir, "chmod", path, e))
}

/// Removes a file; says whether it was there.
pub(super) fn unlink(dir: impl AsFd, path: &str) -> Result<bool> {
    fs::unlink(&dir, path).map_err(|e| Error::at(&dir, "unlink", path, e))
}

/// Removes whatever lies at `path`, with everything below it.
pub(super) fn remove_all(dir: impl AsFd, path: &str) -> Result<()> {
    fs::remove_all(&dir, path).map_err(|e| Error::at(&dir, "remove", path, e))
}

/// The target of a symbolic link.
pub(super) fn read_link(dir: impl AsFd, path: &str) -> Result<String> {
    fs::link_target(&dir, path).map_err(|e| Error::at(&dir, "readlink", path, e))
}

/// Makes a symbolic link, in place of what lies at `path`, by one rename.
pub(super) fn replace_link(dir: impl AsFd, target: &str, path: &str) -> Result<()> {
    let (dir, temporary) = (dir.as_fd(), format!("{path}.tmp"));
    unlink(dir, &temporary)?;
    rustix::fs::symlinkat(target, dir, &*temporary).map_err(|e| Error::at(dir, "symlink", &temporary, e))?;
    rename(dir, &temporary, path)
}

/// Renames within a directory, over what is there.
pub(super) fn rename(dir: impl AsFd, from: &str, to: &str) -> Result<()> {
    let dir = dir.as_fd();
    rustix::fs::renameat(dir, from, dir, to).map_err(|e| Error::at(dir, "rename", to, e))
}

/// Writes a small file that all may read, in place of the one that is there, by one rename.
pub(super) fn replace(dir: impl AsFd, path: &str, bytes: &[u8], durability: Durability) -> Result<()> {
    let dir = dir.as_fd();
    let written = || -> io::Result<()> {
        let (parent, _) = path.rsplit_once('/').unwrap_or((".", path));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let prefix = format!("{parent}/.tmp-");
        let make = |name: &str| Ok(rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o600))?);
        let (name, fd) = fs::unused_name(&prefix, make)?;
        let fill = || -> io::Result<()> {
            let mut file = File::from(fd);
            file.write_all(bytes)?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
            if durability == Durability::Synced {
                rustix::fs::fdatasync(&file)?;
            }
            Ok(rustix::fs::renameat(dir, &*name, dir, path)?)
        };
        fill().inspect_err(|_| {
            let _ = rustix::fs::unlinkat(dir, &*name, AtFlags::empty());
        })
    };
    written().map_err(|e| Error::at(dir, "write", path, e))
}

/// Lets nobody change what a directory has, or everybody again who may. Where there is no such flag, or no right to it,
/// nothing happens: it guards against mistakes.
pub(super) fn set_immutable(dir: impl AsFd, immutable: bool) -> io::Result<()> {
    let ignored =
        |error: Errno| matches!(error, Errno::PERM | Errno::NOTTY | Errno::OPNOTSUPP | Errno::NOSYS);
    let set = || {
        let flags = rustix::fs::ioctl_getflags(&dir)?;
        let mut wanted = flags;
        wanted.set(IFlags::IMMUTABLE, immutable);
        if wanted == flags { Ok(()) } else { rustix::fs::ioctl_setflags(&dir, wanted) }
    };
    match set() {
        Err(error) if !ignored(error) => Err(error.into()),
        _ => Ok(()),
    }
}
