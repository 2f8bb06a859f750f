//! The locks of a store, as containers/storage has them: a POSIX lock on the whole of a file, shared by readers.

use std::io::{self, ErrorKind};
use std::time::Duration;

use cap_std::fs::{Dir, File};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::super::disk::open_regular;
use crate::base::Ctx;
use crate::container::image::{Error, Result};

/// Time between two attempts.
const RETRY: Duration = Duration::from_millis(20);

/// A shared lock, held until it is dropped.
#[must_use = "dropped, it no longer locks"]
pub(super) struct SharedLock {
    _file: Option<File>,
}

impl SharedLock {
    /// Waits until nobody writes. A file that is not there locks nothing: a store that is only read, from another machine
    /// perhaps, has none.
    pub(super) fn take(root: &Dir, path: &str, ctx: &Ctx) -> Result<Self> {
        let Some(file) = open_regular(root, path.as_ref())? else { return Ok(Self { _file: None }) };
        // It belongs to the open file, and excludes what others lock by process.
        let whole = libc::flock {
            l_type: libc::F_RDLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        loop {
            match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)).map_err(io::Error::from) {
                Ok(_) => return Ok(Self { _file: Some(file) }),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::PermissionDenied) => {}
                Err(e) => return Err(Error::io("lock", path)(e)),
            }
            ctx.cancel.check()?;
            std::thread::sleep(RETRY);
        }
    }
}
