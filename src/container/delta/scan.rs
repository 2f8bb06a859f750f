//! A layer's tar stream, kept in a file, and where everything in it lies.
//!
//! ```text
//! stream ─┬─► file (without a name)      read at any place afterwards
//!         └─► tar entries ─► path, kind; of regular files start, size, SHA-256
//! ```

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use ostree_format::{Checksum, Hasher};

use super::record::clean_path;
use crate::container::image::{Error, Result};
use crate::tar::{EndMarker, EntryKind, Reader};

const BUFFER_BYTES: usize = 128 * 1024;

/// A tar stream that was read and kept.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) file: File,
    /// The size of the stream.
    pub(super) bytes: u64,
    pub(super) entries: Vec<ScannedEntry>,
}

/// An entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScannedEntry {
    /// The clean path.
    pub(super) path: Vec<u8>,
    pub(super) what: What,
}

/// The kind of an entry, as far as it matters for deltas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Dir,
    /// A regular file without holes.
    File {
        content: Extent,
        /// Whether everybody may read it: only such files are what deltas refer to.
        readable: bool,
    },
    /// A hard link to this clean path.
    Link(Vec<u8>),
    Other,
}

/// The content of a file in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) bytes: u64,
    pub(super) checksum: Checksum,
}

impl Scanned {
    /// Reads a stream to its end, into `file`.
    pub(super) fn read(stream: &mut dyn Read, file: File) -> Result<Self> {
        let mut kept = Kept { stream, file: &file, bytes: 0 };
        let mut entries = Vec::new();
        // The diffid tells whether the stream is whole.
        let mut reader = Reader::with_end(&mut kept, EndMarker::Optional);
        while let Some(entry) = reader.next_entry()? {
            let Some(path) = clean_path(&entry.path) else { continue };
            let what = match entry.kind {
                EntryKind::Dir => What::Dir,
                EntryKind::Link => clean_path(&entry.link).map_or(What::Other, What::Link),
                EntryKind::Regular => match reader.plain_bytes() {
                    Some(bytes) => {
                        let start = reader.offset();
                        let checksum = hash(&mut reader)?;
                        let content = Extent { start, bytes, checksum };
                        What::File { content, readable: entry.permissions & 0o004 != 0 }
                    }
                    None => What::Other,
                },
                _ => What::Other,
            };
            entries.push(ScannedEntry { path, what });
        }
        drop(reader);
        io::copy(&mut kept, &mut io::sink()).map_err(Error::io("read", "layer"))?;
        let bytes = kept.bytes;
        Ok(Self { file, bytes, entries })
    }

    /// The whole content of a file in the stream.
    pub(super) fn load(&self, content: &Extent) -> io::Result<Vec<u8>> {
        let size = usize::try_from(content.bytes).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let mut whole = vec![0; size];
        self.file.read_exact_at(&mut whole, content.start)?;
        Ok(whole)
    }
}

fn hash<R: Read>(reader: &mut Reader<R>) -> Result<Checksum> {
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; BUFFER_BYTES]);
    loop {
        match reader.content().read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                return Err(match reader.take_failure() {
                    Some(error) => error.into(),
                    None => Error::io("read", "layer")(e),
                });
            }
        }
    }
}

/// Keeps what is read in a file.
struct Kept<'a> {
    stream: &'a mut dyn Read,
    file: &'a File,
    bytes: u64,
}

impl Read for Kept<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buf)?;
        self.file.write_all(&buf[..n])?;
        self.bytes += n as u64;
        Ok(n)
    }
}
