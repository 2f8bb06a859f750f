//! What the journal of `/boot` holds is brought to where boot loaders look for it.
//!
//! After syncfs everything is on the disk, but on XFS a part of it only in the journal (ext4 has it in both places). The
//! kernel reads that when it mounts the file system after a crash; GRUB does not, and would find a directory as it was
//! before. A file system that becomes read-only empties its journal, which takes some milliseconds: so `/boot` becomes
//! read-only and writable again. libostree freezes it instead (ioctl `FIFREEZE`, for which there is no safe call here):
//! others then wait where here they fail to write, and a watchdog thaws what a killed program left frozen. Here nothing
//! does: a program that is killed in these milliseconds leaves `/boot` read-only until it is remounted or the machine
//! restarts, and whole.

use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::Duration;

use rustix::fs::{fstat, fstatfs};
use rustix::io::Errno;
use rustix::mount::{FsPickFlags, fsconfig_reconfigure, fsconfig_set_flag, fspick};

/// `f_type` of XFS, as statfs(2) lists it.
const XFS_MAGIC: i64 = 0x5846_5342;

/// How long others are waited for.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// Empties the journal of the file system of `boot`, if it has one that boot loaders cannot read, and is another than
/// that of `sysroot`: what is in use all the time cannot become read-only. Where somebody else writes to `boot` all the
/// time, or this process may not, everything stays as it is.
///
/// # Errors
/// What the kernel said if the file system did not become writable again.
pub(super) fn empty(boot: BorrowedFd<'_>, sysroot: BorrowedFd<'_>) -> Result<(), Errno> {
    if fstatfs(boot)?.f_type != XFS_MAGIC || fstat(boot)?.st_dev == fstat(sysroot)?.st_dev {
        return Ok(());
    }
    for _ in 0..TRIES {
        match set(boot, "ro") {
            Ok(()) => return set(boot, "rw"),
            // Files that were just closed may be in use for a moment, by a process that was forked meanwhile.
            Err(Errno::BUSY) => thread::sleep(PAUSE),
            Err(error) => {
                tracing::debug!(%error, "the journal of /boot cannot be emptied");
                return Ok(());
            }
        }
    }
    tracing::warn!("the journal of /boot cannot be emptied: somebody writes to it");
    Ok(())
}

/// Changes one option of a mounted file system.
fn set(mounted: BorrowedFd<'_>, option: &str) -> Result<(), Errno> {
    let picked = fspick(mounted, "", FsPickFlags::FSPICK_EMPTY_PATH | FsPickFlags::FSPICK_CLOEXEC)?;
    fsconfig_set_flag(picked.as_fd(), option)?;
    fsconfig_reconfigure(picked.as_fd())
}
