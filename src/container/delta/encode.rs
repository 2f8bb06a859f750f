//! Writes the delta of one layer.
//!
//! ```text
//! pieces that are patched ─ several at once, ahead of their turn ─► frames
//! the new stream in order: pieces ► Open, Copy or Patch; all else ► Data ─► zstd
//! ```
//! The stream itself is compressed by one thread: with more, zstd finds far fewer of the repetitions that are far
//! apart, of which new programs that are alike have many (50.0 MB instead of 46.9 MB where it was measured).

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use crossbeam_channel::{Receiver, bounded};

use super::choose::{How, Piece};
use super::old::OldTree;
use super::record::StreamVersion;
use super::scan::Scanned;
use super::write::{Packing, RecordWriter};
use super::{differences, patch};
use crate::base::{Ctx, Pool, with_pool};
use crate::container::image::{Error, Result};

const BUFFER_BYTES: usize = 1024 * 1024;
/// The memory that patches take which are made or wait at the same time, in bytes.
const MAX_MEMORY: u64 = 64 * 1024 * 1024;
/// Bytes that have to agree within a part for them to be copied, instead of zeros being added.
const COPY_BYTES: usize = 256;

/// How much is done to make a delta small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Strength {
    pub(super) version: StreamVersion,
    /// Zstd's level for patches.
    pub(super) patch_level: i32,
    pub(super) packing: Packing,
}

/// Writes the delta of `new` to `out`.
pub(super) fn encode(
    new: &Scanned,
    old: &OldTree,
    pieces: &[Piece<'_>],
    out: impl Write,
    strength: &Strength,
    ctx: &Ctx,
) -> Result<()> {
    let records = RecordWriter::new(out, strength.version, strength.packing);
    let records = records.map_err(Error::io("write", "delta"))?;
    let mut encoder = Encoder { records, new, old, position: 0, buffer: vec![0; BUFFER_BYTES] };
    with_pool(ctx, u64::MAX, |pool| {
        let level = strength.patch_level;
        let mut ahead = Ahead { pool, new, old, pieces, level, next: 0, memory: 0, waiting: VecDeque::new() };
        for (number, piece) in pieces.iter().enumerate() {
            ctx.cancel.check()?;
            let written = match (piece.how, strength.version) {
                (How::Copy, _) => encoder.copy(piece),
                (How::Patch, StreamVersion::V1) => encoder.differences(piece),
                (How::Patch, StreamVersion::V2) => match ahead.frame(number)? {
                    Some(frame) => encoder.patch(piece, &frame),
                    None => Ok(()),
                },
            };
            written.map_err(Error::io("write", "delta"))?;
        }
        Ok(())
    })?;
    encoder.finish(ctx)
}

/// Patches that are made before their turn comes.
struct Ahead<'p, 'env> {
    pool: &'p Pool<'env, Error>,
    new: &'env Scanned,
    old: &'env OldTree,
    pieces: &'env [Piece<'env>],
    level: i32,
    /// The first piece that was not looked at.
    next: usize,
    /// The memory of those that wait, in bytes.
    memory: u64,
    waiting: VecDeque<Waiting>,
}

/// A patch that is being made, or was.
struct Waiting {
    piece: usize,
    memory: u64,
    frame: Receiver<Option<Vec<u8>>>,
}

impl Ahead<'_, '_> {
    /// The frame of a piece, if it is worth it. Pieces are asked for in their order.
    fn frame(&mut self, number: usize) -> Result<Option<Vec<u8>>> {
        self.start()?;
        if self.waiting.front().is_none_or(|first| first.piece != number) {
            return Ok(None);
        }
        let Some(first) = self.waiting.pop_front() else { return Ok(None) };
        // Nothing comes if a job failed, which is what the pool tells then.
        let frame = first.frame.recv().unwrap_or_default();
        self.memory -= first.memory;
        self.start()?;
        Ok(frame)
    }

    /// Hands over as many patches as memory allows.
    fn start(&mut self) -> Result<()> {
        while let Some(piece) = self.pieces.get(self.next) {
            let (old_bytes, new_bytes) = (piece.old.content.bytes, piece.content.bytes);
            if piece.how == How::Patch && old_bytes + new_bytes <= patch::MAX_PATCH_BYTES {
                let memory = patch::memory(old_bytes, new_bytes, self.level);
                if self.memory > 0 && self.memory + memory > MAX_MEMORY {
                    return Ok(());
                }
                let (done, frame) = bounded(1);
                let (old, new, level) = (self.old, self.new, self.level);
                self.pool.submit(memory, move || {
                    let frame = || patch::frame(&old.load(piece.old)?, &new.load(&piece.content)?, level);
                    // Nobody waits any more if something else went wrong.
                    let _ = done.send(frame().map_err(Error::io("make", "patch"))?);
                    Ok(())
                })?;
                self.memory += memory;
                self.waiting.push_back(Waiting { piece: self.next, memory, frame });
            }
            self.next += 1;
        }
        Ok(())
    }
}

struct Encoder<'a, W: Write> {
    records: RecordWriter<'static, W>,
    new: &'a Scanned,
    old: &'a OldTree,
    /// Bytes of the new stream that are written.
    position: u64,
    buffer: Vec<u8>,
}

impl<W: Write> Encoder<'_, W> {
    /// Writes the new stream up to `end` as it is.
    fn raw(&mut self, end: u64) -> io::Result<()> {
        while self.position < end {
            let want = usize::try_from(end - self.position).unwrap_or(usize::MAX).min(BUFFER_BYTES);
            self.new.file.read_exact_at(&mut self.buffer[..want], self.position)?;
            self.records.data(&self.buffer[..want])?;
            self.position += want as u64;
        }
        Ok(())
    }

    fn copy(&mut self, piece: &Piece<'_>) -> io::Result<()> {
        self.raw(piece.content.start)?;
        self.records.open(&piece.old.path)?;
        self.records.copy(0, piece.content.bytes)?;
        self.position += piece.content.bytes;
        Ok(())
    }

    fn patch(&mut self, piece: &Piece<'_>, frame: &[u8]) -> io::Result<()> {
        self.raw(piece.content.start)?;
        self.records.open(&piece.old.path)?;
        self.records.patch(frame)?;
        self.position += piece.content.bytes;
        Ok(())
    }

    /// Writes a file as parts of the old one, if most of it is.
    fn differences(&mut self, piece: &Piece<'_>) -> io::Result<()> {
        if piece.content.bytes + piece.old.content.bytes > patch::MAX_PATCH_BYTES {
            return Ok(());
        }
        let (old, new) = (self.old.load(piece.old)?, self.new.load(&piece.content)?);
        let parts = differences::parts(&old, &new);
        let alike: usize = parts.iter().map(|part| part.bytes).sum();
        if 2 * alike < new.len() {
            return Ok(());
        }
        self.raw(piece.content.start)?;
        self.records.open(&piece.old.path)?;
        let mut done = 0;
        for part in parts {
            self.records.data(&new[done..part.new])?;
            done = part.new + part.bytes;
            self.part(&old[part.old..][..part.bytes], &new[part.new..done], part.old as u64)?;
        }
        self.records.data(&new[done..])?;
        self.position += piece.content.bytes;
        Ok(())
    }

    /// Writes what lies at `position` of the old file: copies where both agree for long, differences elsewhere.
    fn part(&mut self, old: &[u8], new: &[u8], position: u64) -> io::Result<()> {
        let (mut begun, mut at) = (0, 0);
        while at < new.len() {
            let same = old[at..].iter().zip(&new[at..]).take_while(|(a, b)| a == b).count();
            if same >= COPY_BYTES {
                self.add(&old[begun..at], &new[begun..at], position + begun as u64)?;
                self.records.copy(position + at as u64, same as u64)?;
                begun = at + same;
            }
            at += same.max(1);
        }
        self.add(&old[begun..], &new[begun..], position + begun as u64)
    }

    fn add(&mut self, old: &[u8], new: &[u8], position: u64) -> io::Result<()> {
        let differences: Vec<u8> = new.iter().zip(old).map(|(new, old)| new.wrapping_sub(*old)).collect();
        self.records.add(position, &differences)
    }

    fn finish(mut self, ctx: &Ctx) -> Result<()> {
        ctx.cancel.check()?;
        let raw = self.raw(self.new.bytes).and_then(|()| self.records.finish().map(drop));
        raw.map_err(Error::io("write", "delta"))
    }
}
