//! Writes the delta of one layer.
//!
//! ```text
//! pieces that are patched ─ several at once, ahead of their turn ─► parts of the old file, or a frame
//! the new stream in order: pieces ► Open, Copy, AddData or Patch; all else ► Data ─► zstd
//! ```
//! The stream itself is compressed by one thread: with more, zstd finds far fewer of the repetitions that are far
//! apart, of which new programs that are alike have many (50.0 MB instead of 46.9 MB where it was measured).

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use crossbeam_channel::{Receiver, bounded};

use super::choose::{How, Piece};
use super::old::OldTree;
use super::patch::{self, Alone};
use super::record::StreamVersion;
use super::scan::Scanned;
use super::write::{Packing, RecordWriter};
use crate::base::{Ctx, Pool, with_pool};
use crate::container::image::{Error, Result};
use crate::delta::differences::{self, Alike, STEP, Table};

const BUFFER_BYTES: usize = 1024 * 1024;
/// The memory that patches take which are made or wait at the same time, in bytes.
const MAX_MEMORY: u64 = 48 * 1024 * 1024;
/// The distance of the blocks that are looked for in a file which is compressed already: what it has in common with another
/// one is long, or better found by a frame.
const STEP_OF_COMPRESSED: usize = 64;
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
        let strength = *strength;
        let mut ahead =
            Ahead { pool, new, old, pieces, strength, next: 0, memory: 0, waiting: VecDeque::new() };
        for (number, piece) in pieces.iter().enumerate() {
            ctx.cancel.check()?;
            let written = match piece.how {
                How::Copy => encoder.copy(piece),
                How::Patch => match ahead.made(number)? {
                    Made::Parts(parts) => encoder.differences(piece, &parts),
                    Made::Frame(frame) => encoder.patch(piece, &frame),
                    Made::Nothing => Ok(()),
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
    strength: Strength,
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
    made: Receiver<Made>,
}

/// What a new file is made of, besides an old one.
enum Made {
    /// Parts of the old file, and differences.
    Parts(Vec<Alike>),
    /// A frame of zstd, whose dictionary is the old file.
    Frame(Vec<u8>),
    /// The old file is of no use.
    Nothing,
}

impl Ahead<'_, '_> {
    /// What the new file of a piece is made of. Pieces are asked for in their order.
    fn made(&mut self, number: usize) -> Result<Made> {
        self.start()?;
        if self.waiting.front().is_none_or(|first| first.piece != number) {
            return Ok(Made::Nothing);
        }
        let Some(first) = self.waiting.pop_front() else { return Ok(Made::Nothing) };
        // Nothing comes if a job failed, which is what the pool tells then.
        let made = first.made.recv().unwrap_or(Made::Nothing);
        self.memory -= first.memory;
        self.start()?;
        Ok(made)
    }

    /// Hands over as many patches as memory allows.
    fn start(&mut self) -> Result<()> {
        while let Some(piece) = self.pieces.get(self.next) {
            let (old_bytes, new_bytes) = (piece.old.content.bytes, piece.content.bytes);
            if piece.how == How::Patch && old_bytes + new_bytes <= patch::MAX_PATCH_BYTES {
                let memory = patch::memory(old_bytes, new_bytes);
                if self.memory > 0 && self.memory + memory > MAX_MEMORY {
                    return Ok(());
                }
                let (done, made) = bounded(1);
                let (old, new, strength) = (self.old, self.new, self.strength);
                self.pool.submit(memory, move || {
                    let made = || make(&old.load(piece.old)?, &new.load(&piece.content)?, &strength);
                    // Nobody waits any more if something else went wrong.
                    let _ = done.send(made().map_err(Error::io("make", "patch"))?);
                    Ok(())
                })?;
                self.memory += memory;
                self.waiting.push_back(Waiting { piece: self.next, memory, made });
            }
            self.next += 1;
        }
        Ok(())
    }
}

/// Makes `new` of `old`: by parts if most of it is in them, since differences between programs compress well together,
/// and whoever reads them need not have the files in memory; else by a frame, if the format has them.
fn make(old: &[u8], new: &[u8], strength: &Strength) -> io::Result<Made> {
    let alone = Alone::of(new)?;
    let step = if alone.is_compressed() { STEP_OF_COMPRESSED } else { STEP };
    let parts = differences::parts(&Table::with_step(old, step), old, new);
    let alike: usize = parts.iter().map(|part| part.bytes).sum();
    if 2 * alike >= new.len() {
        return Ok(Made::Parts(parts));
    }
    let frame = match strength.version {
        StreamVersion::V1 => None,
        StreamVersion::V2 => patch::frame(old, new, alone, strength.patch_level)?,
    };
    Ok(frame.map_or(Made::Nothing, Made::Frame))
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

    /// Writes a file as parts of the old one.
    fn differences(&mut self, piece: &Piece<'_>, parts: &[Alike]) -> io::Result<()> {
        let (old, new) = (self.old.load(piece.old)?, self.new.load(&piece.content)?);
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
