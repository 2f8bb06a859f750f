//! Extended attributes of files that are there.
//!
//! An attribute with an empty value is left out, as C ostree does when it commits: the same tree has to
//! give the same commit in both programs.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use ostree_format::Xattrs;
use rustix::buffer::spare_capacity;
use rustix::fs::{fgetxattr, flistxattr, lgetxattr, llistxattr};
use rustix::io::Errno;

/// The attributes of an open file or directory; none where the file system knows no attributes.
///
/// # Errors
/// What the system says.
pub fn read_xattrs(file: impl AsFd) -> io::Result<Xattrs> {
    let file = file.as_fd();
    collect(
        |buf| flistxattr(file, spare_capacity(buf)),
        |name, buf| fgetxattr(file, name, spare_capacity(buf)),
    )
}

/// The attributes of `name` inside of `dir`, which is not followed if it is a symbolic link.
///
/// # Errors
/// What the system says.
pub fn read_xattrs_at(dir: BorrowedFd<'_>, name: &str) -> io::Result<Xattrs> {
    // There is no listxattrat before Linux 6.13; the directory's entry in /proc leads there as well.
    let path = format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
    collect(
        |buf| llistxattr(&*path, spare_capacity(buf)),
        |name, buf| lgetxattr(&*path, name, spare_capacity(buf)),
    )
}

fn collect(
    list: impl Fn(&mut Vec<u8>) -> rustix::io::Result<usize>,
    get: impl Fn(&[u8], &mut Vec<u8>) -> rustix::io::Result<usize>,
) -> io::Result<Xattrs> {
    let names = match growing(&list) {
        Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(Xattrs::EMPTY),
        names => names?,
    };
    let mut xattrs = Xattrs::EMPTY;
    for name in names.split(|b| *b == 0).filter(|name| !name.is_empty()) {
        match growing(|buf| get(name, buf)) {
            Ok(value) if value.is_empty() => {}
            Ok(value) => xattrs.set(name.into(), value.into()),
            // Taken away since the list was read.
            Err(Errno::NODATA) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(xattrs)
}

/// Calls `fill` with more and more room until it suffices; the kernel's limit is 64 KiB.
fn growing(fill: impl Fn(&mut Vec<u8>) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut buf = Vec::with_capacity(256);
    loop {
        match fill(&mut buf) {
            Err(Errno::RANGE) if buf.capacity() <= 1 << 20 => {
                let more = buf.capacity() * 8;
                buf.reserve(more);
            }
            filled => return filled.map(|_| buf),
        }
    }
}
