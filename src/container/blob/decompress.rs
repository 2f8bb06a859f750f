//! Reads a layer: fetched, decompressed, hashed and used at the same time, in bounded memory.
//!
//! ```text
//! source ─ blocks ─┬─► SHA-256 ► digest, and to whoever copies the blob   own thread
//!                  └─► inflate or zstd ─ blocks ─┬─► SHA-256 ► diffid   own threads; plain layers only
//!                                                └─► consume            the caller's thread
//! ```
//! Verified are the size and digest of the blob, and that nothing follows the compressed stream. All of it has to be
//! seen before a layer is called good: a source that breaks off behind the last byte that `consume` needs is an error
//! as any other.
//!
//! The digest alone pins the content: no byte of a blob can change without it. The diffid of a plain layer is hashed
//! besides ([`read_layer`]), since such layers are found again by it, in whatever way they are compressed, and that
//! must not rest on what a configuration claims. For a stream that is not compressed the two are the same hash, which
//! is made once. The layers of a commit are read without ([`read_objects`]): each object in them is verified by its
//! own checksum, the commit by its signature or the label's promise, and that nothing is missing is looked at in the
//! end. Whatever diffid is claimed for them, what comes out is the same.
//!
//! A layer that lies somewhere as files has no blob ([`ImageSource::unpacked`]): its tar stream is made again, and has to
//! have the diffid, which the configuration, whose digest is in the manifest, pins as well.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Sender, bounded};
use flate2::bufread::MultiGzDecoder;
use oci_spec::image::Descriptor;
use ostree_format::{Checksum, Hasher};

use super::blocks::{BLOB_QUEUE, Block, Blocks, STREAM_QUEUE, checksum_of, next_block};
use super::buffers::Buffers;
use super::layer_format::{FORMAT_BYTES, LayerFormat, other_compression};
use super::unpacked::read_unpacked;
use crate::base::io::Cancellable;
use crate::base::{Ctx, Item, compressed, join, spawn};
use crate::container::image::{DiffId, Digest, Error, EveryEntry, ImageSource, Result};
use crate::{store, tar};

/// The distance to which a zstd stream may refer back, in bytes, as a power of two: it bounds the decoder's memory to
/// 32 MiB. Levels up to 19 use 8 MiB at most.
pub const MAX_ZSTD_WINDOW_LOG: u32 = 25;

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
    read(source, layer, Some(diff_id), &mut |_| (), ctx, consume)
}

/// Reads a layer as [`read_layer`] does; `pass` gets the bytes of the blob in their order, none of which are verified
/// before this returns.
pub(in crate::container) fn read_layer_passing<T>(
    source: &dyn ImageSource,
    layer: &Descriptor,
    diff_id: &DiffId,
    pass: &mut Pass<'_>,
    ctx: &Ctx,
    consume: impl FnOnce(&mut dyn Read) -> Result<T>,
) -> Result<T> {
    read(source, layer, Some(diff_id), pass, ctx, consume)
}

/// What gets the bytes of a blob while they are read.
type Pass<'a> = dyn FnMut(&[u8]) + Send + 'a;

/// Lets `consume` read the tar stream of a layer that holds objects, which it verifies by their checksums: as
/// [`read_layer`], but without the diffid.
pub(in crate::container) fn read_objects<T>(
    source: &dyn ImageSource,
    layer: &Descriptor,
    ctx: &Ctx,
    consume: impl FnOnce(&mut dyn Read) -> Result<T>,
) -> Result<T> {
    read(source, layer, None, &mut |_| (), ctx, consume)
}

fn read<T>(
    source: &(impl ImageSource + ?Sized),
    layer: &Descriptor,
    diff_id: Option<&DiffId>,
    pass: &mut Pass<'_>,
    ctx: &Ctx,
    consume: impl FnOnce(&mut dyn Read) -> Result<T>,
) -> Result<T> {
    if let Some(unpacked) = source.unpacked(layer)? {
        return read_unpacked(&*unpacked, layer, diff_id, &mut EveryEntry, ctx, consume);
    }
    let says = LayerFormat::of(layer.media_type())?;
    let digest = Digest::of_descriptor(layer)?;
    let item = Item::start(ctx, digest.to_string(), Some(layer.size()));
    let inner = source.blob(layer)?.take(layer.size().saturating_add(1));
    let blob = Reported { inner: Cancellable::new(inner, &ctx.cancel), ctx, item: &item };
    let read: io::Result<_> = thread::scope(|scope| {
        let (to_decompress, compressed) = bounded(BLOB_QUEUE.blocks);
        let (to_consume, stream) = bounded(STREAM_QUEUE.blocks);
        let fetch = spawn(scope, move || fetch(blob, &to_decompress, pass))?;
        let note = move |is| note_format(digest, says, is, ctx);
        let hash = if diff_id.is_some() { Hash::Stream } else { Hash::Nothing };
        let decompress = spawn(scope, move || {
            let mut blob = Blocks::new(compressed);
            let end = decompress(&mut blob, hash, &note, &to_consume, ctx);
            if end.is_err() {
                // The rest counts for the digest, which tells whether the blob is damaged or was made so.
                drop(to_consume);
                blob.drain();
            }
            end
        })?;
        let mut stream = Blocks::new(stream);
        let consumed = consume(&mut stream);
        if consumed.as_ref().err().is_none_or(is_damage) {
            // The rest counts for the digests, and tells whether the blob is the one that was asked for.
            stream.drain();
        }
        drop(stream);
        Ok((join(fetch), join(decompress), consumed))
    });
    ctx.cancel.check()?;
    let (fetched, decompressed, consumed) = read.map_err(Error::io("read layer", digest.to_string()))?;
    let is_whole = verify(digest, layer.size(), diff_id, fetched, decompressed)?;
    let consumed = consumed?;
    if !is_whole {
        let source = io::Error::other("was not read to its end");
        return Err(Error::Layer { layer: digest, source });
    }
    item.done();
    Ok(consumed)
}

/// Verifies what was read of a blob, and what came of it; says whether that was all. A blob that is not what it should be is
/// the reason for whatever its reader says, and a source that breaks off the reason for whatever the decompressor says.
fn verify(
    layer: Digest,
    size: u64,
    diff_id: Option<&DiffId>,
    fetched: io::Result<End<Found>>,
    decompressed: io::Result<End<Option<Checksum>>>,
) -> Result<bool> {
    let broken = |source| Error::Layer { layer, source };
    let fetched = fetched.map_err(broken)?;
    if let (End::Whole(blob), Err(_)) = (&fetched, &decompressed) {
        blob.verify(layer, size)?;
    }
    let (End::Whole(blob), End::Whole(stream)) = (fetched, decompressed.map_err(broken)?) else {
        return Ok(false);
    };
    blob.verify(layer, size)?;
    let actual = DiffId::new(stream.unwrap_or(blob.checksum));
    match diff_id.filter(|expected| **expected != actual) {
        None => Ok(true),
        Some(expected) => Err(Error::DiffIdMismatch { layer, expected: *expected, actual }),
    }
}

/// Tells of a layer that is compressed in another way than its media type says.
fn note_format(layer: Digest, says: LayerFormat, is: LayerFormat, ctx: &Ctx) {
    if is != says {
        ctx.note(&format!("layer {layer}: {}, not {} as its media type says", is.name(), says.name()));
    }
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

/// What is hashed of a decompressed stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Stream,
    Nothing,
}

/// How a thread ended that nothing went wrong in.
enum End<T> {
    /// The thread has seen everything.
    Whole(T),
    /// The thread stopped because nobody listened any more.
    Stopped,
}

/// What a blob was found to be.
struct Found {
    bytes: u64,
    checksum: Checksum,
}

impl Found {
    fn verify(&self, expected: Digest, size: u64) -> Result<()> {
        let (what, actual) = ("layer", Digest::new(self.checksum));
        if self.bytes != size {
            return Err(Error::Size { what, digest: expected, expected: size, actual: self.bytes });
        }
        if actual != expected { Err(Error::Mismatch { what, expected, actual }) } else { Ok(()) }
    }
}

/// Reports what is read of a blob: at most one byte more than its descriptor says.
pub(in crate::container) struct Reported<'a, R> {
    pub(in crate::container) inner: R,
    pub(in crate::container) ctx: &'a Ctx,
    pub(in crate::container) item: &'a Item<'a>,
}

impl<R: Read> Read for Reported<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.ctx.bytes_done(n as u64);
        self.item.advance(n as u64);
        Ok(n)
    }
}

/// Reads the blob to its end, hashes it and passes it on while what was read is decompressed.
fn fetch(mut blob: impl Read, decompressor: &Sender<Block>, pass: &mut Pass<'_>) -> io::Result<End<Found>> {
    let (buffers, mut hasher, mut bytes) = (Buffers::default(), Hasher::new(), 0);
    loop {
        let block = next_block(&mut blob, &buffers, &BLOB_QUEUE)?;
        if block.is_empty() {
            return Ok(End::Whole(Found { bytes, checksum: hasher.finish() }));
        }
        if decompressor.send(Arc::clone(&block)).is_err() {
            return Ok(End::Stopped);
        }
        hasher.update(&block);
        pass(&block);
        bytes += block.len() as u64;
    }
}

/// Decompresses the blob. Gives the checksum of what came out if that is to be hashed, unless it is the blob's own.
fn decompress(
    mut blob: &mut Blocks,
    hash: Hash,
    note: &dyn Fn(LayerFormat),
    consumer: &Sender<Block>,
    ctx: &Ctx,
) -> io::Result<End<Option<Checksum>>> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let start = blob.fill_buf()?;
    let start = &start[..start.len().min(FORMAT_BYTES)];
    if let Some(other) = other_compression(start) {
        return Err(invalid(format!(
            "it is compressed by {other}; layers are gzip, zstd, bzip2, xz or not compressed"
        )));
    }
    let format = LayerFormat::of_bytes(start);
    note(format);
    let end = match format {
        LayerFormat::Tar => send_hashed(&mut blob, Hash::Nothing, consumer, ctx)?,
        LayerFormat::Xz => send_hashed(&mut compressed::xz(Box::new(&mut blob))?, hash, consumer, ctx)?,
        LayerFormat::Bzip2 => send_hashed(&mut compressed::bzip2(Box::new(&mut blob))?, hash, consumer, ctx)?,
        LayerFormat::Gzip => send_hashed(&mut MultiGzDecoder::new(&mut blob), hash, consumer, ctx)?,
        LayerFormat::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(&mut blob)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
            send_hashed(&mut decoder, hash, consumer, ctx)?
        }
    };
    if matches!(end, End::Whole(_)) && !blob.fill_buf()?.is_empty() {
        return Err(invalid("bytes follow the compressed stream".to_owned()));
    }
    Ok(end)
}

/// Sends a stream to whoever uses it, and to a thread that hashes it if that is wanted.
fn send_hashed(
    stream: &mut impl Read,
    hash: Hash,
    consumer: &Sender<Block>,
    ctx: &Ctx,
) -> io::Result<End<Option<Checksum>>> {
    if hash == Hash::Nothing {
        return Ok(match send_blocks(stream, &[consumer], ctx)? {
            End::Whole(()) => End::Whole(None),
            End::Stopped => End::Stopped,
        });
    }
    thread::scope(|scope| {
        let (to_hash, blocks) = bounded::<Block>(STREAM_QUEUE.blocks);
        let hasher = spawn(scope, move || checksum_of(&blocks))?;
        let sent = send_blocks(stream, &[&to_hash, consumer], ctx);
        drop(to_hash);
        let checksum = join(hasher);
        Ok(match sent? {
            End::Whole(()) => End::Whole(Some(checksum)),
            End::Stopped => End::Stopped,
        })
    })
}

fn send_blocks(stream: &mut impl Read, queues: &[&Sender<Block>], ctx: &Ctx) -> io::Result<End<()>> {
    let buffers = Buffers::default();
    loop {
        ctx.cancel.check().map_err(io::Error::other)?;
        let block = next_block(stream, &buffers, &STREAM_QUEUE)?;
        if block.is_empty() {
            return Ok(End::Whole(()));
        }
        for queue in queues {
            if queue.send(Arc::clone(&block)).is_err() {
                return Ok(End::Stopped);
            }
        }
    }
}
