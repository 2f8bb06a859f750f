//! Reads the stream of a layer that is made here instead of being fetched: made, hashed and used at the same time, in
//! bounded memory.
//!
//! ```text
//! make ─ blocks ─┬─► SHA-256 ► diffid      own threads
//!                └─► consume               the caller's thread
//! ```

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Sender, bounded};
use ostree_format::Checksum;

use super::buffers::{Buffer, Buffers};
use super::decompress::{Block, Blocks, STREAM_QUEUE, checksum_of};
use crate::base::{Ctx, join};
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
    let (made, consumed) = thread::scope(|scope| {
        let (to_consume, stream) = bounded(STREAM_QUEUE.blocks);
        let maker = scope.spawn(move || hashed(make, to_consume, ctx));
        let mut stream = Blocks::new(stream);
        let consumed = consume(&mut stream);
        if consumed.is_ok() {
            // What follows the end of the archive counts for the diffid, too.
            stream.drain();
        }
        drop(stream);
        (join(maker), consumed)
    });
    ctx.cancel.check()?;
    // A stream that ended too early is the reason for whatever its reader says.
    let made = made?;
    let consumed = consumed?;
    match made.map(DiffId::new) {
        Some(actual) if actual == layer.diff_id => Ok(consumed),
        Some(actual) => {
            let layer_digest = Digest::of_descriptor(&layer.descriptor)?;
            Err(Error::DiffIdMismatch { layer: layer_digest, expected: layer.diff_id, actual })
        }
        None => Err(Error::Image("a stream was not read to its end".to_owned())),
    }
}

/// Makes the stream; gives its checksum, or `None` if nobody listened any more.
fn hashed(
    make: impl FnOnce(&mut dyn Write) -> Result<()>,
    consumer: Sender<Block>,
    ctx: &Ctx,
) -> Result<Option<Checksum>> {
    thread::scope(|scope| {
        let (to_hash, blocks) = bounded::<Block>(STREAM_QUEUE.blocks);
        let hasher = scope.spawn(move || checksum_of(&blocks));
        let buffers = Buffers::default();
        let block = buffers.take(STREAM_QUEUE.block_bytes);
        let mut out = Out { queues: [to_hash, consumer], buffers, block, stopped: false, ctx };
        let made =
            make(&mut out).and_then(|()| out.flush().map_err(|error| Error::io("write", "stream")(error)));
        let stopped = out.stopped;
        drop(out);
        let checksum = join(hasher);
        match made {
            Err(_) if stopped => Ok(None),
            made => made.map(|()| Some(checksum)),
        }
    })
}

/// Hands over what is written, block by block.
struct Out<'a> {
    queues: [Sender<Block>; 2],
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
