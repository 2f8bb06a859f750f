//! Opening and reading files and directories.
//!
//! Where the repository has a file, somebody may have put something else: a pipe, from which nobody ever
//! writes, or a device. Nothing here waits for one: what is opened to be read is a regular file, or it is an
//! error.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;

use super::optional;
use crate::base::fs;

/// Opens a directory below `dir`.
pub(in crate::repo) fn open_dir(dir: impl AsFd, path: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(dir, path, flags, Mode::empty())?)
}

/// Opens the directory `name` of `dir` if it is this user's own: no symbolic link, made by this user, and not for
/// everybody to write into. Where others may write into `dir`, anything else may have been put there by them.
pub(in crate::repo) fn open_own_dir(dir: impl AsFd, name: &str) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = match openat(&dir, name, flags, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => return Ok(None),
        opened => opened?,
    };
    let stat = fstat(&fd)?;
    let for_all = Mode::from_raw_mode(stat.st_mode).contains(Mode::WOTH);
    Ok((!for_all && fs::is_own(dir, &stat)?).then_some(fd))
}

/// Opens a regular file for reading, through symbolic links.
fn open_file(dir: impl AsFd, path: &str) -> io::Result<(File, Stat)> {
    open_regular(dir, path, OFlags::empty())
}

/// Opens a regular file for reading. A symbolic link gives `ELOOP`.
pub(in crate::repo) fn open_nofollow(dir: impl AsFd, path: &str) -> io::Result<(File, Stat)> {
    open_regular(dir, path, OFlags::NOFOLLOW)
}

fn open_regular(dir: impl AsFd, path: &str, more: OFlags) -> io::Result<(File, Stat)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = match openat(dir, path, flags | more, Mode::empty()) {
        // So a socket is answered, and a device without a driver.
        Err(Errno::NXIO) => return Err(not_regular("a socket or device")),
        opened => opened?,
    };
    let stat = fstat(&fd)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok((fd.into(), stat)),
        FileType::Directory => Err(Errno::ISDIR.into()),
        FileType::Fifo => Err(not_regular("a named pipe")),
        FileType::CharacterDevice | FileType::BlockDevice => Err(not_regular("a device")),
        _ => Err(not_regular("something else")),
    }
}

fn not_regular(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it is {what}, where a regular file should be"))
}

/// Opens a file for reading and writing, made with `mode` if it is not there.
pub(in crate::repo) fn open_or_create(dir: impl AsFd, path: &str, mode: u32) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(openat(dir, path, flags | OFlags::NONBLOCK, Mode::from_raw_mode(mode))?.into())
}

/// Opens a file to write at its end, made with `mode` if it is not there.
pub(in crate::repo) fn open_to_append(dir: impl AsFd, path: &str, mode: u32) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(dir, path, flags | OFlags::NONBLOCK, Mode::from_raw_mode(mode))?.into())
}

/// Makes a file that was not there; says whether it was not.
pub(in crate::repo) fn create_new(dir: impl AsFd, path: &str, mode: u32) -> io::Result<Option<File>> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOCTTY;
    match openat(dir, path, flags, Mode::from_raw_mode(mode)) {
        Ok(fd) => Ok(Some(fd.into())),
        Err(Errno::EXIST) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// The whole file, if it is there, through symbolic links; an error if it is larger than `limit_bytes`.
pub(in crate::repo) fn read_file(
    dir: impl AsFd,
    path: &str,
    limit_bytes: u64,
) -> io::Result<Option<Vec<u8>>> {
    optional(open_file(dir, path))?.map(|(file, stat)| read_to_end(file, &stat, limit_bytes)).transpose()
}

/// [`read_file`] where nobody makes symbolic links.
pub(in crate::repo) fn read_file_nofollow(
    dir: impl AsFd,
    path: &str,
    limit_bytes: u64,
) -> io::Result<Option<Vec<u8>>> {
    let opened = match open_nofollow(dir, path) {
        Err(e) if Errno::from_io_error(&e) == Some(Errno::LOOP) => Err(not_regular("a symbolic link")),
        opened => opened,
    };
    optional(opened)?.map(|(file, stat)| read_to_end(file, &stat, limit_bytes)).transpose()
}

/// A file that is too large is told by its size, before any of it is read.
fn read_to_end(file: File, stat: &Stat, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let too_large =
        || io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {limit_bytes} bytes"));
    let size = stat.st_size.max(0).unsigned_abs();
    if size > limit_bytes {
        return Err(too_large());
    }
    // One byte more than the size, so that one read sees the end of the file.
    let mut out = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    file.take(limit_bytes.saturating_add(1)).read_to_end(&mut out)?;
    if out.len() as u64 > limit_bytes { Err(too_large()) } else { Ok(out) }
}
