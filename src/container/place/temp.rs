//! Files that get their name only when they are finished.
//!
//! ```text
//! .ostree-rs-tmp-HEX    locked (flock) by the process that writes it
//! ```
//! One that nobody has locked was left behind by a process that was killed: whoever writes there next sweeps it away.

use std::ffi::OsStr;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use cap_std::fs::{Dir, File, OpenOptions};
use rustix::fs::{FlockOperation, flock, fstat, fsync};
use rustix::io::Errno;

use super::disk::open_regular;
use crate::container::image::{Error, Result};

const PREFIX: &str = ".ostree-rs-tmp-";
/// How long a lock is waited for.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// How often it is tried.
const POLL: Duration = Duration::from_millis(20);

/// A file under a name of its own, removed when it is dropped before [`TempFile::persist`].
#[derive(Debug)]
pub(super) struct TempFile {
    /// The folder that it is in: open, so that it can be removed where no more files can be opened.
    folder: Dir,
    name: String,
    /// The open file, for reading and writing.
    pub(in crate::container) file: File,
    kept: bool,
}

impl TempFile {
    /// A new file in the folder `sub` of `dir`; `sub` may be empty.
    pub(in crate::container) fn new(dir: &Dir, sub: &Path) -> Result<Self> {
        let options = OpenOptions::new().read(true).write(true).create_new(true).to_owned();
        loop {
            // Opened as a file: what cap-std opens as a directory cannot be synced.
            let folder = dir.open(or_dot(sub)).map_err(Error::at(dir, "open", sub))?;
            let folder = Dir::from_std_file(folder.into_std());
            // The hasher's keys are random: no two processes choose the same name.
            let name = format!("{PREFIX}{:016x}", RandomState::new().build_hasher().finish());
            let file = match folder.open_with(&name, &options) {
                Ok(file) => file,
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(Error::at(&folder, "create", name)(e)),
            };
            let temp = Self { folder, name, file, kept: false };
            lock(&temp.file).map_err(Error::at(&temp.folder, "lock", &temp.name))?;
            // Before it was locked, it looked like one that was left behind.
            if fstat(&temp.file).map_err(|e| Error::at(&temp.folder, "stat", &temp.name)(e.into()))?.st_nlink
                > 0
            {
                return Ok(temp);
            }
        }
    }

    /// Gives the file its name in its folder, replacing what had it before. It is on disk then. `name` is the path
    /// from where the folder's starts.
    pub(super) fn persist(mut self, name: &Path) -> Result<()> {
        let name = Path::new(name.file_name().unwrap_or_default());
        self.file.sync_all().map_err(Error::at(&self.folder, "sync", name))?;
        let renamed = self.folder.rename(&self.name, &self.folder, name);
        renamed.map_err(Error::at(&self.folder, "rename to", name))?;
        self.kept = true;
        fsync(&self.folder).map_err(|e| Error::at(&self.folder, "sync", ".")(e.into()))
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing is lost if this fails, and there is nobody to tell.
            let _ = self.folder.remove_file(&self.name);
        }
    }
}

/// Writes `bytes` to `name`, at once and durably.
pub(in crate::container) fn write_whole(dir: &Dir, name: &Path, bytes: &[u8]) -> Result<()> {
    let mut temp = TempFile::new(dir, name.parent().unwrap_or(Path::new("")))?;
    temp.file.write_all(bytes).map_err(Error::at(dir, "write", name))?;
    temp.persist(name)
}

/// Removes what processes that were killed left in the folder `sub` of `dir`. What cannot be removed, or belongs to
/// somebody else, stays.
pub(super) fn sweep(dir: &Dir, sub: &Path) {
    let Ok(entries) = dir.read_dir(or_dot(sub)) else { return };
    for entry in entries.flatten().filter(|entry| is_temp(&entry.file_name())) {
        let name = sub.join(entry.file_name());
        if let Ok(Some(file)) = open_regular(dir, &name)
            && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            let _ = dir.remove_file(&name);
        }
    }
}

/// Whether a file of this name is, or was, one that is not finished.
pub(in crate::container) fn is_temp(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

/// Makes everybody wait who locks the same directory, until the result is dropped.
pub(super) fn lock_dir(dir: &Dir) -> Result<File> {
    let file = dir.open(".").map_err(Error::at(dir, "open", "."))?;
    lock(&file).map_err(Error::at(dir, "lock", "."))?;
    Ok(file)
}

/// The folder `sub`, where an empty path means the one that it is relative to.
fn or_dot(sub: &Path) -> &Path {
    if sub == Path::new("") { Path::new(".") } else { sub }
}

/// Waits for the lock of a file, which nobody holds for longer than it takes to write a few small files. Where there
/// are no locks (on NFS, for directories), nobody has to wait, and nothing is swept away.
fn lock(file: impl AsFd) -> io::Result<()> {
    let started = Instant::now();
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if started.elapsed() < MAX_WAIT => thread::sleep(POLL),
            Err(Errno::WOULDBLOCK) => {
                return Err(io::Error::other("another process keeps it locked"));
            }
            Err(Errno::INTR) => {}
            Err(Errno::BADF | Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
            result => return Ok(result?),
        }
    }
}
