//! The head of a static delta: its superblock, and the signatures that it may be wrapped in.
//!
//! ```text
//! file ─┬─ framing, metadata, tables ──► memory, at most MAX_METADATA_BYTES: the head
//!       ├─ all of it, if it was signed ► memory, until it is judged: what was judged is what the head is read from
//!       └─ parts that lie in it ───────► read when it is their turn; the head has their checksums
//! ```
//! So nobody who changes the file meanwhile makes anything count that was not judged.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use ostree_format::delta::{SignedSuperblock, Superblock};
use ostree_format::variant::Dict;
use ostree_format::{Checksum, MAX_METADATA_BYTES, ParseError};

use crate::base::io::{Cancellable, Hashing, Spool};
use crate::base::{Cancel, debug_fields};
use crate::store::{Error, Refusal, Result};

/// The file of a superblock, with signatures or without, of which pieces are read.
#[derive(Debug)]
pub struct SuperblockFile(Place);

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    Disk(File, Range<u64>),
}

impl SuperblockFile {
    /// A file in memory.
    pub fn held(bytes: Vec<u8>) -> Self {
        Self(Place::Memory(bytes))
    }

    /// A file on disk, or these bytes of it.
    pub fn on_disk(file: File, bytes: Range<u64>) -> Self {
        Self(Place::Disk(file, bytes))
    }

    /// A copy in a file that `spool` makes, which nobody else can change.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Io`]; [`Error::Unsupported`] if there are more bytes than `most`; [`Error::Cancelled`].
    pub fn copied(from: impl Read, most: u64, spool: &Spool<'_>, cancel: &Cancel) -> Result<Self> {
        let mut copy = spool().map_err(|e| Error::io("create", "temporary file", e))?;
        let mut from = Cancellable::new(from, cancel).take(most.saturating_add(1));
        let copied = io::copy(&mut from, &mut copy);
        cancel.check()?;
        match copied.map_err(unreadable)? {
            bytes if bytes > most => Err(Error::Unsupported(format!(
                "the superblock of a static delta has more than {most} bytes"
            ))),
            bytes => Ok(Self::on_disk(copy, 0..bytes)),
        }
    }

    /// The number of bytes.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Place::Memory(bytes) => bytes.len() as u64,
            Place::Disk(_, bytes) => bytes.end.saturating_sub(bytes.start),
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The checksum of all of it.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Cancelled`].
    pub fn checksum(&self, cancel: &Cancel) -> Result<Checksum> {
        let mut hashing = Hashing::new(Cancellable::new(self.part(0..self.len()), cancel));
        let copied = io::copy(&mut hashing, &mut io::sink());
        cancel.check()?;
        copied.map_err(unreadable)?;
        Ok(hashing.finish().1)
    }

    fn part(&self, bytes: Range<u64>) -> Bytes<'_> {
        Bytes { file: self, at: bytes.start, end: bytes.end }
    }

    /// The bytes of `range`, all of them.
    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        if range.start > range.end || range.end > self.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(range.end - range.start).unwrap_or(0));
        self.part(range).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Bytes of a superblock, one after another.
struct Bytes<'a> {
    file: &'a SuperblockFile,
    at: u64,
    end: u64,
}

impl Read for Bytes<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let want = left.min(buf.len());
        let n = match &self.file.0 {
            Place::Memory(bytes) => {
                let at = usize::try_from(self.at).unwrap_or(usize::MAX);
                bytes.get(at..).unwrap_or_default().read(&mut buf[..want])?
            }
            Place::Disk(file, bytes) => file.read_at(&mut buf[..want], bytes.start + self.at)?,
        };
        if n == 0 && want > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += n as u64;
        Ok(n)
    }
}

/// A superblock that is to be judged.
pub struct Unjudged<'a> {
    file: &'a SuperblockFile,
    bytes: Range<u64>,
    signatures: Option<&'a Dict>,
    read: OnceCell<Vec<u8>>,
}

debug_fields!(Unjudged<'a> { bytes, signatures });

impl Unjudged<'_> {
    /// The signatures, by the key that detached metadata has for their kind; `None` if it was not signed.
    pub fn signatures(&self) -> Option<&Dict> {
        self.signatures
    }

    /// The bytes that signatures are of. Most kinds of signatures are only made of all bytes at once: they are in memory until
    /// the judge is done.
    ///
    /// # Errors
    /// If the superblock has more than [`MAX_METADATA_BYTES`], or cannot be read.
    pub fn bytes(&self) -> Result<&[u8], Refusal> {
        if let Some(bytes) = self.read.get() {
            return Ok(bytes);
        }
        if self.bytes.end.saturating_sub(self.bytes.start) > MAX_METADATA_BYTES {
            let why = format!(
                "it has more than {MAX_METADATA_BYTES} bytes, too many for signatures to be verified"
            );
            return Err(why.into());
        }
        let bytes = self.file.read(self.bytes.clone()).map_err(|e| unreadable(e).to_string())?;
        Ok(self.read.get_or_init(|| bytes))
    }
}

/// Decides about a superblock, by its signatures if there are any.
pub type DeltaJudge<'a> = dyn Fn(&Unjudged<'_>) -> Result<(), Refusal> + 'a;

/// A superblock, its signatures if it has any, and its file, in which parts may lie.
#[derive(Debug)]
pub struct Head {
    /// The superblock.
    pub superblock: Superblock,
    /// The signatures, by the key that detached metadata has for their kind; `None` if it was not signed.
    pub signatures: Option<Dict>,
    file: SuperblockFile,
    /// The offset of the superblock behind what wraps it.
    start: u64,
}

impl Head {
    /// The file of the part of this number, if it lies in the superblock.
    pub fn inline_part(&self, number: usize) -> Option<impl Read + '_> {
        let bytes = &self.superblock.inline_part(number)?.bytes;
        Some(self.file.part(self.start + bytes.start..self.start + bytes.end))
    }
}

/// Reads a superblock, with signatures or without, and lets `judge` decide about it; `None` accepts any.
///
/// # Errors
/// [`Error::Invalid`] if it is damaged; [`Error::Read`]; [`Error::Refused`].
pub fn read_head(file: SuperblockFile, judge: Option<&DeltaJudge<'_>>) -> Result<Head> {
    let piece = |range| Ok::<_, Failed>(file.read(range)?);
    let (bytes, signatures) = match SignedSuperblock::read(file.len(), piece)? {
        Some(signed) => (signed.bytes, Some(signed.signatures)),
        None => (0..file.len(), None),
    };
    let start = bytes.start;
    let len = bytes.end - start;
    let unjudged = Unjudged { file: &file, bytes, signatures: signatures.as_ref(), read: OnceCell::new() };
    let verdict = judge.map_or(Ok(()), |judge| judge(&unjudged));
    let superblock = match unjudged.read.into_inner().map(SuperblockFile::held) {
        Some(judged) => Superblock::read(len, |range| Ok::<_, Failed>(judged.read(range)?)),
        None => Superblock::read(len, |range| piece(start + range.start..start + range.end)),
    }?;
    verdict.map_err(|why| Error::Refused { commit: superblock.to, why })?;
    Ok(Head { superblock, signatures, file, start })
}

/// The reasons for which a superblock is not read.
enum Failed {
    Damaged(ParseError),
    Io(io::Error),
}

impl From<ParseError> for Failed {
    fn from(error: ParseError) -> Self {
        Self::Damaged(error)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Damaged(source) => Self::Invalid { what: "static delta".into(), source },
            Failed::Io(error) => unreadable(error),
        }
    }
}

fn unreadable(source: io::Error) -> Error {
    Error::Read { what: "the superblock of a static delta".into(), source }
}
