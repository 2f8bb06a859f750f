//! Copies an image, or all images of an index, from any place to any other.
//!
//! ```text
//! manifest ► blobs that are not there yet, several at once, each verified ► manifest
//! ```
//! What the destination has is not sent. A manifest is copied as it is, unless another format is asked for; so
//! are signatures, where there is a place for them.

use std::collections::HashSet;
use std::io::{self, Read, Write};

use oci_spec::image::{Descriptor, ImageManifest, MediaType};

use super::copy_all::copy_named;
use crate::base::io::Hashing;
use crate::base::{Ctx, Item, with_pool};
use crate::container::image::media::{
    self, DOCKER_CONFIG, DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_LAYER_ZSTD, DOCKER_MANIFEST,
};
use crate::container::image::{Digest, Error, ImageDest, ImageSource, RawManifest, Result, canonical_json};

/// Bytes that are moved at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// How often a blob is sent from its start.
const MAX_SENDS: u32 = 5;

/// Options for copying an image.
#[derive(Debug, Clone, Default)]
pub struct CopyOptions {
    /// The format of the copy's manifest.
    pub format: ManifestFormat,
    /// Signatures of the image, or of the index, to be kept beside its manifest.
    pub signatures: Vec<Vec<u8>>,
    /// The images of an index that are copied.
    pub images: Images,
}

/// A choice of the images in an index that are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Images {
    /// One image, which the source has chosen; an index is an error.
    #[default]
    One,
    /// All images, and the index.
    All,
}

/// The format of a copy's manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ManifestFormat {
    /// The manifest's own bytes, so that its digest stays.
    #[default]
    AsItIs,
    /// OCI's format; a manifest of docker is converted.
    Oci,
}

/// Counts of what was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// The digest of the manifest at the destination.
    pub manifest: Digest,
    /// Blobs that were sent.
    pub sent: u64,
    /// The bytes of the blobs that were sent.
    pub sent_bytes: u64,
    /// Blobs that were there already.
    pub reused: u64,
    /// Signatures for which the destination has no place, or which are of another manifest than the one that was
    /// written.
    pub signatures_lost: usize,
}

/// Copies the image of `source` to `dest`. Blobs that were finished stay there after an error, but no name
/// leads to them.
///
/// # Errors
/// What the two say; [`Error::Mismatch`] and [`Error::Size`] for damaged blobs; [`Error::Usage`] if `source`
/// has images for several machines and one is to be copied: see [`OnePlatform`](super::OnePlatform).
pub fn copy(
    source: &dyn ImageSource,
    dest: &dyn ImageDest,
    options: &CopyOptions,
    ctx: &Ctx,
) -> Result<Copied> {
    let raw = source.manifest()?;
    if media::is_index(&raw.media_type) && options.images == Images::One {
        return Err(Error::Usage(format!("{} is an index of images, choose one", raw.digest)));
    }
    let (signatures, signed) = (&options.signatures, raw.digest);
    let mut copied = Copied::nothing(signed);
    let raw = copy_named(source, dest, raw, options.format, &mut copied, ctx)?;
    dest.put_manifest(&raw, None)?;
    let kept = signatures.is_empty() || raw.digest == signed && dest.put_signatures(signatures)?;
    copied.signatures_lost = if kept { 0 } else { signatures.len() };
    copied.manifest = raw.digest;
    Ok(copied)
}

/// Copies blobs that `dest` does not have, several at once. No manifest is written: the digest of it is that of
/// nothing.
pub(in crate::container) fn copy_blobs(
    source: &dyn ImageSource,
    dest: &dyn ImageDest,
    blobs: &[&Descriptor],
    ctx: &Ctx,
) -> Result<Copied> {
    let mut seen = HashSet::new();
    let blobs: Vec<_> = blobs.iter().filter(|d| seen.insert(d.digest().to_string())).collect();
    let bytes = blobs.iter().map(|d| d.size()).sum();
    ctx.phase("Copying blobs", Some(blobs.len() as u64), Some(bytes));
    let mut copied = Copied::nothing(Digest::of(&[]));
    let mut todo = Vec::new();
    for blob in blobs {
        if dest.has_blob(&Digest::of_descriptor(blob)?)? {
            copied.reused += 1;
            ctx.object_done(blob.size());
            Item::reused(ctx, blob.digest().to_string(), blob.size());
        } else {
            copied.sent += 1;
            copied.sent_bytes += blob.size();
            todo.push(blob);
        }
    }
    let pool_ctx = Ctx { jobs: ctx.requests.min(dest.parallel_blobs()), ..ctx.clone() };
    with_pool(&pool_ctx, u64::MAX, |pool| {
        todo.iter().try_for_each(|blob| pool.submit(1, move || copy_blob(source, dest, blob, ctx)))?;
        pool.wait()
    })?;
    Ok(copied)
}

/// Copies a blob, again if the destination lost what it had of it.
fn copy_blob(source: &dyn ImageSource, dest: &dyn ImageDest, blob: &Descriptor, ctx: &Ctx) -> Result<()> {
    let mut sends = 1;
    loop {
        match copy_once(source, dest, blob, ctx) {
            Err(error) if error.is_lost_upload() && sends < MAX_SENDS => sends += 1,
            result => return result,
        }
    }
}

fn copy_once(source: &dyn ImageSource, dest: &dyn ImageDest, blob: &Descriptor, ctx: &Ctx) -> Result<()> {
    let (what, expected, size) = ("blob", Digest::of_descriptor(blob)?, blob.size());
    let item = Item::start(ctx, expected.to_string(), Some(size));
    let mut from = Hashing::new(source.blob(blob)?.take(size.saturating_add(1)));
    let mut to = dest.new_blob()?;
    let mut buf = vec![0; BUFFER_BYTES];
    loop {
        ctx.cancel.check()?;
        let n = match from.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::io("read blob", expected.to_string())(e)),
        };
        to.write_all(&buf[..n]).map_err(Error::io("write blob", expected.to_string()))?;
        ctx.bytes_done(n as u64);
        item.advance(n as u64);
    }
    if Hashing::bytes(&from) != size {
        return Err(Error::Size { what, digest: expected, expected: size, actual: Hashing::bytes(&from) });
    }
    let actual = Digest::new(from.finish().1);
    if actual != expected {
        return Err(Error::Mismatch { what, expected, actual });
    }
    to.finish(&expected, size)?;
    ctx.object_done(0);
    item.done();
    Ok(())
}

impl Copied {
    /// The counts before anything was copied of the image with this manifest.
    pub(super) fn nothing(manifest: Digest) -> Self {
        Self { manifest, sent: 0, sent_bytes: 0, reused: 0, signatures_lost: 0 }
    }

    /// Counts blobs that were copied besides.
    pub(super) fn add(&mut self, more: &Self) {
        self.sent += more.sent;
        self.sent_bytes += more.sent_bytes;
        self.reused += more.reused;
    }
}

/// Converts a manifest to `format`: with OCI's media types, the image's configuration stays the document that it is.
pub(super) fn in_format(
    format: ManifestFormat,
    raw: RawManifest,
    mut manifest: ImageManifest,
) -> Result<RawManifest> {
    if format == ManifestFormat::AsItIs || raw.media_type.as_ref() != DOCKER_MANIFEST {
        return Ok(raw);
    }
    manifest.set_media_type(Some(MediaType::ImageManifest));
    manifest.set_config(oci_descriptor(manifest.config()));
    manifest.set_layers(manifest.layers().iter().map(oci_descriptor).collect());
    let bytes = canonical_json(&manifest)?;
    let digest = Digest::of(&bytes);
    Ok(RawManifest { bytes, media_type: MediaType::ImageManifest, digest })
}

/// What an OCI manifest says of a blob that docker's may name: the blob is the same.
pub(in crate::container) fn oci_descriptor(descriptor: &Descriptor) -> Descriptor {
    let media_type = match descriptor.media_type().as_ref() {
        DOCKER_CONFIG => MediaType::ImageConfig,
        DOCKER_LAYER => MediaType::ImageLayer,
        DOCKER_LAYER_GZIP => MediaType::ImageLayerGzip,
        DOCKER_LAYER_ZSTD => MediaType::ImageLayerZstd,
        other => MediaType::from(other),
    };
    let mut out = descriptor.clone();
    out.set_media_type(media_type);
    out
}
