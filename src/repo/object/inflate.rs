//! The content of an object of mode archive: inflated in one call where it fits into memory.
//!
//! ```text
//! file ─► packed ─► libdeflate ─► the caller's buffer, if all fits there     in two thirds of the time
//!                              └► content ─► the caller, piece by piece
//! file ─► 64 KiB ─► zlib-rs ─► the caller       what is larger, and what libdeflate does not take
//! ```
//! What is wrong with a damaged object is told by one decoder only, the one that reads streams.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::bufread::DeflateDecoder;
use libdeflater::Decompressor;

use crate::base::io::Exact;

/// A file is looked at in so many bytes at first. Nearly all have no more.
const FIRST_BYTES: u64 = 64 * 1024;
/// A file of more bytes is not read into memory.
const MAX_PACKED_BYTES: u64 = 2 << 20;
/// Nor is more content than this.
const MAX_CONTENT_BYTES: u64 = 8 << 20;
/// No byte of a deflate stream stands for more bytes than these.
const MAX_RATIO: u64 = 1032;
/// Bytes of a stream that are read at once.
const STREAM_BYTES: usize = 64 * 1024;

/// Memory for inflating that nobody is using; clones share it. What stays is enough for as many objects as were open at
/// the same time.
#[derive(Clone, Default)]
pub(super) struct Workspaces(Arc<Mutex<Vec<Workspace>>>);

impl fmt::Debug for Workspaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Workspaces")
    }
}

/// What inflating an object takes. Behind the bytes of one object those of others may stand.
#[derive(Default)]
struct Workspace {
    inflater: Option<Decompressor>,
    packed: Vec<u8>,
    content: Vec<u8>,
}

/// A workspace that goes back when it is dropped.
struct Lease {
    work: Workspace,
    home: Workspaces,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let work = mem::take(&mut self.work);
        self.home.0.lock().unwrap_or_else(PoisonError::into_inner).push(work);
    }
}

/// A file of an archive whose start is in memory.
pub(super) struct Packed {
    file: File,
    file_bytes: u64,
    read_bytes: usize,
    lease: Lease,
}

impl Packed {
    /// Reads the start of `file`, which has `file_bytes`.
    ///
    /// # Errors
    /// What the file says.
    pub(super) fn new(file: File, file_bytes: u64, spaces: &Workspaces) -> io::Result<Self> {
        let work = spaces.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let lease = Lease { work, home: spaces.clone() };
        let mut packed = Self { file, file_bytes, read_bytes: 0, lease };
        packed.read_to(FIRST_BYTES)?;
        Ok(packed)
    }

    /// Reads the file from its start; what is read beyond what is in memory is no longer to be had.
    pub(super) fn reader(&self) -> impl Read {
        self.lease.work.packed[..self.read_bytes].chain(&self.file)
    }

    /// The `len` bytes of content, which are compressed from byte `at` on.
    pub(super) fn into_content(self, at: u64, len: u64) -> Inflated {
        Inflated { at, len, state: State::Packed(self) }
    }

    /// Reads on, until so many bytes of the file are in memory, or all.
    fn read_to(&mut self, most: u64) -> io::Result<()> {
        let end = usize::try_from(self.file_bytes.min(most)).unwrap_or(usize::MAX);
        let packed = &mut self.lease.work.packed;
        packed.resize(packed.len().max(end), 0);
        while self.read_bytes < end {
            match self.file.read(&mut packed[self.read_bytes..end]) {
                Ok(0) => break,
                Ok(n) => self.read_bytes += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Inflates all of the content, into `buf` if it fits there; `None` if it has to be read as a stream.
    fn inflate(&mut self, at: u64, len: u64, buf: &mut [u8]) -> io::Result<Option<Whole>> {
        let most = MAX_CONTENT_BYTES.min(self.file_bytes.saturating_mul(MAX_RATIO));
        // Where the header was longer than what was read at first, the file was read beyond that.
        if self.file_bytes > MAX_PACKED_BYTES || len > most || at > self.read_bytes as u64 {
            return Ok(None);
        }
        self.read_to(MAX_PACKED_BYTES)?;
        let (Ok(at), Ok(len)) = (usize::try_from(at), usize::try_from(len)) else { return Ok(None) };
        let Workspace { inflater, packed, content } = &mut self.lease.work;
        let packed = &packed[at..self.read_bytes];
        let (to, whole) = match buf.get_mut(..len) {
            Some(to) => (to, Whole::InBuffer),
            None => {
                content.resize(content.len().max(len), 0);
                (&mut content[..len], Whole::InWorkspace)
            }
        };
        let inflated = inflater.get_or_insert_default().deflate_decompress(packed, to);
        Ok((inflated == Ok(len)).then_some(whole))
    }

    /// The content as a stream.
    fn into_stream(mut self, at: u64, len: u64) -> io::Result<Stream> {
        self.file.seek(SeekFrom::Start(at))?;
        let inner = DeflateDecoder::new(BufReader::with_capacity(STREAM_BYTES, self.file));
        Ok(Exact::new(inner, len))
    }
}

/// Where the content was put.
enum Whole {
    InBuffer,
    InWorkspace,
}

type Stream = Exact<DeflateDecoder<BufReader<File>>>;

/// The content of an object; more or less of it than was announced is an error.
pub(super) struct Inflated {
    /// Where it begins in the file.
    at: u64,
    len: u64,
    state: State,
}

enum State {
    Packed(Packed),
    /// The whole content is in the workspace, and this many bytes of it were read.
    Whole(Lease, usize),
    Stream(Box<Stream>),
    AtEnd,
}

impl Read for Inflated {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if let State::Packed(packed) = &mut self.state {
            let inflated = packed.inflate(self.at, self.len, buf)?;
            let State::Packed(packed) = mem::replace(&mut self.state, State::AtEnd) else { return Ok(0) };
            match inflated {
                Some(Whole::InBuffer) => return Ok(usize::try_from(self.len).unwrap_or(0)),
                Some(Whole::InWorkspace) => self.state = State::Whole(packed.lease, 0),
                None => self.state = State::Stream(Box::new(packed.into_stream(self.at, self.len)?)),
            }
        }
        match &mut self.state {
            State::Packed(_) | State::AtEnd => Ok(0),
            State::Stream(stream) => stream.read(buf),
            State::Whole(lease, at) => {
                let len = usize::try_from(self.len).unwrap_or(usize::MAX);
                let n = lease.work.content.get(*at..len).unwrap_or_default().read(buf)?;
                *at += n;
                Ok(n)
            }
        }
    }
}
