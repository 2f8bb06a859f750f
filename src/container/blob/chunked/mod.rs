//! zstd:chunked: a zstd stream of which every file can be fetched alone, and a table of what is where.
//!
//! ```text
//! blocks ─► split ─ pieces ─► zstd, SHA-256 ─ frames, in order ─► out
//!           own thread        `workers` threads                   this thread
//!
//! frame     headers and padding up to the next content
//! frame     content of one file, or a piece of it      each a zstd frame of its own
//! …
//! skippable frame   the index of objects, in layers with objects of ours: see `index`
//! skippable frame   the table of contents: zstd of JSON
//! skippable frame   footer, 64 bytes
//! ```
//! All frames together decompress to the tar stream: for programs that know nothing of this it is zstd. The
//! bytes depend on the content and the level alone, never on the number of threads. Source:
//! containers/storage docs/containers-storage-zstd-chunked.md, pkg/chunked.

mod index;
mod split;
mod table;
mod toc;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use oci_spec::image::Descriptor;
use ostree_format::Checksum;

use self::index::OBJECTS;
use self::split::{End, Piece, split};
use self::toc::{CHECKSUM, POSITION, Toc, TocEntry};
use crate::base::{join, spawn, spawn_up_to};
use crate::container::blob::deflate::Block;

pub(in crate::container) use self::index::{FoundObject, IndexPlace, ObjectIndex};
pub(in crate::container) use self::table::{Row, TablePlace, Wants};
pub(in crate::container) use self::toc::SKIPPABLE_HEAD_BYTES;

/// A piece of content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::container) struct Frame {
    /// Where its frame lies in the blob.
    pub(in crate::container) place: Range<u64>,
    /// How many bytes are in it.
    pub(in crate::container) bytes: u64,
}

/// What a descriptor says of the table in its layer; nothing if the layer has none.
pub(in crate::container) fn annotations_of(descriptor: &Descriptor) -> BTreeMap<String, String> {
    let all = descriptor.annotations().iter().flatten();
    let own = all.filter(|(key, _)| [CHECKSUM, POSITION, OBJECTS].contains(&key.as_str()));
    own.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Compresses the tar stream in `blocks` into `out` on `workers` threads; gives the annotations that the
/// layer needs.
///
/// # Errors
/// What `out` says; [`io::ErrorKind::InvalidData`] if the stream is no tar, or has entries that the table
/// cannot tell of; no thread can be started.
pub(in crate::container) fn zstd_chunked(
    blocks: &Receiver<Block>,
    out: &mut impl Write,
    level: i32,
    workers: usize,
) -> io::Result<BTreeMap<String, String>> {
    let (jobs, todo) = bounded::<Job>(workers);
    let (order, results) = bounded(workers + 1);
    thread::scope(|scope| {
        spawn_up_to(scope, workers, move || work(&todo, level))?;
        let splitter = spawn(scope, move || {
            split(blocks, &mut |pieces| {
                let (done, result) = bounded(1);
                let closed = |_| io::Error::from(io::ErrorKind::BrokenPipe);
                jobs.send(Job { pieces, done }).map_err(|_| closed(()))?;
                order.send(result).map_err(|_| closed(()))
            })
        })?;
        let written = write(results, out, level);
        let split = join(splitter);
        // If the output failed, then that is why the splitter could not go on.
        written.and_then(|annotations| split.map(|()| annotations))
    })
}

/// Pieces that are compressed one after the other, and whom to give the result to.
struct Job {
    pieces: Vec<Piece>,
    done: Sender<io::Result<Vec<Compressed>>>,
}

/// A piece that was compressed.
enum Compressed {
    /// Headers and padding.
    Tar(Vec<u8>),
    /// An entry without content.
    Entry(TocEntry),
    /// A piece of content; the entry comes with the first.
    Content { entry: Option<TocEntry>, frame: Vec<u8>, bytes: u64, digest: Checksum, end: End },
}

fn work(todo: &Receiver<Job>, level: i32) {
    for Job { pieces, done } in todo {
        let frames = pieces.into_iter().map(|piece| compress(piece, level)).collect();
        // Nobody waits for it any more when the output failed.
        let _ = done.send(frames);
    }
}

fn compress(piece: Piece, level: i32) -> io::Result<Compressed> {
    // A new context for every frame: what was compressed before must not matter.
    Ok(match piece {
        Piece::Entry(entry) => Compressed::Entry(entry),
        Piece::Tar(bytes) => Compressed::Tar(zstd::bulk::compress(&bytes, level)?),
        Piece::Content { entry, bytes, end } => Compressed::Content {
            entry,
            frame: zstd::bulk::compress(&bytes, level)?,
            bytes: bytes.len() as u64,
            digest: Checksum::of(&bytes),
            end,
        },
    })
}

/// Writes the frames in the order of the stream, and what comes behind them.
fn write(
    results: Receiver<Receiver<io::Result<Vec<Compressed>>>>,
    out: &mut impl Write,
    level: i32,
) -> io::Result<BTreeMap<String, String>> {
    let (mut toc, mut offset) = (Toc::new(level)?, 0);
    for result in results {
        for frame in result.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?? {
            match frame {
                Compressed::Entry(entry) => toc.entry(&entry)?,
                Compressed::Tar(frame) => {
                    out.write_all(&frame)?;
                    offset += frame.len() as u64;
                }
                Compressed::Content { entry, frame, bytes, digest, end } => {
                    out.write_all(&frame)?;
                    let start = offset;
                    offset += frame.len() as u64;
                    toc.content(entry, start..offset, bytes, digest, end)?;
                }
            }
        }
    }
    toc.finish(out, offset)
}
