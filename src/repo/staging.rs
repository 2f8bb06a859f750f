//! Staging directories: where a transaction keeps its objects until it is committed.
//!
//! ```text
//! tmp/staging-BOOTID-XXXXXX/xx/….EXT    objects
//! tmp/staging-BOOTID-XXXXXX/journal     what they are: lines of ours, which others remove with the directory
//! tmp/staging-BOOTID-XXXXXX-lock        locked by whoever uses the directory
//! ```
//! After a restart of the machine, files in it may be incomplete, since nothing made them reach the disk:
//! hence the boot id in the name. Within one boot the next transaction takes over what an earlier one of the same
//! user left, one with a journal only if it reads journals; what nobody came back for is cleaned away by its age. What
//! other users have put into `tmp` is never looked into.
//!
//! Source: libostree ostree-repo.c:6373-6525.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::dir::ObjectDir;
use super::sys::{self, LockKind};
use crate::base::{Inode, fs};
use crate::store::{Error, MAX_CACHED_BYTES, Result, journal_tells};

/// What the names of all staging directories start with.
pub(super) const PREFIX: &str = "staging-";
/// The file with lines about the objects.
const JOURNAL: &str = "journal";

/// A staging directory that is locked.
#[derive(Debug)]
pub(super) struct Staging<'t> {
    /// The objects in the directory.
    pub(super) objects: ObjectDir,
    /// Whether an earlier transaction left it.
    pub(super) resumed: bool,
    tmp: BorrowedFd<'t>,
    /// The name of the directory in `tmp`.
    name: String,
    _lock: StagingLock<'t>,
}

/// The lock of a staging directory; dropped, the file is gone.
#[derive(Debug)]
struct StagingLock<'t> {
    _file: File,
    tmp: BorrowedFd<'t>,
    name: String,
}

impl Drop for StagingLock<'_> {
    fn drop(&mut self) {
        // Who locks it alone may remove it; whoever waits for it looks at the number of links.
        let _ = sys::unlink(self.tmp, &self.name);
    }
}

/// A choice of the directories, left by earlier transactions, that are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takeover {
    /// Directories without a journal: one with a journal is left for a transaction that can read it.
    Plain,
    /// All directories, those with a journal first.
    Journaled,
    /// Directories from which every object has gone into the repository, and whose transaction was stopped after
    /// that.
    Emptied,
}

impl<'t> Staging<'t> {
    /// Takes over a directory of this boot that nobody uses, or makes one.
    pub(super) fn take(tmp: BorrowedFd<'t>, boot_id: &str, takeover: Takeover) -> Result<Self> {
        if let Some(staging) = Self::take_over(tmp, boot_id, takeover)? {
            return Ok(staging);
        }
        let prefix = format!("{PREFIX}{boot_id}-");
        let failed = |e| Error::at(tmp, "mkdir", ".", e);
        loop {
            let name = sys::temporary_dir(tmp, &prefix, 0o775).map_err(failed)?;
            // Without descriptors or inodes it cannot be used, and shall not stay.
            let removed = |_: &Error| drop(sys::rmdir(tmp, &name));
            let Some(lock) = try_lock(tmp, &name).inspect_err(removed)? else { continue };
            // Before it was locked, another transaction may have taken it over, and removed it or left something in it.
            let opened = sys::optional(fs::open_made_dir(tmp, &*name));
            let opened = opened.map_err(|e| Error::at(tmp, "open", &name, e)).inspect_err(removed);
            let Some(fd) = opened? else { continue };
            let resumed = !sys::list(&fd, ".").map_err(failed).inspect_err(removed)?.is_empty();
            return Ok(Self::new(tmp, name, fd, lock, resumed));
        }
    }

    /// Takes over a directory of this boot that nobody uses, if there is one.
    pub(super) fn take_over(tmp: BorrowedFd<'t>, boot_id: &str, takeover: Takeover) -> Result<Option<Self>> {
        let prefix = format!("{PREFIX}{boot_id}-");
        let mut left = sys::list(tmp, ".").map_err(|e| Error::at(tmp, "list", ".", e))?;
        left.retain(|(name, kind)| *kind == FileType::Directory && name.starts_with(&prefix));
        let has_journal =
            |name: &str| sys::lstat(tmp, &format!("{name}/{JOURNAL}")).is_ok_and(|s| s.is_some());
        let (journaled, plain): (Vec<_>, Vec<_>) = left.into_iter().partition(|(name, _)| has_journal(name));
        let journaled = if takeover == Takeover::Plain { Vec::new() } else { journaled };
        for (name, _) in journaled.into_iter().chain(plain) {
            if let Some(staging) = Self::resume(tmp, name)?
                && (takeover != Takeover::Emptied || staging.is_emptied()?)
            {
                return Ok(Some(staging));
            }
        }
        Ok(None)
    }

    /// Takes over the directory `name`, if it is one of this user's and nobody uses it.
    fn resume(tmp: BorrowedFd<'t>, name: String) -> Result<Option<Self>> {
        let at = name.as_str();
        let failed = |op| move |e: io::Error| Error::at(tmp, op, at, e);
        let Some(fd) = sys::open_own_dir(tmp, &name).map_err(failed("open"))? else { return Ok(None) };
        let Some(lock) = try_lock(tmp, &name)? else { return Ok(None) };
        // Its user may have removed it between our opening and our locking.
        let opened = Inode::of(&fd).map_err(failed("stat"))?;
        let there = sys::lstat(tmp, &name).map_err(failed("stat"))?;
        if there.is_none_or(|there| Inode::from(&there) != opened) {
            return Ok(None);
        }
        // Young again, so that nobody takes it for rubbish.
        let _ = sys::touch(&fd);
        Ok(Some(Self::new(tmp, name, fd, lock, true)))
    }

    fn new(tmp: BorrowedFd<'t>, name: String, fd: OwnedFd, lock: StagingLock<'t>, resumed: bool) -> Self {
        let objects = ObjectDir::new(fd);
        Self { objects, resumed, tmp, name, _lock: lock }
    }

    /// Whether no object is in it any more.
    fn is_emptied(&self) -> Result<bool> {
        for dir in self.objects.dirs()? {
            if !sys::list(&self.objects, &dir).map_err(|e| self.objects.failed("list", &dir, e))?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What was noted of the objects.
    pub(super) fn journal(&self) -> Vec<u8> {
        let journal = sys::read_file_nofollow(&self.objects, JOURNAL, MAX_CACHED_BYTES);
        journal.ok().flatten().unwrap_or_default()
    }

    /// Notes it at once: the process may be killed at any moment. What cannot be noted is forgotten.
    pub(super) fn add_to_journal(&self, line: &str) {
        if let Ok(mut file) = sys::open_to_append(&self.objects, JOURNAL, 0o644) {
            let _ = file.write_all(line.as_bytes());
        }
    }

    /// Forgets what was noted, since something of it is missing.
    pub(super) fn remove_journal(&self) -> Result<()> {
        sys::unlink(&self.objects, JOURNAL).map(drop).map_err(|e| self.objects.failed("unlink", JOURNAL, e))
    }

    /// Removes the directory with everything in it.
    pub(super) fn remove(self) -> Result<()> {
        let removed = fs::clear_dir(&self.objects).and_then(|()| sys::rmdir(self.tmp, &self.name));
        removed.map_err(|e| self.objects.failed("remove", "", e))
    }

    /// Leaves the directory to the next transaction, unless there is nothing in it, and nothing to be told.
    pub(super) fn leave(self) {
        if self.objects.dirs().is_ok_and(|dirs| dirs.is_empty()) && !journal_tells(&self.journal()) {
            let _ = self.remove_journal();
        }
        let _ = sys::rmdir(self.tmp, &self.name);
    }
}

/// Locks the staging directory `name`; `None` if somebody uses it, or the lock is somebody else's.
fn try_lock<'t>(tmp: BorrowedFd<'t>, name: &str) -> Result<Option<StagingLock<'t>>> {
    let path = format!("{name}-lock");
    let at = path.as_str();
    let failed = |op| move |e| Error::at(tmp, op, at, e);
    loop {
        let file = match sys::open_or_create(tmp, &path, 0o600) {
            Err(e) if is_of_others(&e) => return Ok(None),
            opened => opened.map_err(failed("open"))?,
        };
        let stat = rustix::fs::fstat(&file).map_err(|e| failed("stat")(e.into()))?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if !is_file || !fs::is_own(tmp, &stat).map_err(failed("stat"))? {
            return Ok(None);
        }
        if !sys::try_lock(&file, LockKind::Exclusive).map_err(failed("lock"))? {
            return Ok(None);
        }
        let links = rustix::fs::fstat(&file).map_err(|e| failed("stat")(e.into()))?.st_nlink;
        if links > 0 {
            return Ok(Some(StagingLock { _file: file, tmp, name: path }));
        }
        // Its owner removed it between our opening and our locking.
    }
}

/// Whether an error of opening says that something lies there which this user would not have made.
fn is_of_others(e: &io::Error) -> bool {
    let errno = Errno::from_io_error(e);
    matches!(errno, Some(Errno::LOOP | Errno::ACCESS | Errno::PERM | Errno::ISDIR | Errno::NXIO))
}

/// Removes the staging directory `name`, if nobody uses it.
pub(super) fn remove_unused(tmp: BorrowedFd<'_>, name: &str) -> Result<()> {
    match try_lock(tmp, name)? {
        None => Ok(()),
        Some(_lock) => fs::remove_all(tmp, name).map_err(|e| Error::at(tmp, "remove", name, e)),
    }
}
