//! Reads the stream of a layer that is made here instead of being fetched: made, hashed and used at the same time, in
//! bounded memory.
//!
//! ```text
//! make ─ blocks ─┬─► SHA-256 ► diffid      own threads; where it is wanted
//!                └─► consume               the caller's thread
//! ```

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Sender, bounded};
use ostree_format::Checksum;

use super::blocks::{Block, Blocks, STREAM_QUEUE, checksum_of};
use super::buffers::{Buffer, Buffers};
use crate::base::{Ctx, join, spawn};
use crate::container::image::{DiffId, Digest, Error, ImageLayer, Result};

/// Lets `consume` read what `make` writes, and verifies that it is the tar stream of `layer`. Not before this returns is
/// known whether it is.
///
/// # Errors
/// What `make` and `consume` return; [`Error::DiffIdMismatch`], [`Error::Cancelled`].
pub(in crate::container) fn read_made<T>(
    layer: &ImageLayer,
    ctx: &Ctx,
    make: impl FnOnce(&mut dyn Write) -> Result<()> + Send,
    consume: impl FnOnce(&mut dyn Read) -> Result<T>,
) -> Result<T> {
    let digest = Digest::of_descriptor(&layer.descriptor)?;
    read_stream(digest, Some(&layer.diff_id), ctx, make, consume)
}

/// Lets `consume` read what `make` writes; verifies that it is the stream with this diffid, if there is one, of the layer
/// with this digest.
///
/// # Errors
/// As [`read_made`].
pub(super) fn read_stream<T>(
    layer: Digest,
    diff_id: Option<&DiffId>,
    ctx: &Ctx,
    make: impl FnOnce(&mut dyn Write) -> Result<()> + Send,
    consume: impl FnOnce(&mut dyn Read) -> Result<T>,
) -> Result<T> {
    let read: io::Result<_> = thread::scope(|scope| {
        let (to_consume, stream) = bounded(STREAM_QUEUE.blocks);
        let is_hashed = diff_id.is_some();
        let maker = spawn(scope, move || handed_over(make, to_consume, is_hashed, ctx))?;
        let mut stream = Blocks::new(stream);
        let consumed = consume(&mut stream);
        if consumed.is_ok() {
            // What follows the end of the archive counts for the diffid, too.
            stream.drain();
        }
        drop(stream);
        Ok((join(maker), consumed))
    });
    ctx.cancel.check()?;
    let (made, consumed) = read.map_err(Error::io("read layer", layer.to_string()))?;
    // A stream that ended too early is the reason for whatever its reader says.
    let made = made?;
    let consumed = consumed?;
    match (made, diff_id) {
        (Made::Stopped, _) => Err(Error::Image("a stream was not read to its end".to_owned())),
        (Made::Whole(Some(actual)), Some(expected)) if actual != *expected.checksum() => {
            Err(Error::DiffIdMismatch { layer, expected: *expected, actual: DiffId::new(actual) })
        }
        (Made::Whole(_), _) => Ok(consumed),
    }
}

/// How a stream that was made ended.
enum Made {
    /// All of it was made, and hashed if that was wanted.
    Whole(Option<Checksum>),
    /// Nobody listened any more.
    Stopped,
}

/// Makes the stream and hands it over, to a thread that hashes it, too, if that is wanted.
fn handed_over(
    make: impl FnOnce(&mut dyn Write) -> Result<()>,
    consumer: Sender<Block>,
    is_hashed: bool,
    ctx: &Ctx,
) -> Result<Made> {
    thread::scope(|scope| {
        let (to_hash, blocks) = bounded::<Block>(STREAM_QUEUE.blocks);
        let hasher = is_hashed.then(|| spawn(scope, move || checksum_of(&blocks))).transpose();
        let hasher = hasher.map_err(Error::io("hash", "stream"))?;
        let buffers = Buffers::default();
        let block = buffers.take(STREAM_QUEUE.block_bytes);
        let queues = if is_hashed { vec![to_hash, consumer] } else { vec![consumer] };
        let mut out = Out { queues, buffers, block, stopped: false, ctx };
        let made =
            make(&mut out).and_then(|()| out.flush().map_err(|error| Error::io("write", "stream")(error)));
        let stopped = out.stopped;
        drop(out);
        let checksum = hasher.map(join);
        match made {
            Err(_) if stopped => Ok(Made::Stopped),
            made => made.map(|()| Made::Whole(checksum)),
        }
    })
}

/// Hands over what is written, block by block.
struct Out<'a> {
    queues: Vec<Sender<Block>>,
    buffers: Buffers,
    block: Buffer,
    /// Whether somebody listens no more.
    stopped: bool,
    ctx: &'a Ctx,
}

impl Write for Out<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = buf.len().min(STREAM_QUEUE.block_bytes - self.block.len());
        self.block.extend_from_slice(&buf[..n]);
        if self.block.len() == STREAM_QUEUE.block_bytes {
            self.flush()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.ctx.cancel.check().map_err(io::Error::other)?;
        if self.block.is_empty() {
            return Ok(());
        }
        let next = self.buffers.take(STREAM_QUEUE.block_bytes);
        let block = Arc::new(std::mem::replace(&mut self.block, next));
        self.stopped = self.queues.iter().any(|queue| queue.send(Arc::clone(&block)).is_err());
        match self.stopped {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(()),
        }
    }
}
