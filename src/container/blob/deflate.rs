//! gzip on all cores: one member whose blocks are compressed independently, as pigz does.
//!
//! ```text
//! 1f 8b 08 00 | mtime 0 | 00 | ff      header
//! deflate of block 0, sync flush       every block ends at a byte
//! deflate of block 1, sync flush       and was primed with the last 32 KiB of the one before
//! 03 00                                an empty last block
//! CRC-32 | length mod 2^32             little endian
//! ```
//! What comes out depends on the content and the level alone, never on the number of threads.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use flate2::{Compress, Crc, FlushCompress, Status};

use super::buffers::{Buffer, Buffers};
use crate::base::spawn_up_to;

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];
/// How far back a match can reach.
const WINDOW_BYTES: usize = 32 * 1024;

/// A piece of the uncompressed stream, shared by those who hash and those who compress it.
pub(in crate::container) type Block = Arc<Buffer>;

/// The room that a compressed block needs: what does not compress grows by 5 bytes in 16 KiB at most.
pub(in crate::container) const fn room(block_bytes: usize) -> usize {
    block_bytes + block_bytes / 1024 + 1024
}

/// Compresses `blocks` into `out` on `workers` threads.
///
/// # Errors
/// What `out` says; no thread can be started.
pub(in crate::container) fn gzip(
    blocks: &Receiver<Block>,
    out: &mut impl Write,
    level: u32,
    workers: usize,
    buffers: &Buffers,
) -> io::Result<()> {
    let (jobs, todo) = bounded::<Job>(workers);
    thread::scope(|scope| {
        spawn_up_to(scope, workers, move || work(&todo, level, buffers))?;
        let result = in_order(blocks, out, &jobs, 2 * workers);
        drop(jobs);
        result
    })
}

/// A block, the one before it, and whom to give the result to.
struct Job {
    block: Block,
    before: Option<Block>,
    done: Sender<io::Result<Deflated>>,
}

struct Deflated {
    bytes: Buffer,
    crc: Crc,
}

/// Hands the blocks to the workers, at most `in_flight` of them, and writes the results in order.
fn in_order(
    blocks: &Receiver<Block>,
    out: &mut impl Write,
    jobs: &Sender<Job>,
    in_flight: usize,
) -> io::Result<()> {
    let mut pending = VecDeque::new();
    let mut before = None;
    let mut crc = Crc::new();
    let mut write = |done: Receiver<io::Result<Deflated>>, out: &mut dyn Write| {
        let deflated = done.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))??;
        crc.combine(&deflated.crc);
        out.write_all(&deflated.bytes)
    };
    out.write_all(&HEADER)?;
    for block in blocks {
        let (done, result) = bounded(1);
        let job = Job { block: Arc::clone(&block), before: before.replace(block), done };
        if jobs.send(job).is_err() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        pending.push_back(result);
        if pending.len() >= in_flight
            && let Some(first) = pending.pop_front()
        {
            write(first, out)?;
        }
    }
    for result in pending {
        write(result, out)?;
    }
    out.write_all(&LAST_BLOCK)?;
    out.write_all(&crc.sum().to_le_bytes())?;
    out.write_all(&crc.amount().to_le_bytes())
}

fn work(todo: &Receiver<Job>, level: u32, buffers: &Buffers) {
    for job in todo {
        let before = job.before.as_ref().map(|before| before.as_slice());
        let result = deflate(level, &job.block, before, buffers.take(room(job.block.len())));
        // Nobody waits for it any more when the output failed.
        let _ = job.done.send(result);
    }
}

fn deflate(level: u32, block: &[u8], before: Option<&[u8]>, mut bytes: Buffer) -> io::Result<Deflated> {
    // A new one for every block: after a reset it finds other matches than a new one does.
    let mut deflater = Compress::new(flate2::Compression::new(level), false);
    if let Some(before) = before {
        deflater.set_dictionary(&before[before.len().saturating_sub(WINDOW_BYTES)..])?;
    }
    let mut crc = Crc::new();
    crc.update(block);
    loop {
        let consumed = deflater.total_in() as usize;
        let status = deflater.compress_vec(&block[consumed..], &mut bytes, FlushCompress::Sync)?;
        if deflater.total_in() as usize == block.len() && bytes.len() < bytes.capacity() {
            return Ok(Deflated { bytes, crc });
        }
        if status == Status::BufError && bytes.len() < bytes.capacity() {
            return Err(io::Error::other("deflate made no progress"));
        }
        bytes.reserve(WINDOW_BYTES);
    }
}
