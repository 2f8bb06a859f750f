//! Writes a layer: compressed on all cores, hashed on the way, in bounded memory.
//!
//! ```text
//! produce ─ blocks ─┬─► SHA-256 ► diffid                       own thread
//!                   └─► deflate or zstd ► SHA-256 ► blob       own threads; for zstd:chunked see `chunked`
//! ```
//! The blob is the same whatever the number of threads.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use oci_spec::image::Descriptor;
use ostree_format::Hasher;

use super::buffers::{Buffer, Buffers};
use super::chunked::zstd_chunked;
use super::deflate::{self, Block};
use super::encoders::{Encoders, Settings};
use crate::base::io::Hashing;
use crate::base::{Cancel, Ctx, Item};
use crate::base::{join, spawn};
use crate::container::image::{BlobWriter, Compression, DiffId, Digest, Error, ImageDest, Result};

/// Blocks of the uncompressed stream have so many bytes; the last one may be shorter.
const BLOCK_BYTES: usize = 512 * 1024;
/// Enough for a block, and for what it is compressed to.
const BUFFER_BYTES: usize = deflate::room(BLOCK_BYTES);
/// Blocks that wait to be hashed or compressed, at most.
const QUEUE_BLOCKS: usize = 4;
/// How often a layer is sent from its start.
const MAX_SENDS: u32 = 5;
/// More threads than this do not help: the stream is not produced any faster.
const MAX_WORKERS: usize = 16;

/// What layers use one after another.
#[derive(Debug, Default)]
pub(in crate::container) struct Scratch {
    buffers: Buffers,
    encoders: Encoders,
}

/// A layer that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenLayer {
    /// The digest of its blob.
    pub digest: Digest,
    /// The size of its blob, in bytes.
    pub size_bytes: u64,
    /// The digest of its tar stream.
    pub diff_id: DiffId,
    /// The size of its tar stream, in bytes.
    pub tar_bytes: u64,
    /// Annotations for the layer's descriptor.
    pub annotations: BTreeMap<String, String>,
}

impl WrittenLayer {
    /// The descriptor by which a manifest lists the layer; `compression` was used for it.
    ///
    /// # Errors
    /// None in practice: every digest of ours is one to `oci-spec`.
    pub fn descriptor(&self, compression: Compression) -> Result<Descriptor> {
        let mut descriptor = self.digest.descriptor(compression.media_type(), self.size_bytes)?;
        if !self.annotations.is_empty() {
            descriptor.set_annotations(Some(self.annotations.clone().into_iter().collect()));
        }
        Ok(descriptor)
    }
}

/// Writes what `produce` writes as a layer of `dest`, and reports it as an item. It is asked again for the same if
/// a registry lost what it had of the layer.
///
/// # Errors
/// What `produce` returns; [`Error::Io`], [`Error::Usage`] for a level that does not exist,
/// [`Error::Cancelled`].
pub fn write_layer<T>(
    dest: &(impl ImageDest + ?Sized),
    compression: Compression,
    ctx: &Ctx,
    produce: impl FnMut(&mut dyn Write) -> Result<T>,
) -> Result<(T, WrittenLayer)> {
    write_layer_with(dest, compression, &Scratch::default(), ctx, produce)
}

/// Does what [`write_layer`] does, with buffers that other layers have used.
pub(in crate::container) fn write_layer_with<T>(
    dest: &(impl ImageDest + ?Sized),
    compression: Compression,
    scratch: &Scratch,
    ctx: &Ctx,
    mut produce: impl FnMut(&mut dyn Write) -> Result<T>,
) -> Result<(T, WrittenLayer)> {
    compression.check()?;
    let mut sends = 1;
    loop {
        match write_once(dest, compression, scratch, ctx, &mut produce) {
            Err(error) if error.is_lost_upload() && sends < MAX_SENDS => sends += 1,
            result => return result,
        }
    }
}

fn write_once<T>(
    dest: &(impl ImageDest + ?Sized),
    compression: Compression,
    scratch: &Scratch,
    ctx: &Ctx,
    produce: &mut impl FnMut(&mut dyn Write) -> Result<T>,
) -> Result<(T, WrittenLayer)> {
    let item = Item::start(ctx, "layer", None);
    let blob: Box<dyn BlobWriter + '_> = Box::new(Reported { inner: dest.new_blob()?, item: &item });
    let workers = ctx.jobs.get().min(MAX_WORKERS);
    let worked: io::Result<_> = thread::scope(|scope| {
        let (hash_queue, to_hash) = bounded(QUEUE_BLOCKS);
        let (queue, blocks) = bounded(QUEUE_BLOCKS);
        let hasher = spawn(scope, move || hash(&to_hash))?;
        let output = spawn(scope, move || compress(&blocks, blob, compression, workers, scratch))?;
        let mut blocks = BlockWriter::new([hash_queue, queue], &scratch.buffers, ctx.cancel.clone());
        let produced = produce(&mut blocks);
        let flushed = if produced.is_ok() { blocks.send() } else { Ok(()) };
        let (tar_bytes, closed) = (blocks.total_bytes, blocks.closed);
        drop(blocks);
        let flushed = flushed.map_err(Error::io("write", "layer"));
        let produced = produced.and_then(|t| flushed.map(|()| t));
        Ok((join(output), join(hasher), produced, tar_bytes, closed))
    });
    let (output, hashed, produced, tar_bytes, closed) = worked.map_err(Error::io("write", "layer"))?;
    ctx.cancel.check()?;
    // If the output failed first, then that is why the producer could not go on.
    let produced = if closed { produced } else { Ok(produced?) };
    let (output, annotations) = output.map_err(Error::io("write", "layer"))?;
    let produced = produced?;
    let size_bytes = output.bytes();
    let (blob, checksum) = output.finish();
    let digest = Digest::new(checksum);
    blob.finish(&digest, size_bytes)?;
    item.done_as(digest.to_string());
    let diff_id = DiffId::new(hashed.finish());
    Ok((produced, WrittenLayer { digest, size_bytes, diff_id, tar_bytes, annotations }))
}

/// Reports what is written of a blob.
struct Reported<'a> {
    inner: Box<dyn BlobWriter + 'a>,
    item: &'a Item<'a>,
}

impl Write for Reported<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.item.advance(n as u64);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl BlobWriter for Reported<'_> {
    fn finish(self: Box<Self>, digest: &Digest, size: u64) -> Result<()> {
        self.inner.finish(digest, size)
    }
}

/// Cuts a stream into blocks.
struct BlockWriter<'a> {
    queues: [Sender<Block>; 2],
    buffers: &'a Buffers,
    block: Buffer,
    total_bytes: u64,
    /// Nobody takes blocks any more.
    closed: bool,
    cancel: Cancel,
}

impl<'a> BlockWriter<'a> {
    fn new(queues: [Sender<Block>; 2], buffers: &'a Buffers, cancel: Cancel) -> Self {
        let block = buffers.take(BUFFER_BYTES);
        Self { queues, buffers, block, total_bytes: 0, closed: false, cancel }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.cancel.check().map_err(io::Error::other)?;
        self.total_bytes += self.block.len() as u64;
        let block = Arc::new(std::mem::replace(&mut self.block, self.buffers.take(BUFFER_BYTES)));
        for queue in &self.queues {
            // Closed only after an error there, which is reported instead of this one.
            if queue.send(Arc::clone(&block)).is_err() {
                self.closed = true;
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
        Ok(())
    }
}

impl Write for BlockWriter<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = buf.len().min(BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(&buf[..n]);
        if self.block.len() == BLOCK_BYTES {
            self.send()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hash(blocks: &Receiver<Block>) -> Hasher {
    let mut hasher = Hasher::new();
    for block in blocks {
        hasher.update(&block);
    }
    hasher
}

/// A blob that is written, and hashed on the way.
type Output<'a> = Hashing<Box<dyn BlobWriter + 'a>>;

/// Gives the written blob, and the annotations that the layer needs.
fn compress<'a>(
    blocks: &Receiver<Block>,
    blob: Box<dyn BlobWriter + 'a>,
    compression: Compression,
    workers: usize,
    scratch: &Scratch,
) -> io::Result<(Output<'a>, BTreeMap<String, String>)> {
    let (mut out, mut annotations) = (Hashing::new(blob), BTreeMap::new());
    match compression {
        Compression::None => blocks.iter().try_for_each(|block| out.write_all(&block))?,
        Compression::Gzip(level) => deflate::gzip(blocks, &mut out, level, workers, &scratch.buffers)?,
        Compression::Zstd(level) => {
            let settings = Settings { level, threads: workers };
            scratch
                .encoders
                .frame(settings, &mut out, |out| blocks.iter().try_for_each(|block| out.write_all(&block)))?;
        }
        Compression::ZstdChunked(level) => annotations = zstd_chunked(blocks, &mut out, level, workers)?,
    }
    Ok((out, annotations))
}
