//! What the standard library does not do with files: whole directories removed, always starting from an open
//! directory.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;

/// Bytes of a buffer that directory entries are read into.
pub const DIR_BUFFER_BYTES: usize = 32 * 1024;

/// Opens the directory `name` of `dir`, which must not be a symbolic link.
///
/// # Errors
/// What `openat` gives.
pub fn open_dir(dir: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(fs::openat(dir, name, flags, Mode::empty())?)
}

/// Removes `name` from `dir`, and if it is a directory everything below. Nothing there is no error.
///
/// # Errors
/// What the system says.
pub fn remove_all(dir: impl AsFd, name: &str) -> io::Result<()> {
    let dir = dir.as_fd();
    match fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(other) => return Err(other.into()),
    }
    let inner = open_dir(dir, name)?;
    clear_dir(&inner)?;
    Ok(fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?)
}

/// Removes everything in `dir`.
///
/// # Errors
/// What the system says.
pub fn clear_dir(dir: impl AsFd) -> io::Result<()> {
    let dir = dir.as_fd();
    // Names first: what a directory lists while it changes is not defined.
    let mut names = Vec::new();
    let mut buffer = [MaybeUninit::uninit(); 8 * 1024];
    let mut entries = RawDir::new(dir, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    for (name, kind) in names {
        if kind != FileType::Directory {
            match fs::unlinkat(dir, &name, AtFlags::empty()) {
                Err(Errno::ISDIR | Errno::PERM) => {}
                done => {
                    done?;
                    continue;
                }
            }
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        clear_dir(fs::openat(dir, &name, flags, Mode::empty())?)?;
        fs::unlinkat(dir, &name, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}
