//! An image in a registry, to be written.
//!
//! ```text
//! write ─ 8 MiB ─► own thread ─► PATCH      the next chunk is compressed while this one is sent
//!         a blob of one chunk ─► PUT
//! ```
//! Each time that the registry loses an upload chunks become smaller, and have connections of their own: so
//! even a line that breaks after so many bytes takes a blob to a registry that cannot go on where it broke.
//! Two chunks of a blob are in memory at most; the next blob has the same buffers, since what threads allocate
//! and free is seldom given back to the system. Blobs that the registry has are not sent, and those of other
//! repositories there are mounted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{Builder, JoinHandle};

use bytes::Bytes;
use crossbeam_channel::{Sender, bounded};
use oci_spec::image::{Arch, MediaType, Platform};

use super::index;
use super::registry::{RegistryImage, RegistryPlace};
use crate::base::Ctx;
use crate::container::blob::{Buffer, Buffers, known};
use crate::container::image::{
    BlobWriter, Digest, Error, Image, ImageDest, RawManifest, RepositoryName, Result, canonical_json,
};
use crate::net;
use crate::net::registry::{Line, Registry, RegistryAccess, SMALLEST_CHUNK_BYTES, Upload};

/// Bytes that are sent by one request.
const CHUNK_BYTES: usize = 8 * 1024 * 1024;
/// A buffer grows from this size on.
const FIRST_BYTES: usize = 256 * 1024;

/// One image in a registry, to be written.
#[derive(Debug)]
pub struct RegistryDest {
    registry: Registry,
    reference: String,
    mount_from: Vec<String>,
    /// Uploads that the registry lost.
    lost: AtomicU32,
    buffers: Buffers,
    ctx: Ctx,
}

impl RegistryDest {
    /// The image `name` at `place`. `mount_from` are other repositories there that may have its blobs.
    ///
    /// # Errors
    /// As [`RegistryPlace::connect`].
    pub fn open(
        place: &RegistryPlace,
        name: &RepositoryName,
        mount_from: &[String],
        ctx: &Ctx,
    ) -> Result<Self> {
        let mount_from = mount_from.iter().filter(|from| **from != place.endpoint.path).cloned().collect();
        let (registry, reference, buffers) = (place.connect(ctx)?, name.reference(), Buffers::default());
        Ok(Self { registry, reference, mount_from, lost: AtomicU32::new(0), buffers, ctx: ctx.clone() })
    }

    /// Takes note of a lost upload.
    fn note(&self, error: net::Error) -> net::Error {
        if matches!(error, net::Error::UploadLost { .. }) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        error
    }

    fn start_upload(&self) -> net::Result<Upload> {
        let line = if self.lost.load(Ordering::Relaxed) > 0 { Line::Fresh } else { Line::Shared };
        Ok(self.registry.start_upload(&self.ctx)?.over(line))
    }
}

impl ImageDest for RegistryDest {
    fn has_blob(&self, digest: &Digest) -> Result<bool> {
        if self.registry.has_blob(digest.checksum(), RegistryAccess::Push, &self.ctx)? {
            return Ok(true);
        }
        for from in &self.mount_from {
            if self.registry.mount(digest.checksum(), from, &self.ctx)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn new_blob(&self) -> Result<Box<dyn BlobWriter + '_>> {
        let chunk_bytes = CHUNK_BYTES >> self.lost.load(Ordering::Relaxed).min(16);
        let chunk_bytes = chunk_bytes.max(SMALLEST_CHUNK_BYTES);
        Ok(Box::new(RegistryBlob { dest: self, chunk: self.buffers.take(0), chunk_bytes, sender: None }))
    }

    fn current(&self, architecture: &Arch) -> Result<Option<Image>> {
        match RegistryImage::at(self.registry.clone(), &self.reference, &self.ctx) {
            Ok(image) => known::current(&image, architecture),
            Err(Error::Cancelled(cancelled)) => Err(cancelled.into()),
            // There is none, or who may push may not pull.
            Err(_) => Ok(None),
        }
    }

    fn put_instance(&self, manifest: &RawManifest) -> Result<()> {
        let (digest, media_type) = (manifest.digest.to_string(), manifest.media_type.to_string());
        Ok(self.registry.put_manifest(&digest, &media_type, &manifest.bytes, &self.ctx)?)
    }

    fn put_referrer(&self, artifact: &RawManifest, subject: &Digest) -> Result<()> {
        self.put_instance(artifact)?;
        let pages = self.registry.referrers(subject.checksum(), &self.ctx)?;
        let pages = pages.iter().map(|page| index::parse(page)).collect::<Result<Vec<_>>>()?;
        let mut entries: Vec<_> = pages.iter().flat_map(|page| page.manifests().iter().cloned()).collect();
        let entry = index::referrer(artifact)?;
        if entries.iter().any(|listed| listed.digest() == entry.digest()) {
            return Ok(());
        }
        // The registry keeps no list of its own: what it gave was the index under this tag, if anything.
        entries.push(entry);
        let mut list = index::empty()?;
        list.set_manifests(entries);
        let (tag, media_type) = (format!("sha256-{}", subject.checksum()), MediaType::ImageIndex.to_string());
        Ok(self.registry.put_manifest(&tag, &media_type, &canonical_json(&list)?, &self.ctx)?)
    }

    fn put_manifest(&self, manifest: &RawManifest, _: Option<&Platform>) -> Result<()> {
        let media_type = manifest.media_type.to_string();
        Ok(self.registry.put_manifest(&self.reference, &media_type, &manifest.bytes, &self.ctx)?)
    }
}

/// A blob under way: its unsent bytes, and the thread that sends.
struct RegistryBlob<'a> {
    dest: &'a RegistryDest,
    chunk: Buffer,
    chunk_bytes: usize,
    sender: Option<Sending>,
}

struct Sending {
    queue: Sender<Bytes>,
    thread: JoinHandle<net::Result<Upload>>,
}

impl Sending {
    fn begin(dest: &RegistryDest) -> io::Result<Self> {
        let mut upload = dest.start_upload().map_err(io::Error::other)?;
        let (queue, chunks) = bounded::<Bytes>(0);
        let ctx = dest.ctx.clone();
        let send = move || {
            chunks.iter().try_for_each(|chunk| upload.send(&chunk, &ctx))?;
            Ok(upload)
        };
        Ok(Self { queue, thread: Builder::new().spawn(send)? })
    }

    /// Waits until everything is sent.
    fn end(self) -> net::Result<Upload> {
        drop(self.queue);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl RegistryBlob<'_> {
    fn send_chunk(&mut self) -> io::Result<()> {
        let sending = match self.sender.take() {
            Some(sending) => sending,
            None => Sending::begin(self.dest)?,
        };
        // The next buffer is that of the chunk before this one.
        let chunk = self.take_chunk();
        if sending.queue.send(chunk).is_err() {
            // The thread ends early only with an error.
            let error = sending.end().err().map(|error| self.dest.note(error));
            return Err(error.map_or_else(|| io::ErrorKind::BrokenPipe.into(), io::Error::other));
        }
        self.sender = Some(sending);
        Ok(())
    }

    /// What is not sent yet; its buffer is free again when nobody holds it.
    fn take_chunk(&mut self) -> Bytes {
        Bytes::from_owner(std::mem::replace(&mut self.chunk, self.dest.buffers.take(0)))
    }
}

impl Write for RegistryBlob<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == self.chunk_bytes {
            self.send_chunk()?;
        }
        let n = buf.len().min(self.chunk_bytes - self.chunk.len());
        let len = self.chunk.len();
        if len + n > self.chunk.capacity() {
            let wanted = (2 * self.chunk.capacity()).clamp(FIRST_BYTES, CHUNK_BYTES).max(len + n);
            self.chunk.reserve_exact(wanted - len);
        }
        self.chunk.extend_from_slice(&buf[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for RegistryBlob<'_> {
    fn finish(mut self: Box<Self>, digest: &Digest, _: u64) -> Result<()> {
        let (dest, last) = (self.dest, self.take_chunk());
        let upload = match self.sender.take() {
            Some(sending) => sending.end().map_err(|error| dest.note(error))?,
            // All of it is still here: perhaps it need not be sent.
            None if dest.has_blob(digest)? => return Ok(()),
            None => dest.start_upload()?,
        };
        let finished = upload.finish(&last, digest.checksum(), &dest.ctx);
        finished.map_err(|error| dest.note(error).into())
    }
}

impl Drop for RegistryBlob<'_> {
    /// Tells the registry that the rest will not come.
    fn drop(&mut self) {
        if let Some(sending) = self.sender.take()
            && let Ok(upload) = sending.end()
        {
            upload.cancel(&self.dest.ctx);
        }
    }
}
