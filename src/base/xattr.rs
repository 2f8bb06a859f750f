//! Extended attributes of files that are there.
//!
//! Linux (before 6.13, and without a safe binding after) has no system call for the attributes of a name in
//! an open directory, which symbolic links need. There are two ways around it:
//!
//! ```text
//! /proc/self/fd/DIR/NAME    where /proc is mounted
//! NAME                      in a thread whose own working directory is DIR
//! ```

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use ostree_format::Xattrs;
use rustix::fs::{self, AtFlags, StatVfs, XattrFlags};
use rustix::io::Errno;

/// The longest value, and the longest list of names, that Linux knows.
const XATTR_MAX_BYTES: usize = 64 * 1024;
/// Where so much is free, a file system is not full for an attribute.
const MUCH_ROOM: u64 = 16 * XATTR_MAX_BYTES as u64;

/// The attributes of an open file or directory; none where the file system knows no attributes.
///
/// # Errors
/// What the system says.
pub fn all_xattrs(file: impl AsFd) -> io::Result<Xattrs> {
    let file = file.as_fd();
    collect(|buffer| fs::flistxattr(file, buffer), |name, buffer| fs::fgetxattr(file, name, buffer))
}

/// [`all_xattrs`] of `name` inside of `dir`, which is not followed if it is a symbolic link.
///
/// # Errors
/// What the system says.
pub fn all_xattrs_at(dir: impl AsFd, name: &str) -> io::Result<Xattrs> {
    at(dir.as_fd(), name, |path| {
        collect(|buffer| fs::llistxattr(path, buffer), |name, buffer| fs::lgetxattr(path, name, buffer))
    })
}

/// [`all_xattrs`] apart from those with an empty value. C ostree does not see them when it commits, and the
/// same tree has to give the same commit in both programs.
///
/// # Errors
/// As [`all_xattrs`].
pub fn read_xattrs(file: impl AsFd) -> io::Result<Xattrs> {
    all_xattrs(file).map(without_empty)
}

/// [`read_xattrs`] of `name` inside of `dir`, which is not followed if it is a symbolic link.
///
/// # Errors
/// What the system says.
pub fn read_xattrs_at(dir: impl AsFd, name: &str) -> io::Result<Xattrs> {
    all_xattrs_at(dir, name).map(without_empty)
}

/// Sets attributes of an open file or directory.
///
/// # Errors
/// What the system says, with the name of the attribute.
pub fn write_xattrs(file: impl AsFd, xattrs: &Xattrs) -> io::Result<()> {
    xattrs.iter().try_for_each(|(name, value)| write_xattr(&file, name, value))
}

/// Sets one attribute of an open file or directory.
///
/// # Errors
/// As [`write_xattrs`].
pub fn write_xattr(file: impl AsFd, name: &[u8], value: &[u8]) -> io::Result<()> {
    fs::fsetxattr(&file, name, value, XattrFlags::empty())
        .map_err(|errno| named(name, value, errno, fs::fstatvfs(&file)))
}

/// [`write_xattrs`] of `name` inside of `dir`, also of a symbolic link.
///
/// # Errors
/// As [`write_xattrs`].
pub fn write_xattrs_at(dir: impl AsFd, name: &str, xattrs: &Xattrs) -> io::Result<()> {
    if xattrs.is_empty() {
        return Ok(());
    }
    at(dir.as_fd(), name, |path| {
        xattrs.iter().try_for_each(|(name, value)| {
            fs::lsetxattr(path, name, value, XattrFlags::empty())
                .map_err(|errno| named(name, value, errno, fs::statvfs(path)))
        })
    })
}

/// Calls `call` with a path that leads to `name` in `dir`.
fn at<T: Send>(
    dir: BorrowedFd<'_>,
    name: &str,
    call: impl Fn(&str) -> io::Result<T> + Sync,
) -> io::Result<T> {
    let proc = "/proc/self/fd";
    match call(&format!("{proc}/{}/{name}", dir.as_raw_fd())) {
        Err(e) if e.kind() == io::ErrorKind::NotFound && fs::stat(proc).is_err() => {}
        done => return done,
    }
    fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let in_dir = || {
        unshare(CloneFlags::CLONE_FS)?;
        rustix::process::fchdir(dir)?;
        call(name)
    };
    let done = thread::scope(|scope| thread::Builder::new().spawn_scoped(scope, in_dir).map(|t| t.join()))?;
    done.unwrap_or_else(|_| Err(io::Error::other("a thread broke down")))
}

/// The error of an attribute that was not set. ext4 says that it is full, too, where only the attributes of one file take
/// more than the block that they have: so it is asked.
fn named(name: &[u8], value: &[u8], errno: Errno, room: Result<StatVfs, Errno>) -> io::Error {
    let has_room = || room.is_ok_and(|room| room.f_bavail.saturating_mul(room.f_frsize) >= MUCH_ROOM);
    let (kind, why) = match errno {
        Errno::TOOBIG => (ErrorKind::Unsupported, too_large(value)),
        Errno::NOSPC if has_room() => (ErrorKind::Unsupported, too_large(value)),
        Errno::RANGE => (ErrorKind::Unsupported, format!("no name has {} bytes", name.len())),
        errno => (io::Error::from(errno).kind(), io::Error::from(errno).to_string()),
    };
    io::Error::new(kind, format!("setting xattr {}: {why}", String::from_utf8_lossy(name)))
}

fn too_large(value: &[u8]) -> String {
    format!("with its {} bytes, the file has larger xattrs than this file system can keep", value.len())
}

fn without_empty(xattrs: Xattrs) -> Xattrs {
    if xattrs.iter().all(|(_, value)| !value.is_empty()) {
        return xattrs;
    }
    Xattrs::from_pairs(xattrs.iter().filter(|(_, value)| !value.is_empty()))
}

fn collect(
    list: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
    get: impl Fn(&[u8], &mut [u8]) -> rustix::io::Result<usize>,
) -> io::Result<Xattrs> {
    // On the stack, and large enough for nearly all.
    let mut first = [0; 1024];
    let names = match list(&mut first) {
        Ok(0) | Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(Xattrs::EMPTY),
        Ok(len) => first[..len].to_vec(),
        Err(Errno::RANGE) => grow(&list)?,
        Err(other) => return Err(other.into()),
    };
    let mut out = Xattrs::EMPTY;
    for name in names.split(|b| *b == 0).filter(|name| !name.is_empty()) {
        let value = match get(name, &mut first) {
            Ok(len) => first[..len].to_vec(),
            // Taken away since the list was read.
            Err(Errno::NODATA) => continue,
            Err(Errno::RANGE) => grow(|buffer| get(name, buffer))?,
            Err(other) => return Err(other.into()),
        };
        out.set(name.into(), value.into());
    }
    Ok(out)
}

/// Reads what does not fit into a small buffer.
fn grow(read: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; XATTR_MAX_BYTES];
    let len = read(&mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}
