//! Small content objects in memory, many of which are hashed at once.
//!
//! ```text
//! header, content ─► LoadedFile ─┐
//! header, content ─► LoadedFile ─┼─ Batch ─► HashedFile, HashedFile, …    see `Checksum::of_each`
//! …                              ┘
//! ```

use std::io::{self, Read};

use ostree_format::{Checksum, FileHeader, FileId};

use super::{Error, Result};

/// Content of up to so many bytes is small enough to be hashed in memory.
pub const SMALL_FILE_BYTES: u64 = 256 * 1024;
/// So many files are worth hashing together, or files with so many bytes.
const BATCH_FILES: usize = 64;
const BATCH_BYTES: usize = 1 << 20;

/// A content object in memory: what is hashed, in one piece.
#[derive(Debug)]
pub struct LoadedFile {
    header: FileHeader,
    /// The framed header, and the content behind it.
    bytes: Vec<u8>,
    content_at: usize,
}

impl LoadedFile {
    /// Reads content of exactly `len` bytes.
    ///
    /// # Errors
    /// [`Error::Read`] if it cannot be read, or is shorter or longer.
    pub fn read(header: FileHeader, len: u64, content: &mut dyn Read) -> Result<Self> {
        let mut bytes = header.to_framed();
        let content_at = bytes.len();
        // In one piece, where it is small: then it can be inflated in one, too.
        let at_once = usize::try_from(len.min(SMALL_FILE_BYTES)).unwrap_or(0);
        bytes.resize(content_at + at_once, 0);
        let mut got = fill(content, &mut bytes[content_at..]).map_err(unreadable)?;
        bytes.truncate(content_at + got);
        if got == at_once {
            let left = len.saturating_sub(got as u64);
            got += content.take(left.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
        }
        let got = got as u64;
        if got != len { Err(wrong_length(len, got)) } else { Ok(Self { header, bytes, content_at }) }
    }
}

/// A content object in memory whose id was computed.
#[derive(Debug)]
pub struct HashedFile {
    id: FileId,
    file: LoadedFile,
}

impl HashedFile {
    /// Hashes one.
    pub fn new(file: LoadedFile) -> Self {
        Self { id: FileId::new(Checksum::of(&file.bytes)), file }
    }

    /// Hashes all of them, in less time.
    pub fn of_each(files: Vec<LoadedFile>) -> Vec<Self> {
        let messages: Vec<_> = files.iter().map(|file| &file.bytes[..]).collect();
        let ids = Checksum::of_each(&messages);
        ids.into_iter().zip(files).map(|(id, file)| Self { id: FileId::new(id), file }).collect()
    }

    /// Its id.
    pub fn id(&self) -> &FileId {
        &self.id
    }

    /// Its header.
    pub fn header(&self) -> &FileHeader {
        &self.file.header
    }

    /// Its content.
    pub fn content(&self) -> &[u8] {
        &self.file.bytes[self.file.content_at..]
    }

    /// Checks that this is the object `expected`.
    ///
    /// # Errors
    /// [`Error::Mismatch`].
    pub fn check(&self, expected: &FileId) -> Result<()> {
        match self.id == *expected {
            true => Ok(()),
            false => Err(Error::Mismatch { expected: (*expected).into(), actual: *self.id.checksum() }),
        }
    }
}

/// Files that wait until hashing them together pays, each with what it is to the caller. Where it never does, each is
/// a batch of its own.
#[derive(Debug)]
pub struct Batch<T> {
    files: Vec<LoadedFile>,
    tags: Vec<T>,
    bytes: usize,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { files: Vec::new(), tags: Vec::new(), bytes: 0 }
    }
}

impl<T> Batch<T> {
    /// Adds a file.
    pub fn push(&mut self, tag: T, file: LoadedFile) {
        self.bytes += file.bytes.len();
        self.files.push(file);
        self.tags.push(tag);
    }

    /// Whether it is time to hash them.
    pub fn is_full(&self) -> bool {
        self.files.len() >= BATCH_FILES || self.bytes >= BATCH_BYTES || !Checksum::gains_by_many()
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> u64 {
        self.bytes as u64
    }

    /// Hashes all of them, and is empty again.
    pub fn hash(&mut self) -> Vec<(T, HashedFile)> {
        let Self { files, tags, .. } = std::mem::take(self);
        tags.into_iter().zip(HashedFile::of_each(files)).collect()
    }
}

/// Reads until `buf` is full, or the content at its end; says how much.
fn fill(content: &mut dyn Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match content.read(&mut buf[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Content that cannot be read.
pub(crate) fn unreadable(source: io::Error) -> Error {
    Error::Read { what: "file content".into(), source }
}

/// Content that is shorter or longer than announced.
pub(crate) fn wrong_length(expected: u64, got: u64) -> Error {
    let why = match got > expected {
        true => "there is more content than was announced".to_owned(),
        false => format!("Unexpected EOF with {} bytes remaining", expected - got),
    };
    unreadable(io::Error::new(io::ErrorKind::InvalidData, why))
}
