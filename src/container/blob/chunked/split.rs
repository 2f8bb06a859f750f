//! Cuts a tar stream where the frames of zstd:chunked begin.
//!
//! ```text
//! stream   header header header │ content │ padding header │ content … content │ padding …
//! pieces   Tar                    Content   Tar              Content   Content   Tar
//! ```
//! Content of more than [`MAX_BYTES`] is cut where its bytes say, so that a change in it changes few pieces:
//! a gear hash of the last 64 bytes whose upper bits are all zero.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::mem::take;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use crossbeam_channel::Receiver;
use ostree_format::{Checksum, Hasher};
use tar::EntryType;

use crate::container::blob::chunked::toc::TocEntry;
use crate::container::blob::deflate::Block;

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
const PAX_XATTR: &str = "SCHILY.xattr.";
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
    let raw = RefCell::new(Vec::new());
    let mut archive = tar::Archive::new(Tee { blocks, block: None, at: 0, raw: &raw });
    let mut out = Batch { pieces: Vec::new(), bytes: 0, hand_over };
    for entry in archive.entries()? {
        let mut entry = entry?;
        let described = describe(&mut entry)?;
        if entry.size() == 0 {
            out.push(Piece::Entry(described), 0)?;
        } else {
            out.push_tar(&raw)?;
            content(entry, described, &raw, &mut out)?;
        }
        if raw.borrow().len() >= MAX_BYTES {
            out.push_tar(&raw)?;
        }
    }
    // Zeros behind the end count for the diffid.
    let mut rest = archive.into_inner();
    let mut buf = vec![0; 64 * 1024];
    while rest.read(&mut buf)? > 0 {
        if raw.borrow().len() >= MAX_BYTES {
            out.push_tar(&raw)?;
        }
    }
    out.push_tar(&raw)?;
    out.flush()
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

    /// What was read since the last content.
    fn push_tar(&mut self, raw: &RefCell<Vec<u8>>) -> io::Result<()> {
        let bytes = raw.take();
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
    mut stream: impl Read,
    entry: TocEntry,
    raw: &RefCell<Vec<u8>>,
    out: &mut Batch<'_>,
) -> io::Result<()> {
    let (mut entry, mut left) = (Some(entry), Vec::new());
    let mut whole = Hasher::new();
    let mut first = true;
    loop {
        let mut bytes = take(&mut left);
        let want = (MAX_BYTES + 1).saturating_sub(bytes.len());
        stream.by_ref().take(want as u64).read_to_end(&mut bytes)?;
        // It stands in the pieces.
        raw.borrow_mut().clear();
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
fn describe(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<TocEntry> {
    let header = entry.header().clone();
    let name = text(&entry.path_bytes())?;
    let bad = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("{name:?}: {why}"));
    let kind = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous => "reg",
        EntryType::Link => "hardlink",
        EntryType::Symlink => "symlink",
        EntryType::Char => "char",
        EntryType::Block => "block",
        EntryType::Directory => "dir",
        EntryType::Fifo => "fifo",
        other => return Err(bad(format!("entries of the type {other:?} cannot stand in zstd:chunked"))),
    };
    let mut xattrs = BTreeMap::new();
    for record in entry.pax_extensions()?.into_iter().flatten() {
        let record = record?;
        if let Some(key) = record.key().ok().and_then(|key| key.strip_prefix(PAX_XATTR)) {
            xattrs.insert(key.to_owned(), STANDARD.encode(record.value_bytes()));
        }
    }
    let link = entry.link_name_bytes().map(|bytes| text(&bytes)).transpose()?;
    let mtime = i64::try_from(header.mtime()?).ok().and_then(|secs| DateTime::from_timestamp(secs, 0));
    let mtime = mtime.ok_or_else(|| bad("its time is no date".into()))?;
    let device = matches!(kind, "char" | "block");
    let number = |number: io::Result<Option<u32>>| number.map(|n| n.filter(|_| device).unwrap_or_default());
    Ok(TocEntry {
        kind,
        link_name: link.filter(|_| matches!(kind, "hardlink" | "symlink")).unwrap_or_default(),
        mode: header.mode()?,
        size: entry.size(),
        uid: header.uid()?,
        gid: header.gid()?,
        modtime: mtime.to_rfc3339_opts(SecondsFormat::Secs, true),
        dev_major: number(if device { header.device_major() } else { Ok(None) })?,
        dev_minor: number(if device { header.device_minor() } else { Ok(None) })?,
        xattrs,
        name,
    })
}

/// The table is JSON.
fn text(bytes: &[u8]) -> io::Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| {
        let why = format!("{:?} is not UTF-8, which zstd:chunked wants", String::from_utf8_lossy(bytes));
        io::Error::new(io::ErrorKind::InvalidData, why)
    })
}

/// The stream, of which all that is read is kept.
struct Tee<'a> {
    blocks: &'a Receiver<Block>,
    block: Option<Block>,
    at: usize,
    raw: &'a RefCell<Vec<u8>>,
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
        self.raw.borrow_mut().extend_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }
}
