//! Small content objects in memory, which are hashed before they are written: what is there already is not written.
//!
//! ```text
//! header, content ─► LoadedFile ─► Streams ─► HashedFile ─► write_hashed
//! ```

use std::io::{self, Read};

use ostree_format::{Checksum, FileHeader, FileId, Finished};

use super::{Error, Result};

/// The largest content that is hashed in memory, in bytes.
pub const SMALL_FILE_BYTES: u64 = 256 * 1024;

/// A content object in memory. As a stream it gives what is hashed: the framed header, and the content behind it.
#[derive(Debug)]
pub struct LoadedFile {
    header: FileHeader,
    bytes: Vec<u8>,
    content_at: usize,
    /// How far it was read as a stream.
    read_at: usize,
}

impl LoadedFile {
    /// Reads content of exactly `len` bytes.
    ///
    /// # Errors
    /// [`Error::Read`] if it cannot be read, or is shorter or longer.
    pub fn read(header: FileHeader, len: u64, content: &mut dyn Read) -> Result<Self> {
        let framed = header.to_framed();
        let content_at = framed.len();
        // In one piece, where it is small: then it can be inflated in one, too.
        let at_once = usize::try_from(len.min(SMALL_FILE_BYTES)).unwrap_or(0);
        let mut bytes = vec![0; content_at + at_once];
        bytes[..content_at].copy_from_slice(&framed);
        let mut got = fill(content, &mut bytes[content_at..]).map_err(unreadable)?;
        bytes.truncate(content_at + got);
        if got == at_once {
            let left = len.saturating_sub(got as u64);
            got += content.take(left.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
        }
        let got = got as u64;
        if got != len {
            Err(wrong_length(len, got))
        } else {
            Ok(Self { header, bytes, content_at, read_at: 0 })
        }
    }

    /// About how many bytes it takes in memory: xattrs, which may be many more than the content, are there twice.
    pub(crate) fn held_bytes(&self) -> u64 {
        (self.content_at + self.bytes.len()) as u64
    }
}

impl Read for LoadedFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.bytes.get(self.read_at..).unwrap_or_default().read(buf)?;
        self.read_at += n;
        Ok(n)
    }
}

/// A content object in memory whose id was computed, or is believed.
#[derive(Debug)]
pub struct HashedFile {
    id: FileId,
    file: LoadedFile,
}

impl HashedFile {
    /// Computes the id of `file`.
    pub fn new(file: LoadedFile) -> Self {
        Self { id: FileId::new(Checksum::of(&file.bytes)), file }
    }

    /// Takes an object of a store that is believed to have it under the right name.
    pub(crate) fn believed(id: FileId, file: LoadedFile) -> Self {
        Self { id, file }
    }

    /// Takes an object that was hashed as one of several streams, with the caller's tag for it.
    ///
    /// # Errors
    /// [`Error::Read`] if it could not be read, which memory always can.
    pub fn of<T>((tag, file, hashed): Finished<T, LoadedFile>) -> Result<(T, Self)> {
        let id = FileId::new(hashed.map_err(unreadable)?);
        Ok((tag, Self { id, file }))
    }

    /// The id of the object.
    pub fn id(&self) -> &FileId {
        &self.id
    }

    /// The header of the object.
    pub fn header(&self) -> &FileHeader {
        &self.file.header
    }

    /// The content of the file, without the header.
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
