//! Owners, modes, times and xattrs.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Mode, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;

use crate::base::fs::owner;
use crate::base::write_xattr;

/// Owner and group of an open file.
pub(in crate::repo) fn set_owner(file: impl AsFd, uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = owner(uid, gid)?;
    Ok(rustix::fs::fchown(file, Some(uid), Some(gid))?)
}

/// Owner and group of a symbolic link.
pub(in crate::repo) fn set_link_owner(dir: impl AsFd, path: &str, uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = owner(uid, gid)?;
    Ok(rustix::fs::chownat(dir, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Permission bits of an open file; the umask has no say.
pub(in crate::repo) fn set_mode(file: impl AsFd, permissions: u32) -> io::Result<()> {
    Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(permissions))?)
}

/// Sets the time of modification to the epoch.
pub(in crate::repo) fn set_mtime_zero(file: impl AsFd) -> io::Result<()> {
    set_times(file, Timespec { tv_sec: 0, tv_nsec: 0 }, UTIME_OMIT)
}

/// Sets the times to now.
pub(in crate::repo) fn touch(file: impl AsFd) -> io::Result<()> {
    set_times(file, Timespec { tv_sec: 0, tv_nsec: UTIME_NOW }, UTIME_NOW)
}

/// Gives a file the time of modification of another one.
pub(in crate::repo) fn copy_mtime(from: &File, to: &File) -> io::Result<()> {
    let stat = rustix::fs::fstat(from)?;
    let nsec = i64::try_from(stat.st_mtime_nsec).unwrap_or(0);
    set_times(to, Timespec { tv_sec: stat.st_mtime, tv_nsec: nsec }, UTIME_OMIT)
}

fn set_times(file: impl AsFd, modified: Timespec, access_nsec: i64) -> io::Result<()> {
    let last_access = Timespec { tv_sec: 0, tv_nsec: access_nsec };
    Ok(rustix::fs::futimens(file, &Timestamps { last_access, last_modification: modified })?)
}

/// Sets one xattr of an open file.
pub(in crate::repo) fn set_xattr(file: impl AsFd, name: &str, value: &[u8]) -> io::Result<()> {
    write_xattr(file, name.as_bytes(), value)
}

/// The value of one xattr of an open file.
pub(in crate::repo) fn get_xattr(file: impl AsFd, name: &[u8]) -> io::Result<Vec<u8>> {
    let file = file.as_fd();
    sized(|buf| rustix::fs::fgetxattr(file, name, buf))
}

/// Calls with a buffer that grows until the answer fits. The first one is on the stack and large enough
/// for nearly all.
fn sized(mut call: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>) -> io::Result<Vec<u8>> {
    let mut first = [0; 512];
    match call(&mut first) {
        Ok(n) => return Ok(first[..n].to_vec()),
        Err(Errno::RANGE) => {}
        Err(e) => return Err(e.into()),
    }
    // The kernel's limit for names and for a value.
    let mut buf = vec![0; 65_536];
    let n = call(&mut buf)?;
    buf.truncate(n);
    Ok(buf)
}
