//! The lock of a sysroot: the file `ostree/lock`, which is there only while somebody holds it.
//!
//! Source: libostree ostree-sysroot.c, libglnx glnx-lockfile.c.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use super::{Error, Result, Sysroot, files};
use crate::base::{Ctx, Inode};
use crate::repo::{LockKind, try_lock};

const PATH: &str = "ostree/lock";

/// Time between two attempts.
const RETRY: Duration = Duration::from_millis(50);

/// Holds the lock of a sysroot until it is dropped.
#[derive(Debug)]
#[must_use = "dropped, it no longer locks"]
pub struct SysrootLock {
    dir: OwnedFd,
    /// Closing it unlocks.
    _file: File,
}

impl Sysroot {
    /// Takes the lock; `None` if somebody else holds it.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn try_lock(&self) -> Result<Option<SysrootLock>> {
        let failed = |e: std::io::Error| Error::at(&self.dir, "lock", PATH, e);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOCTTY | OFlags::CLOEXEC;
        loop {
            let fd = rustix::fs::openat(&self.dir, PATH, flags, Mode::from_raw_mode(0o660));
            let file = File::from(fd.map_err(|e| failed(e.into()))?);
            if !try_lock(&file, LockKind::Exclusive).map_err(failed)? {
                return Ok(None);
            }
            // Whoever held it before has removed the file; only the one that has the name counts.
            let ours = Inode::of(&file).map_err(failed)?;
            let named = files::lstat(&self.dir, PATH)?;
            if named.is_some_and(|named| Inode::from(&named) == ours) {
                let dir = self.dir.as_fd().try_clone_to_owned().map_err(failed)?;
                return Ok(Some(SysrootLock { dir, _file: file }));
            }
        }
    }

    /// Takes the lock, and waits for whoever holds it; `waiting` is called at once and then every three seconds.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Cancelled`].
    pub fn lock(&self, waiting: &mut dyn FnMut(), ctx: &Ctx) -> Result<SysrootLock> {
        for attempt in 0_u32.. {
            if let Some(lock) = self.try_lock()? {
                return Ok(lock);
            }
            if attempt.is_multiple_of(60) {
                waiting();
            }
            ctx.cancel.check()?;
            std::thread::sleep(RETRY);
        }
        Err(Error::Locked)
    }
}

impl Drop for SysrootLock {
    fn drop(&mut self) {
        // Somebody who waits for it finds that its file has no name, and makes another one.
        let _ = files::unlink(&self.dir, PATH);
    }
}
