//! Cuts a tar stream where the frames of zstd:chunked begin.
//!
//! ```text
//! stream   header header header │ content │ padding header │ content … content │ padding …
//! pieces   Tar                    Content   Tar              Content   Content   Tar
//! ```
//! Content of more than [`MAX_BYTES`] is cut where its bytes say, so that a change in it changes few pieces:
//! a gear hash of the last 64 bytes whose upper bits are all zero.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::mem::take;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use crossbeam_channel::Receiver;
use ostree_format::{Checksum, Hasher};

use crate::base::WithCauses;
use crate::container::blob::chunked::toc::TocEntry;
use crate::container::blob::deflate::Block;
use crate::tar::{EndMarker, EntryKind, Reader, TarEntry};

/// The largest piece of content, in bytes.
pub(super) const MAX_BYTES: usize = 1024 * 1024;
/// The smallest piece of content, in bytes; the last piece of a file may be smaller.
const MIN_BYTES: usize = 128 * 1024;
/// A cut is made behind every 256 KiB, on average.
const CUT_MASK: u64 = !(u64::MAX >> 18);
/// The number of bytes at which pieces are handed on together.
const BATCH_BYTES: usize = 512 * 1024;
/// The number of pieces that are handed on together even if they have fewer bytes.
const BATCH_PIECES: usize = 512;
/// What each byte adds to the gear hash. Part of the format: other numbers give other bytes.
const GEAR: [u64; 256] = gear();

/// A piece of the stream.
#[derive(Debug)]
pub(super) enum Piece {
    /// Headers and padding.
    Tar(Vec<u8>),
    /// An entry without content, whose header is in the next [`Piece::Tar`].
    Entry(TocEntry),
    /// Content; the entry comes with the first piece of it.
    Content { entry: Option<TocEntry>, bytes: Vec<u8>, end: End },
}

/// What follows a piece of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The piece is followed by more of its file.
    More,
    /// Nothing, and nothing came before it.
    Only,
    /// Nothing; the file as a whole has this digest.
    Last(Checksum),
}

/// Cuts the stream in `blocks` and hands the pieces over in batches.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for what is no tar or cannot stand in the table; what `hand_over` says.
pub(super) fn split(
    blocks: &Receiver<Block>,
    hand_over: &mut dyn FnMut(Vec<Piece>) -> io::Result<()>,
) -> io::Result<()> {
    let raw = RefCell::new(Raw::default());
    let tee = Tee { blocks, block: None, at: 0, raw: &raw };
    let mut reader = Reader::with_end(tee, EndMarker::Optional).leaving_rest();
    let mut out = Batch { pieces: Vec::new(), bytes: 0, hand_over };
    while let Some(entry) =
        reader.next_entry().map_err(|error| invalid_data(WithCauses(&error).to_string()))?
    {
        let described = describe(&entry)?;
        if entry.size == 0 {
            out.push(Piece::Entry(described), 0)?;
        } else if reader.plain_bytes() != Some(entry.size) {
            return Err(bad(&described.name, "files with holes"));
        } else {
            out.push_tar(&raw, reader.offset())?;
            content(&mut reader, described, &raw, &mut out)?;
        }
        if raw.borrow().len_to(reader.offset()) >= MAX_BYTES {
            out.push_tar(&raw, reader.offset())?;
        }
    }
    // Zeros behind the end count for the diffid.
    let mut rest = reader.into_rest();
    let mut buf = vec![0; 64 * 1024];
    while rest.read(&mut buf)? > 0 {
        if raw.borrow().bytes.len() >= MAX_BYTES {
            out.push_tar(&raw, u64::MAX)?;
        }
    }
    out.push_tar(&raw, u64::MAX)?;
    out.flush()
}

/// What was read of the stream and is in no piece yet.
#[derive(Default)]
struct Raw {
    bytes: VecDeque<u8>,
    /// Where it lies in the stream.
    start: u64,
}

impl Raw {
    /// The number of its bytes before `offset` of the stream.
    fn len_to(&self, offset: u64) -> usize {
        usize::try_from(offset - self.start).unwrap_or(usize::MAX).min(self.bytes.len())
    }

    /// Takes what comes before `offset` of the stream.
    fn take_to(&mut self, offset: u64) -> io::Result<Vec<u8>> {
        let len = self.len_to(offset);
        self.start += len as u64;
        let mut taken = Vec::with_capacity(len);
        self.bytes.by_ref().take(len as u64).read_to_end(&mut taken)?;
        Ok(taken)
    }

    /// Lets go of what comes before `offset` of the stream.
    fn drop_to(&mut self, offset: u64) {
        let len = self.len_to(offset);
        self.start += len as u64;
        self.bytes.drain(..len);
    }
}

/// Pieces that are handed over together.
struct Batch<'a> {
    pieces: Vec<Piece>,
    bytes: usize,
    hand_over: &'a mut dyn FnMut(Vec<Piece>) -> io::Result<()>,
}

impl Batch<'_> {
    fn push(&mut self, piece: Piece, bytes: usize) -> io::Result<()> {
        self.pieces.push(piece);
        self.bytes += bytes;
        if self.bytes >= BATCH_BYTES || self.pieces.len() >= BATCH_PIECES {
            self.flush()?;
        }
        Ok(())
    }

    /// What was read since the last content, up to `offset` of the stream.
    fn push_tar(&mut self, raw: &RefCell<Raw>, offset: u64) -> io::Result<()> {
        let bytes = raw.borrow_mut().take_to(offset)?;
        let len = bytes.len();
        if len == 0 { Ok(()) } else { self.push(Piece::Tar(bytes), len) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.bytes = 0;
        match take(&mut self.pieces) {
            pieces if pieces.is_empty() => Ok(()),
            pieces => (self.hand_over)(pieces),
        }
    }
}

/// Cuts the content of an entry.
fn content(
    reader: &mut Reader<Tee<'_>>,
    entry: TocEntry,
    raw: &RefCell<Raw>,
    out: &mut Batch<'_>,
) -> io::Result<()> {
    let (mut entry, mut left) = (Some(entry), Vec::new());
    let mut whole = Hasher::new();
    let mut first = true;
    loop {
        let mut bytes = take(&mut left);
        let want = (MAX_BYTES + 1).saturating_sub(bytes.len());
        reader.content().take(want as u64).read_to_end(&mut bytes)?;
        // It stands in the pieces.
        raw.borrow_mut().drop_to(reader.offset());
        let ends = bytes.len() <= MAX_BYTES;
        if !ends {
            left = bytes.split_off(cut(&bytes[..MAX_BYTES]));
        }
        let end = match (ends, first) {
            (true, true) => End::Only,
            (more, _) => {
                whole.update(&bytes);
                if more { End::Last(take(&mut whole).finish()) } else { End::More }
            }
        };
        first = false;
        let len = bytes.len();
        out.push(Piece::Content { entry: entry.take(), bytes, end }, len)?;
        if ends {
            return Ok(());
        }
    }
}

/// How many bytes of `data` make a piece.
fn cut(data: &[u8]) -> usize {
    let mut hash = 0_u64;
    for (at, byte) in data.iter().enumerate().skip(MIN_BYTES) {
        hash = (hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
        if hash & CUT_MASK == 0 {
            return at + 1;
        }
    }
    data.len()
}

/// Numbers without a pattern: `SplitMix64`.
const fn gear() -> [u64; 256] {
    let (mut table, mut state, mut at) = ([0; 256], 0_u64, 0);
    while at < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[at] = z ^ (z >> 31);
        at += 1;
    }
    table
}

/// What the table says of an entry.
fn describe(entry: &TarEntry) -> io::Result<TocEntry> {
    let name = text(&entry.path)?;
    let (kind, device) = match entry.kind {
        EntryKind::Regular => ("reg", None),
        EntryKind::Link => ("hardlink", None),
        EntryKind::Symlink => ("symlink", None),
        EntryKind::Char(major, minor) => ("char", Some((major, minor))),
        EntryKind::Block(major, minor) => ("block", Some((major, minor))),
        EntryKind::Dir => ("dir", None),
        EntryKind::Fifo => ("fifo", None),
        kind @ (EntryKind::Socket | EntryKind::VolumeLabel) => return Err(bad(&name, kind.as_str())),
    };
    let xattrs = entry.xattrs.iter().filter_map(|(name, value)| {
        Some((std::str::from_utf8(name).ok()?.to_owned(), STANDARD.encode(value)))
    });
    let mtime =
        DateTime::from_timestamp(entry.mtime, 0).ok_or_else(|| bad(&name, "times that are no date"))?;
    let (dev_major, dev_minor) = device.unwrap_or_default();
    Ok(TocEntry {
        kind,
        link_name: text(&entry.link)?,
        mode: entry.permissions,
        size: entry.size,
        uid: entry.uid.into(),
        gid: entry.gid.into(),
        modtime: mtime.to_rfc3339_opts(SecondsFormat::Secs, true),
        dev_major,
        dev_minor,
        xattrs: xattrs.collect(),
        name,
    })
}

/// What is wrong with the entry called `name`: there is something that the table has no place for.
fn bad(name: &str, what: &str) -> io::Error {
    invalid_data(format!("{name:?}: {what} cannot stand in zstd:chunked; compress by zstd or gzip"))
}

fn invalid_data(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The table is JSON.
fn text(bytes: &[u8]) -> io::Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| {
        let why = format!("{:?} is not UTF-8, which zstd:chunked wants", String::from_utf8_lossy(bytes));
        invalid_data(why)
    })
}

/// The stream, of which all that is read is kept.
struct Tee<'a> {
    blocks: &'a Receiver<Block>,
    block: Option<Block>,
    at: usize,
    raw: &'a RefCell<Raw>,
}

impl Read for Tee<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.as_ref().map_or(0, |block| block.len())
            && let Ok(block) = self.blocks.recv()
        {
            (self.block, self.at) = (Some(block), 0);
        }
        let rest = self.block.as_ref().map_or(&[][..], |block| &block[self.at..]);
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        self.raw.borrow_mut().bytes.extend(&rest[..n]);
        self.at += n;
        Ok(n)
    }
}
