//! Files without a name: they are gone when nobody has them open any more, whatever happens.

use std::fs::File;
use std::io;

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use crate::base::fs::unused_name;

/// Makes a file without a name in `dir`, for reading and writing.
pub(super) fn unnamed(dir: &Dir) -> io::Result<File> {
    let (flags, mode) = (OFlags::RDWR | OFlags::CLOEXEC, Mode::from_raw_mode(0o600));
    match openat(dir, ".", flags | OFlags::TMPFILE, mode) {
        // Not every file system has them, overlays of some kernels for instance.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOSYS | Errno::NOENT) => {
            let new = flags | OFlags::CREATE | OFlags::EXCL;
            let (name, file) = unused_name(".serve-", |name| Ok(openat(dir, name, new, mode)?))?;
            unlinkat(dir, name, AtFlags::empty())?;
            Ok(file.into())
        }
        opened => Ok(opened?.into()),
    }
}
