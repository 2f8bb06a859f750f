//! Files for what is too large for memory. One that a pull did not finish is there for the next one.
//!
//! ```text
//! tmp/fetch-CHECKSUM.filez    validator of the server, padded to 256 bytes; the object as far as it came
//! tmp/fetch-CHECKSUM.part     in the same way, a part of a static delta
//! tmp/fetch-CHECKSUM.super    in the same way, the superblock of one
//! ```
//! Who writes a file has it locked; another pull of the same thing at the same time takes a file without a name.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ostree_format::{Checksum, FileId};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};

use super::options::PartsDir;
use crate::base::{ErrorKind, Kind};
use crate::net::{Spill, SpillBegun};

/// Bytes in front of the content.
const HEAD_BYTES: usize = 256;
/// What has no more bytes is held in memory.
const THRESHOLD_BYTES: u64 = 1024 * 1024;
const PREFIX: &str = "fetch-";

/// The directory with parts.
#[derive(Clone)]
pub(super) struct Parts {
    place: PartsDir,
    /// The names of files that were there at the start.
    left: Arc<HashSet<String>>,
}

/// The file of one object, or of one file of a delta.
pub(super) struct Part {
    place: PartsDir,
    name: String,
    /// Whether an earlier pull left it.
    was_left: bool,
    file: Mutex<Option<File>>,
}

impl Parts {
    /// Looks which parts are there.
    pub(super) fn new(place: PartsDir) -> Self {
        let entries = place.dir.entries().into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let left = names.filter(|name| name.starts_with(PREFIX)).collect();
        Self { place, left: Arc::new(left) }
    }

    /// The file for an object.
    pub(super) fn object(&self, id: &FileId) -> Arc<Part> {
        self.named(format!("{PREFIX}{id}.filez"))
    }

    /// The file for the part of a delta with this checksum.
    pub(super) fn delta_part(&self, checksum: &Checksum) -> Arc<Part> {
        self.named(format!("{PREFIX}{checksum}.part"))
    }

    /// The file for the superblock of a delta with this checksum.
    pub(super) fn superblock(&self, checksum: &Checksum) -> Arc<Part> {
        self.named(format!("{PREFIX}{checksum}.super"))
    }

    fn named(&self, name: String) -> Arc<Part> {
        let was_left = self.left.contains(&name);
        Arc::new(Part { place: self.place.clone(), name, was_left, file: Mutex::default() })
    }
}

impl Part {
    /// The content, at its start, and its size.
    pub(super) fn read(&self) -> io::Result<(File, u64)> {
        let (mut file, content) = self.place()?;
        file.seek(SeekFrom::Start(content.start))?;
        Ok((file, content.end - content.start))
    }

    /// The file, and where in it the content lies.
    pub(super) fn place(&self) -> io::Result<(File, Range<u64>)> {
        let file = self.lock().as_ref().ok_or(io::ErrorKind::NotFound)?.try_clone()?;
        let end = file.metadata()?.len().max(HEAD_BYTES as u64);
        Ok((file, HEAD_BYTES as u64..end))
    }

    /// The content was used, or what is here is of no use.
    pub(super) fn remove(&self) {
        if self.lock().is_some() {
            // What cannot be removed is old one day, and removed then.
            let _ = self.place.dir.remove_file(&self.name);
        }
    }

    /// Whether an earlier pull left it.
    pub(super) fn was_left(&self) -> bool {
        self.was_left
    }

    fn lock(&self) -> MutexGuard<'_, Option<File>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file, open and locked.
    fn ensure_open(&self) -> io::Result<File> {
        let mut file = self.lock();
        if file.is_none() {
            let flags = OFlags::RDWR | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR;
            let dir = &*self.place.dir;
            let opened = openat(dir, &self.name, flags | OFlags::CREATE | OFlags::NOFOLLOW, mode)?;
            let opened = match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => opened,
                Err(_) => openat(dir.as_fd(), ".", flags | OFlags::TMPFILE, mode)?,
            };
            *file = Some(File::from(opened));
        }
        file.as_ref().ok_or(io::ErrorKind::NotFound)?.try_clone()
    }
}

/// A part as a place to write to.
pub(super) struct PartSpill(pub(super) Arc<Part>);

impl Spill for PartSpill {
    fn threshold(&self) -> u64 {
        THRESHOLD_BYTES
    }

    fn begun(&self) -> Option<SpillBegun> {
        if !self.0.was_left {
            return None;
        }
        let mut file = self.0.ensure_open().ok()?;
        let mut head = [0; HEAD_BYTES];
        file.seek(SeekFrom::Start(0)).ok()?;
        file.read_exact(&mut head).ok()?;
        let bytes = file.metadata().ok()?.len().checked_sub(HEAD_BYTES as u64).filter(|bytes| *bytes > 0)?;
        let validator = str::from_utf8(&head).ok()?.trim_end_matches(['\n', '\0']).to_owned();
        Some(SpillBegun { bytes, validator: Some(validator).filter(|validator| !validator.is_empty()) })
    }

    fn open(&mut self, at: u64, validator: Option<&str>) -> io::Result<File> {
        let mut file = self.0.ensure_open()?;
        file.set_len(HEAD_BYTES as u64 + at)?;
        let mut head = [0; HEAD_BYTES];
        let validator = validator.filter(|validator| validator.len() < HEAD_BYTES).unwrap_or_default();
        head[..validator.len()].copy_from_slice(validator.as_bytes());
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&head)?;
        file.seek(SeekFrom::Start(HEAD_BYTES as u64 + at))?;
        Ok(file)
    }

    fn require_room(&self, bytes: u64) -> io::Result<()> {
        (self.0.place.room)(bytes).map_err(|error| match error.kind() {
            ErrorKind::Exhausted => io::Error::new(io::ErrorKind::StorageFull, error),
            _ => io::Error::other(error),
        })
    }
}
