//! What the standard library does not do with files: extended attributes, and whole directories removed,
//! always starting from an open directory.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use ostree_format::Xattrs;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RawDir, XattrFlags};
use rustix::io::Errno;

/// Bytes of a buffer that directory entries are read into.
pub const DIR_BUFFER_BYTES: usize = 32 * 1024;

/// The longest value, and the longest list of names, that Linux knows.
const XATTR_MAX_BYTES: usize = 64 * 1024;

/// Opens the directory `name` of `dir`, which must not be a symbolic link.
///
/// # Errors
/// What `openat` gives.
pub fn open_dir(dir: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(fs::openat(dir, name, flags, Mode::empty())?)
}

/// The extended attributes of an open file or directory. Those with an empty value are left out: libostree
/// does not see them either.
///
/// # Errors
/// What the system says; a file system without extended attributes has none.
pub fn read_xattrs(fd: impl AsFd) -> io::Result<Xattrs> {
    let fd = fd.as_fd();
    collect(|buffer| fs::flistxattr(fd, buffer), |name, buffer| fs::fgetxattr(fd, name, buffer))
}

/// [`read_xattrs`] of `name` in `dir`, also of a symbolic link.
///
/// # Errors
/// As there, and if `/proc` is not mounted: the system call has no form without it.
pub fn read_xattrs_at(dir: impl AsFd, name: &str) -> io::Result<Xattrs> {
    let path = proc_path(dir.as_fd(), name);
    let xattrs = collect(
        |buffer| fs::llistxattr(path.as_str(), buffer),
        |name, buffer| fs::lgetxattr(path.as_str(), name, buffer),
    );
    match xattrs {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            // A file that is there was missed because of the way to it.
            fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
            Err(io::Error::new(e.kind(), "/proc is not mounted"))
        }
        other => other,
    }
}

/// Sets extended attributes of an open file or directory.
///
/// # Errors
/// What the system says, with the name of the attribute.
pub fn write_xattrs(fd: impl AsFd, xattrs: &Xattrs) -> io::Result<()> {
    let fd = fd.as_fd();
    xattrs.iter().try_for_each(|(name, value)| {
        fs::fsetxattr(fd, name, value, XattrFlags::empty()).map_err(|errno| named(name, errno))
    })
}

/// [`write_xattrs`] of `name` in `dir`, also of a symbolic link.
///
/// # Errors
/// As there, and if `/proc` is not mounted.
pub fn write_xattrs_at(dir: impl AsFd, name: &str, xattrs: &Xattrs) -> io::Result<()> {
    if xattrs.is_empty() {
        return Ok(());
    }
    let path = proc_path(dir.as_fd(), name);
    xattrs.iter().try_for_each(|(name, value)| {
        fs::lsetxattr(path.as_str(), name, value, XattrFlags::empty()).map_err(|errno| named(name, errno))
    })
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

/// The only way to a symbolic link's attributes that starts from an open directory.
fn proc_path(dir: BorrowedFd<'_>, name: &str) -> String {
    format!("/proc/self/fd/{}/{name}", dir.as_raw_fd())
}

fn named(name: &[u8], errno: Errno) -> io::Error {
    let error = io::Error::from(errno);
    io::Error::new(error.kind(), format!("setting xattr {}: {error}", String::from_utf8_lossy(name)))
}

fn collect(
    list: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
    get: impl Fn(&[u8], &mut [u8]) -> rustix::io::Result<usize>,
) -> io::Result<Xattrs> {
    let mut first = [0; 1024];
    let names = match list(&mut first) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(Xattrs::EMPTY),
        Ok(len) => first[..len].to_vec(),
        Err(Errno::RANGE) => grow(&list)?,
        Err(other) => return Err(other.into()),
    };
    let mut out = Xattrs::EMPTY;
    for name in names.split(|b| *b == 0).filter(|name| !name.is_empty()) {
        let value = match get(name, &mut first) {
            Ok(len) => first[..len].to_vec(),
            Err(Errno::NODATA) => continue,
            Err(Errno::RANGE) => grow(|buffer| get(name, buffer))?,
            Err(other) => return Err(other.into()),
        };
        if !value.is_empty() {
            out.set(name.into(), value.into());
        }
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
