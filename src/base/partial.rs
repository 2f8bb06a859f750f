//! Files for what comes from elsewhere and is too large for memory. One that an earlier run did not finish is there for the
//! next one.
//!
//! ```text
//! fetch-NAME    what the source calls the content, padded to 256 bytes; the content as far as it came
//! ```
//! Who writes a file has it locked; another one that fetches the same thing at the same time takes a file without a name.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{debug_fields, fs};
use cap_std::fs::Dir;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};

/// Bytes in front of the content.
const HEAD_BYTES: usize = 256;
const PREFIX: &str = "fetch-";

/// A check whether the disk has room for a number of bytes; it is called before they are written.
pub type AskRoom = dyn Fn(u64) -> io::Result<()> + Send + Sync;

/// A directory with files of content that is being fetched.
#[derive(Clone)]
pub struct PartialFiles {
    dir: Arc<Dir>,
    room: Arc<AskRoom>,
    left: Left,
}

debug_fields!(PartialFiles { dir });

/// The names of files that were there at the start, and were not removed since.
type Left = Arc<Mutex<HashSet<String>>>;

/// A file of content that is being fetched; it may hold what an earlier run left.
pub struct PartialFile {
    dir: Arc<Dir>,
    room: Arc<AskRoom>,
    name: String,
    left: Left,
    /// Whether an earlier run left it.
    was_left: bool,
    file: Mutex<Option<File>>,
}

debug_fields!(PartialFile { dir, name });

impl PartialFiles {
    /// Looks which files are there. `room` says whether there is room for more.
    pub fn new(dir: Arc<Dir>, room: Arc<AskRoom>) -> Self {
        let entries = dir.entries().into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let left = names.filter(|name| name.starts_with(PREFIX)).collect();
        Self { dir, room, left: Arc::new(Mutex::new(left)) }
    }

    /// The file of this name, which should say what the content is.
    pub fn file(&self, name: &str) -> PartialFile {
        let name = format!("{PREFIX}{name}");
        let was_left = lock(&self.left).contains(&name);
        let (dir, room, left) = (Arc::clone(&self.dir), Arc::clone(&self.room), Arc::clone(&self.left));
        PartialFile { dir, room, name, left, was_left, file: Mutex::default() }
    }
}

impl PartialFile {
    /// Where the file lies, for messages.
    pub fn path(&self) -> PathBuf {
        fs::place(&*self.dir, &self.name)
    }

    /// The content, at its start, and its size.
    ///
    /// # Errors
    /// If nothing was written or found; what the file system says.
    pub fn read(&self) -> io::Result<(File, u64)> {
        let (mut file, content) = self.place()?;
        file.seek(SeekFrom::Start(content.start))?;
        Ok((file, content.end - content.start))
    }

    /// The file, and where in it the content lies.
    ///
    /// # Errors
    /// As [`PartialFile::read`].
    pub fn place(&self) -> io::Result<(File, Range<u64>)> {
        let file = lock(&self.file).as_ref().ok_or(io::ErrorKind::NotFound)?.try_clone()?;
        let end = file.metadata()?.len().max(HEAD_BYTES as u64);
        Ok((file, HEAD_BYTES as u64..end))
    }

    /// The content was used, or what is here is of no use: for the next file of this name nothing was left.
    pub fn remove(&self) {
        lock(&self.left).remove(&self.name);
        if lock(&self.file).is_some() {
            // What cannot be removed is old one day, and removed then.
            let _ = self.dir.remove_file(&self.name);
        }
    }

    /// Whether an earlier run left it.
    pub fn was_left(&self) -> bool {
        self.was_left
    }

    /// The bytes that an earlier run left, and what the source called the content; `None` if there are none.
    pub fn begun(&self) -> Option<(u64, Option<String>)> {
        if !self.was_left {
            return None;
        }
        let mut file = self.ensure_open().ok()?;
        let mut head = [0; HEAD_BYTES];
        file.seek(SeekFrom::Start(0)).ok()?;
        file.read_exact(&mut head).ok()?;
        let bytes = file.metadata().ok()?.len().checked_sub(HEAD_BYTES as u64).filter(|bytes| *bytes > 0)?;
        let validator = str::from_utf8(&head).ok()?.trim_end_matches(['\n', '\0']).to_owned();
        Some((bytes, Some(validator).filter(|validator| !validator.is_empty())))
    }

    /// Opens the file to write the byte `at` of the content next, without those behind it; `validator` is what the source
    /// calls the content.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(&self, at: u64, validator: Option<&str>) -> io::Result<File> {
        let mut file = self.ensure_open()?;
        file.set_len(HEAD_BYTES as u64 + at)?;
        let mut head = [0; HEAD_BYTES];
        let validator = validator.filter(|validator| validator.len() < HEAD_BYTES).unwrap_or_default();
        head[..validator.len()].copy_from_slice(validator.as_bytes());
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&head)?;
        file.seek(SeekFrom::Start(HEAD_BYTES as u64 + at))?;
        Ok(file)
    }

    /// Checks that there is room for `bytes` more; it is called before they are written.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] if there is no room for them; what the file system says.
    pub fn require_room(&self, bytes: u64) -> io::Result<()> {
        (self.room)(bytes)
    }

    /// The file, open and locked.
    fn ensure_open(&self) -> io::Result<File> {
        let mut file = lock(&self.file);
        if file.is_none() {
            let flags = OFlags::RDWR | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR;
            let opened = openat(&*self.dir, &self.name, flags | OFlags::CREATE | OFlags::NOFOLLOW, mode)?;
            let opened = match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => opened,
                Err(_) => openat(self.dir.as_fd(), ".", flags | OFlags::TMPFILE, mode)?,
            };
            *file = Some(File::from(opened));
        }
        file.as_ref().ok_or(io::ErrorKind::NotFound)?.try_clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
