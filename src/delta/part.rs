//! A part of a static delta, ready to be applied: its tables in memory, its payload in a file without a name.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use ostree_format::delta::{DeltaMode, PartCompression, PartLayout, part_xattrs, split_part};
use ostree_format::{Checksum, FileHeader, S_IFLNK, S_IFMT, S_IFREG, Xattrs};

use super::damaged;
use crate::base::io::{COPY_BYTES, Cancellable, Hashing, Spool};
use crate::base::{Cancel, compressed};
use crate::store::{Error, Result};

/// The largest part that is read, decompressed, in bytes. libostree makes parts of 32 MiB, unless it is told otherwise.
pub const MAX_PART_BYTES: u64 = 2 << 30;

/// The largest table of a part, in bytes: modes, xattrs, or operations.
const MAX_TABLE_BYTES: u64 = 32 << 20;

/// A part, decompressed.
#[derive(Debug)]
pub struct Part {
    file: File,
    payload: Range<u64>,
    modes: Vec<DeltaMode>,
    xattrs: Vec<Xattrs>,
    ops: Vec<u8>,
}

/// Reads the file of a part to its end, and decompresses it into a file that `spool` makes. Its checksum has to be
/// `expected`, if that is given.
///
/// # Errors
/// [`Error::Invalid`] if it has another checksum, is compressed in an unknown way, or not in normal form; [`Error::Read`]
/// if it cannot be decompressed; [`Error::Unsupported`] if it has more than [`MAX_PART_BYTES`]; [`Error::Cancelled`].
pub fn read_part(
    file: &mut dyn Read,
    expected: Option<&Checksum>,
    spool: &Spool<'_>,
    cancel: &Cancel,
) -> Result<Part> {
    let read = |source| Error::Read { what: "a part of a static delta".into(), source };
    let out = spool().map_err(|e| Error::io("create", "temporary file", e))?;
    let mut hashed = Hashing::new(Cancellable::new(file, cancel));
    let unpacked = unpack(&mut hashed, &out).map_err(read).and_then(|len| {
        // Nobody needs what lies behind the stream, but it counts for the checksum.
        io::copy(&mut (&mut hashed).take(MAX_PART_BYTES), &mut io::sink()).map_err(read)?;
        Ok(len)
    });
    cancel.check()?;
    let (_, actual) = hashed.finish();
    if let Some(expected) = expected.filter(|expected| unpacked.is_ok() && **expected != actual) {
        let why = format!("Checksum mismatch in static delta part; expected={expected} actual={actual}");
        return Err(damaged("static delta", why));
    }
    Part::open(out, unpacked?)
}

/// Decompresses into `out`; gives the number of bytes.
fn unpack(file: &mut dyn Read, out: &File) -> io::Result<u64> {
    let mut first = [0];
    file.read_exact(&mut first)?;
    let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let (compression, _) = split_part(&first).map_err(damaged)?;
    let input = BufReader::with_capacity(COPY_BYTES, file);
    let plain: Box<dyn Read + '_> = match compression {
        PartCompression::Plain => Box::new(input),
        PartCompression::Xz => compressed::xz(Box::new(input))?,
    };
    let mut out = io::BufWriter::with_capacity(COPY_BYTES, out);
    let len = io::copy(&mut plain.take(MAX_PART_BYTES + 1), &mut out)?;
    out.flush()?;
    match len > MAX_PART_BYTES {
        true => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("it has more than {MAX_PART_BYTES} bytes, decompressed"),
        )),
        false => Ok(len),
    }
}

impl Part {
    fn open(file: File, len: u64) -> Result<Self> {
        let invalid = |source| Error::Invalid { what: "static delta".into(), source };
        let tail = len.saturating_sub(PartLayout::TAIL_BYTES as u64)..len;
        let layout = PartLayout::read(len, &member(&file, &tail)?).map_err(invalid)?;
        Ok(Self {
            modes: DeltaMode::list(&member(&file, &layout.modes)?).map_err(invalid)?,
            xattrs: part_xattrs(&member(&file, &layout.xattrs)?).map_err(invalid)?,
            ops: member(&file, &layout.ops)?,
            payload: layout.payload,
            file,
        })
    }

    /// The number of different owners and modes.
    pub fn mode_count(&self) -> usize {
        self.modes.len()
    }

    /// The number of different lists of xattrs.
    pub fn xattrs_count(&self) -> usize {
        self.xattrs.len()
    }

    /// Bytes of the payload.
    pub fn payload_bytes(&self) -> u64 {
        self.payload.end - self.payload.start
    }

    /// The operations, for [`DeltaOps`](ostree_format::delta::DeltaOps).
    pub fn ops(&self) -> &[u8] {
        &self.ops
    }

    /// Reads from this place of the payload.
    ///
    /// # Errors
    /// If the payload ends before `buf` is full; what the file says.
    pub fn read_payload(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        match at.checked_add(buf.len() as u64) {
            Some(end) if end <= self.payload_bytes() => self.file.read_exact_at(buf, self.payload.start + at),
            _ => {
                Err(io::Error::new(io::ErrorKind::InvalidData, format!("nothing is at {at} of the payload")))
            }
        }
    }

    /// Bytes of the payload as a stream.
    pub(super) fn content(&self, at: u64, len: u64) -> PayloadStream<'_> {
        PayloadStream { part: self, at, left: len }
    }

    /// Bytes of the payload in memory, at most `most`.
    pub(super) fn payload(&self, at: u64, len: u64, most: u64) -> io::Result<Vec<u8>> {
        if len > most || at.checked_add(len).is_none_or(|end| end > self.payload_bytes()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("not {len} bytes at {at} of the payload"),
            ));
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        self.read_payload(at, &mut bytes)?;
        Ok(bytes)
    }

    /// The header of a content object; `target` gives that of a symbolic link.
    pub(super) fn header(
        &self,
        mode: u64,
        xattrs: u64,
        target: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> io::Result<FileHeader> {
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let index = |number| usize::try_from(number).ok();
        let owner = index(mode).and_then(|number| self.modes.get(number));
        let owner = *owner.ok_or_else(|| invalid(format!("it has no mode {mode}")))?;
        let xattrs = index(xattrs).and_then(|number| self.xattrs.get(number));
        let xattrs = xattrs.ok_or_else(|| invalid("it lacks the xattrs of an object".into()))?.clone();
        let DeltaMode { uid, gid, mode } = owner;
        match mode & S_IFMT {
            S_IFREG => Ok(FileHeader::regular(uid, gid, mode, xattrs)),
            S_IFLNK => {
                let target = String::from_utf8(target()?).map_err(|e| invalid(e.to_string()))?;
                Ok(FileHeader::symlink(uid, gid, &target, xattrs))
            }
            _ => Err(invalid(format!("mode {mode:o} is neither a file's nor a symbolic link's"))),
        }
    }
}

/// Bytes of a payload, read one after another.
pub(super) struct PayloadStream<'a> {
    part: &'a Part,
    at: u64,
    left: u64,
}

impl Read for PayloadStream<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        self.part.read_payload(self.at, &mut buf[..n])?;
        (self.at, self.left) = (self.at + n as u64, self.left - n as u64);
        Ok(n)
    }
}

fn member(file: &File, range: &Range<u64>) -> Result<Vec<u8>> {
    let len = range.end - range.start;
    if len > MAX_TABLE_BYTES {
        return Err(Error::Unsupported(format!("a table of {len} bytes in a part of a static delta")));
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    file.read_exact_at(&mut bytes, range.start)
        .map_err(|source| Error::Read { what: "a part of a static delta".into(), source })?;
    Ok(bytes)
}
