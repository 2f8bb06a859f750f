//! Staging directories: where a transaction keeps its objects until it is committed.
//!
//! ```text
//! tmp/staging-BOOTID-XXXXXX/xx/….EXT    objects
//! tmp/staging-BOOTID-XXXXXX/journal     what they are: lines of ours, which others remove with the directory
//! tmp/staging-BOOTID-XXXXXX-lock        locked by who uses the directory
//! ```
//! After a restart of the machine, files in it may be incomplete, since nothing made them reach the disk:
//! hence the boot id in the name. Within one boot the next transaction takes over what an earlier one left.
//! Source: libostree ostree-repo.c:6373-6525.

use std::fs::File;
use std::io::Write;
use std::os::fd::BorrowedFd;

use rustix::fs::FileType;

use super::dir::ObjectDir;
use super::sys::{self, LockKind};
use crate::store::{Error, MAX_CACHED_BYTES, Result};

/// What the names of all staging directories start with.
pub(super) const PREFIX: &str = "staging-";
/// The file with lines about the objects.
const JOURNAL: &str = "journal";

/// A staging directory that is locked.
#[derive(Debug)]
pub(super) struct Staging {
    /// Its objects.
    pub(super) objects: ObjectDir,
    /// Whether an earlier transaction left it.
    pub(super) resumed: bool,
    /// Its name in `tmp`.
    name: String,
    _lock: StagingLock,
}

/// The lock of a staging directory; dropped, the file is gone.
#[derive(Debug)]
struct StagingLock {
    _file: File,
    tmp: std::os::fd::OwnedFd,
    name: String,
}

impl Drop for StagingLock {
    fn drop(&mut self) {
        // Who locks it alone may remove it; whoever waits for it looks at the number of links.
        let _ = sys::unlink(&self.tmp, &self.name);
    }
}

impl Staging {
    /// Takes over a directory of this boot that nobody uses, or makes one.
    pub(super) fn take(tmp: BorrowedFd<'_>, boot_id: &str) -> Result<Self> {
        let prefix = format!("{PREFIX}{boot_id}-");
        let failed = |op| move |e| Error::io(op, "tmp", e);
        for (name, kind) in sys::list(tmp, ".").map_err(failed("list"))? {
            if kind != FileType::Directory || !name.starts_with(&prefix) {
                continue;
            }
            if let Some(lock) = try_lock(tmp, &name)? {
                let staging = Self::open(tmp, name, lock, true)?;
                // Young again, so that nobody takes it for rubbish.
                let _ = sys::touch(&staging.objects);
                return Ok(staging);
            }
        }
        loop {
            let name = sys::temporary_dir(tmp, &prefix, 0o775).map_err(failed("mkdir"))?;
            if let Some(lock) = try_lock(tmp, &name)? {
                return Self::open(tmp, name, lock, false);
            }
        }
    }

    fn open(tmp: BorrowedFd<'_>, name: String, lock: StagingLock, resumed: bool) -> Result<Self> {
        let path = format!("tmp/{name}");
        let fd = sys::open_dir(tmp, &name).map_err(|e| Error::io("open", &path, e))?;
        Ok(Self { objects: ObjectDir::new(fd, path), resumed, name, _lock: lock })
    }

    /// What was noted of the objects.
    pub(super) fn journal(&self) -> Vec<u8> {
        sys::read_file(&self.objects, JOURNAL, MAX_CACHED_BYTES).ok().flatten().unwrap_or_default()
    }

    /// Notes it at once: the process may be killed at any moment. What cannot be noted is forgotten.
    pub(super) fn add_to_journal(&self, line: &str) {
        if let Ok(mut file) = sys::open_to_append(&self.objects, JOURNAL, 0o644) {
            let _ = file.write_all(line.as_bytes());
        }
    }

    /// Removes the directory with everything in it.
    pub(super) fn remove(self, tmp: BorrowedFd<'_>) -> Result<()> {
        sys::remove_all(tmp, &self.name).map_err(|e| Error::io("remove", self.objects.path(), e))
    }

    /// Leaves the directory to the next transaction, unless it is empty.
    pub(super) fn leave(self, tmp: BorrowedFd<'_>) {
        let _ = sys::rmdir(tmp, &self.name);
    }
}

/// Locks the staging directory `name`; `None` if somebody uses it or it is gone.
fn try_lock(tmp: BorrowedFd<'_>, name: &str) -> Result<Option<StagingLock>> {
    let path = format!("{name}-lock");
    let failed = |op| move |e| Error::io(op, format!("tmp/{name}-lock"), e);
    loop {
        let file = sys::open_or_create(tmp, &path, 0o600).map_err(failed("open"))?;
        if !sys::try_lock(&file, LockKind::Exclusive).map_err(failed("lock"))? {
            return Ok(None);
        }
        let links = rustix::fs::fstat(&file).map_err(|e| failed("stat")(e.into()))?.st_nlink;
        if links == 0 {
            // Its owner removed it between our opening and our locking.
            continue;
        }
        let own_tmp = tmp.try_clone_to_owned().map_err(failed("open"))?;
        let lock = StagingLock { _file: file, tmp: own_tmp, name: path };
        let there = sys::lstat(tmp, name).map_err(failed("stat"))?;
        let is_dir = there.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
        return Ok(is_dir.then_some(lock));
    }
}

/// Removes the staging directory `name`, if nobody uses it.
pub(super) fn remove_unused(tmp: BorrowedFd<'_>, name: &str) -> Result<()> {
    match try_lock(tmp, name)? {
        None => Ok(()),
        Some(_lock) => sys::remove_all(tmp, name).map_err(|e| Error::io("remove", format!("tmp/{name}"), e)),
    }
}
