//! Reads a layer: decompressed, hashed and used at the same time, in bounded memory.
//!
//! ```text
//! blob ► SHA-256 ► inflate or zstd ─ blocks ─┬─► SHA-256 ► diffid     own thread
//!        own thread                          └─► consume              the caller's thread
//! ```
//! Verified are the size and digest of the blob, the diffid, and that nothing follows the compressed
//! stream.

use std::io::{self, BufRead, BufReader, Read, Take};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use flate2::bufread::MultiGzDecoder;
use oci_spec::image::{Descriptor, MediaType};
use ostree_format::Hasher;

use super::buffers::{Buffer, Buffers};
use super::compress::join;
use super::digest::{DiffId, Digest};
use super::error::{Error, Result};
use super::image::ImageSource;
use crate::base::io::Hashing;
use crate::base::{Ctx, Item};
use crate::{store, tar};

/// Blocks of the uncompressed stream have so many bytes, at most.
const BLOCK_BYTES: usize = 256 * 1024;
/// Blocks that wait to be hashed or used, at most.
const QUEUE_BLOCKS: usize = 8;
/// How much of the blob is read at once.
const INPUT_BYTES: usize = 128 * 1024;
/// A zstd stream may refer back so many bytes (as a power of two): this bounds the decoder's memory to
/// 32 MiB. Levels up to 19 use 8 MiB at most.
pub const MAX_ZSTD_WINDOW_LOG: u32 = 25;

/// A piece of the uncompressed stream, shared by those who hash and those who use it.
type Block = Arc<Buffer>;

pub(super) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
pub(super) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The last three bytes of a zstd frame to be skipped; the first is 0x50 to 0x5f.
const ZSTD_SKIPPABLE_MAGIC: [u8; 3] = [0x2a, 0x4d, 0x18];

/// How a layer's blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerFormat {
    /// Not at all.
    Tar,
    /// gzip, of one or more members.
    Gzip,
    /// zstd, of one or more frames.
    Zstd,
}

impl LayerFormat {
    /// The format that a descriptor's media type stands for.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for what is no layer.
    pub fn of(media_type: &MediaType) -> Result<Self> {
        match media_type.as_ref() {
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar" => Ok(Self::Tar),
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Ok(Self::Gzip),
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(Self::Zstd),
            other => Err(Error::Unsupported(format!("layer of media type {other}"))),
        }
    }

    /// The format that a blob which begins so has; four bytes are enough.
    pub(super) fn of_bytes(start: &[u8]) -> Self {
        let skippable =
            start.first().is_some_and(|b| b & 0xf0 == 0x50) && start[1..].starts_with(&ZSTD_SKIPPABLE_MAGIC);
        if start.starts_with(&GZIP_MAGIC) {
            Self::Gzip
        } else if start.starts_with(&ZSTD_MAGIC) || skippable {
            Self::Zstd
        } else {
            Self::Tar
        }
    }
}

/// Lets `consume` read the tar stream of a layer, and verifies everything about it. What `consume` leaves
/// is read and verified too.
///
/// The bytes of the blob are reported as progress, and the layer as an item; those of what is in it are the caller's affair.
/// Not before this returns is known that the whole layer is what its digests say.
///
/// # Errors
/// What `consume` returns; [`Error::Layer`] if the blob cannot be decompressed, [`Error::Size`],
/// [`Error::Mismatch`], [`Error::DiffIdMismatch`], [`Error::Unsupported`], [`Error::Cancelled`].
pub fn read_layer<T>(
    source: &(impl ImageSource + ?Sized),
    layer: &Descriptor,
    diff_id: &DiffId,
    ctx: &Ctx,
    consume: impl FnOnce(&mut dyn Read) -> Result<T>,
) -> Result<T> {
    let format = LayerFormat::of(layer.media_type())?;
    let digest = Digest::of_descriptor(layer)?;
    let item = Item::start(ctx, digest.to_string(), Some(layer.size()));
    let blob = Reported { inner: source.blob(layer)?, ctx, item: &item };
    let blob = Hashing::new(blob.take(layer.size().saturating_add(1)));
    let (decompressed, hashed, consumed) = thread::scope(|scope| {
        let (hash_queue, to_hash) = bounded(QUEUE_BLOCKS);
        let (queue, blocks) = bounded(QUEUE_BLOCKS);
        let hasher = scope.spawn(move || {
            let mut hasher = Hasher::new();
            to_hash.iter().for_each(|block: Block| hasher.update(&block));
            hasher
        });
        let decompressor = scope.spawn(move || decompress(blob, format, &[hash_queue, queue], ctx));
        let mut reader = BlockReader { blocks, block: None, position: 0 };
        let consumed = consume(&mut reader);
        if consumed.as_ref().err().is_none_or(is_damage) {
            // The rest counts for the diffid, and tells whether the blob is the one that was asked for.
            while !reader.fill_buf().is_empty() {
                reader.block = None;
            }
        }
        drop(reader);
        (join(decompressor), join(hasher), consumed)
    });
    ctx.cancel.check()?;
    let blob = match decompressed {
        // The stream ended early for `consume` because of this.
        Err(source) if !is_stop(&source) => return Err(Error::Layer { layer: digest, source }),
        Err(_) => None,
        Ok(blob) => Some(blob),
    };
    // A blob that was read to its end and is a wrong one is the reason for whatever `consume` says.
    if let Some(blob) = blob {
        verify(blob, digest, layer.size())?;
        let actual = DiffId::new(hashed.finish());
        if actual != *diff_id {
            return Err(Error::DiffIdMismatch { layer: digest, expected: *diff_id, actual });
        }
    }
    let consumed = consumed?;
    item.done();
    Ok(consumed)
}

/// Whether an error may come from a damaged blob.
fn is_damage(error: &Error) -> bool {
    use store::Error::{Corrupt, Invalid, Mismatch};
    use tar::Error::{Content, Entry, Format, Store};
    match error {
        Error::Tar(Format { .. } | Entry { .. } | Content(_)) => true,
        Error::Tar(Store(error)) | Error::Store(error) => {
            matches!(error, Corrupt { .. } | Invalid { .. } | Mismatch { .. })
        }
        _ => false,
    }
}

/// The blob, counted and hashed; gives at most one byte more than its descriptor says.
type Blob<'a> = Hashing<Take<Reported<'a>>>;

/// Reports what is read of a blob.
struct Reported<'a> {
    inner: Box<dyn Read + Send>,
    ctx: &'a Ctx,
    item: &'a Item<'a>,
}

impl Read for Reported<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.ctx.bytes_done(n as u64);
        self.item.advance(n as u64);
        Ok(n)
    }
}

fn verify(blob: Blob<'_>, expected: Digest, size: u64) -> Result<()> {
    let what = "layer";
    if Hashing::bytes(&blob) != size {
        return Err(Error::Size { what, digest: expected, expected: size, actual: Hashing::bytes(&blob) });
    }
    let actual = Digest::new(blob.finish().1);
    if actual != expected { Err(Error::Mismatch { what, expected, actual }) } else { Ok(()) }
}

/// Decompresses the blob into blocks and gives it back, read to its end.
fn decompress<'a>(
    blob: Blob<'a>,
    format: LayerFormat,
    queues: &[Sender<Block>; 2],
    ctx: &Ctx,
) -> io::Result<Blob<'a>> {
    let mut input = BufReader::with_capacity(INPUT_BYTES, blob);
    let found = LayerFormat::of_bytes(input.fill_buf()?);
    if found != format {
        let why = format!("its media type says {format:?}, its bytes are {found:?}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    match format {
        LayerFormat::Tar => send_all(&mut input, queues, ctx)?,
        LayerFormat::Gzip => send_all(&mut MultiGzDecoder::new(&mut input), queues, ctx)?,
        LayerFormat::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(&mut input)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
            send_all(&mut decoder, queues, ctx)?;
        }
    }
    if !input.fill_buf()?.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "bytes follow the compressed stream"));
    }
    Ok(input.into_inner())
}

fn send_all(stream: &mut impl Read, queues: &[Sender<Block>; 2], ctx: &Ctx) -> io::Result<()> {
    let buffers = Buffers::default();
    loop {
        ctx.cancel.check().map_err(|_| stop())?;
        let mut block = buffers.take(BLOCK_BYTES);
        stream.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        if block.is_empty() {
            return Ok(());
        }
        let block = Arc::new(block);
        for queue in queues {
            queue.send(Arc::clone(&block)).map_err(|_| stop())?;
        }
    }
}

/// The error of a decompressor that nobody listens to any more.
fn stop() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

fn is_stop(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe && error.get_ref().is_none()
}

/// Puts the blocks together again.
struct BlockReader {
    blocks: Receiver<Block>,
    block: Option<Block>,
    position: usize,
}

impl BlockReader {
    /// The unread rest of the current block, or of the next one; empty at the end.
    fn fill_buf(&mut self) -> &[u8] {
        if self.block.as_ref().is_none_or(|block| self.position == block.len()) {
            // Given back before the next one is waited for.
            (self.block, self.position) = (None, 0);
            self.block = self.blocks.recv().ok();
        }
        self.block.as_ref().map_or(&[], |block| &block[self.position..])
    }
}

impl Read for BlockReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.fill_buf();
        let n = buf.len().min(rest.len());
        buf[..n].copy_from_slice(&rest[..n]);
        self.position += n;
        Ok(n)
    }
}
