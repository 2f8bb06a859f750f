//! Streams in blocks, which threads hand to each other by queues.

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use crossbeam_channel::Receiver;
use ostree_format::{Checksum, Hasher};

use super::buffers::{Buffer, Buffers};

/// The blocks of the blob that wait for the decompressor: their size, and how many there may be.
pub(super) const BLOB_QUEUE: Queue = Queue { block_bytes: 128 * 1024, blocks: 4 };

/// The blocks of the uncompressed stream that wait for its reader: their size, and how many there may be.
pub(super) const STREAM_QUEUE: Queue = Queue { block_bytes: 256 * 1024, blocks: 8 };

pub(super) struct Queue {
    pub(super) block_bytes: usize,
    pub(super) blocks: usize,
}

/// A piece of a stream, shared by those who hash and those who use it.
pub(super) type Block = Arc<Buffer>;

/// Reads a block; an empty one at the end, and only there a short one.
pub(super) fn next_block(stream: &mut impl Read, buffers: &Buffers, queue: &Queue) -> io::Result<Block> {
    let mut block = buffers.take(queue.block_bytes);
    stream.by_ref().take(queue.block_bytes as u64).read_to_end(&mut block)?;
    Ok(Arc::new(block))
}

/// The checksum of the stream whose blocks come from a queue.
pub(super) fn checksum_of(blocks: &Receiver<Block>) -> Checksum {
    let mut hasher = Hasher::new();
    blocks.iter().for_each(|block| hasher.update(&block));
    hasher.finish()
}

/// Puts the blocks of a queue together again. The end of the queue is that of the stream: who fills it knows whether
/// something was missing.
pub(super) struct Blocks {
    queue: Receiver<Block>,
    block: Option<Block>,
    position: usize,
}

impl Blocks {
    pub(super) fn new(queue: Receiver<Block>) -> Self {
        Self { queue, block: None, position: 0 }
    }

    /// Takes what is still to come.
    pub(super) fn drain(&mut self) {
        self.block = None;
        self.queue.iter().for_each(drop);
    }
}

impl BufRead for Blocks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.block.as_ref().is_none_or(|block| self.position == block.len()) {
            // Given back before the next one is waited for.
            (self.block, self.position) = (None, 0);
            self.block = self.queue.recv().ok();
        }
        Ok(self.block.as_ref().map_or(&[], |block| &block[self.position..]))
    }

    fn consume(&mut self, n: usize) {
        self.position += n;
    }
}

impl Read for Blocks {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}
