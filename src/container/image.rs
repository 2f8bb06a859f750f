//! Where images come from and where they go to: what a layout, an archive and a registry have in common.
//!
//! ```text
//! manifest() ──► index? ──by digest──► manifest ──► config, layers (blobs, by digest)
//! ```

use std::io::{Read, Write};

use oci_spec::image as oci;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::compress::Compression;
use super::digest::Digest;
use super::error::{Error, Result};
use super::plan::Image;

/// Manifests, indexes and configurations may have so many bytes; podman and skopeo have the same limit.
pub const MAX_JSON_BYTES: u64 = 4 * 1024 * 1024;

/// A manifest or index as its bytes, which its digest is made of.
#[derive(Debug, Clone)]
pub struct RawManifest {
    /// The document.
    pub bytes: Vec<u8>,
    /// What kind of document it is.
    pub media_type: oci::MediaType,
    /// The digest of the bytes.
    pub digest: Digest,
}

/// One image in a layout, archive or registry, to be read.
pub trait ImageSource: Sync {
    /// The manifest, or index of manifests, that the image's name stands for.
    ///
    /// # Errors
    /// [`Error::TagNotFound`], [`Error::Ambiguous`], [`Error::Mismatch`], [`Error::Io`].
    fn manifest(&self) -> Result<RawManifest>;

    /// A manifest that an index names. Its digest and size are verified.
    ///
    /// # Errors
    /// [`Error::BlobNotFound`], [`Error::Mismatch`], [`Error::Size`], [`Error::Io`].
    fn manifest_of(&self, descriptor: &oci::Descriptor) -> Result<RawManifest> {
        let bytes = read_verified(self, "manifest", descriptor)?;
        let digest = Digest::of_descriptor(descriptor)?;
        Ok(RawManifest { bytes, media_type: descriptor.media_type().clone(), digest })
    }

    /// The blob that a descriptor names, from its start. Nothing is verified: see [`read_json`] and
    /// [`read_layer`](super::read_layer).
    ///
    /// # Errors
    /// [`Error::BlobNotFound`], [`Error::Io`].
    fn blob(&self, descriptor: &oci::Descriptor) -> Result<Box<dyn Read + Send>>;

    /// The signatures of the manifest that are kept beside it, as they are; nothing is verified.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn signatures(&self) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }
}

impl<S: ImageSource + ?Sized> ImageSource for &S {
    fn manifest(&self) -> Result<RawManifest> {
        (**self).manifest()
    }

    fn manifest_of(&self, descriptor: &oci::Descriptor) -> Result<RawManifest> {
        (**self).manifest_of(descriptor)
    }

    fn blob(&self, descriptor: &oci::Descriptor) -> Result<Box<dyn Read + Send>> {
        (**self).blob(descriptor)
    }

    fn signatures(&self) -> Result<Vec<Vec<u8>>> {
        (**self).signatures()
    }
}

impl<S: ImageSource + ?Sized> ImageSource for Box<S> {
    fn manifest(&self) -> Result<RawManifest> {
        (**self).manifest()
    }

    fn manifest_of(&self, descriptor: &oci::Descriptor) -> Result<RawManifest> {
        (**self).manifest_of(descriptor)
    }

    fn blob(&self, descriptor: &oci::Descriptor) -> Result<Box<dyn Read + Send>> {
        (**self).blob(descriptor)
    }

    fn signatures(&self) -> Result<Vec<Vec<u8>>> {
        (**self).signatures()
    }
}

/// One image in a layout, archive or registry, to be written: blobs first, the manifest last.
pub trait ImageDest: Sync {
    /// Whether a blob is there already.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn has_blob(&self, digest: &Digest) -> Result<bool>;

    /// Begins a blob whose size and digest are known only at its end.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Usage`] if this destination takes one blob at a time.
    fn new_blob(&self) -> Result<Box<dyn BlobWriter + '_>>;

    /// Blobs that may be written at the same time.
    fn parallel_blobs(&self) -> usize {
        3
    }

    /// How layers are compressed that are made for this destination, if `wanted` is asked for.
    fn compression(&self, wanted: Compression) -> Compression {
        wanted
    }

    /// The image for `architecture` that has this name now; `None` if there is none, or none that can be used.
    /// Its layers need not be made again.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    fn current(&self, _architecture: &oci::Arch) -> Result<Option<Image>> {
        Ok(None)
    }

    /// Stores a manifest under the image's name; all that it names is there already.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn put_manifest(&self, manifest: &RawManifest, platform: Option<&oci::Platform>) -> Result<()>;

    /// Stores a manifest that an index names, by its digest alone; the index comes later. All that it names is there
    /// already.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is no place for more than one image here; [`Error::Io`].
    fn put_instance(&self, manifest: &RawManifest) -> Result<()> {
        let why = format!(
            "image {} of an index cannot be written here, where there is room for one",
            manifest.digest
        );
        Err(Error::Unsupported(why))
    }

    /// Keeps signatures of the manifest that was just stored beside it; says whether that can be done here.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn put_signatures(&self, _signatures: &[Vec<u8>]) -> Result<bool> {
        Ok(false)
    }
}

/// A blob that is being written. Dropped before its end, it leaves nothing behind.
pub trait BlobWriter: Write + Send {
    /// Keeps what was written: `size` bytes with this digest.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn finish(self: Box<Self>, digest: &Digest, size: u64) -> Result<()>;
}

/// Reads the JSON document that a descriptor names, and verifies its size and digest.
///
/// # Errors
/// As [`ImageSource::manifest_of`]; [`Error::Json`].
pub fn read_json<T: DeserializeOwned>(
    source: &(impl ImageSource + ?Sized),
    what: &'static str,
    descriptor: &oci::Descriptor,
) -> Result<T> {
    let bytes = read_verified(source, what, descriptor)?;
    serde_json::from_slice(&bytes).map_err(Error::json(format!("{what} {}", descriptor.digest())))
}

/// Stores `value` as a blob of canonical JSON: sorted keys, no white space.
///
/// # Errors
/// [`Error::Io`].
pub fn put_json(
    dest: &(impl ImageDest + ?Sized),
    media_type: oci::MediaType,
    value: &impl Serialize,
) -> Result<oci::Descriptor> {
    let bytes = canonical_json(value)?;
    let digest = Digest::of(&bytes);
    if !dest.has_blob(&digest)? {
        let mut blob = dest.new_blob()?;
        blob.write_all(&bytes).map_err(Error::io("write blob", digest.to_string()))?;
        blob.finish(&digest, bytes.len() as u64)?;
    }
    digest.descriptor(media_type, bytes.len() as u64)
}

/// JSON with sorted keys and no white space: the same value always gives the same bytes.
pub(super) fn canonical_json(value: &impl Serialize) -> Result<Vec<u8>> {
    // A `serde_json::Value` keeps its keys sorted; the hash maps of `oci-spec` do not.
    serde_json::to_value(value).and_then(|v| serde_json::to_vec(&v)).map_err(Error::json("JSON output"))
}

/// The whole document that a descriptor names.
pub(super) fn read_verified(
    source: &(impl ImageSource + ?Sized),
    what: &'static str,
    descriptor: &oci::Descriptor,
) -> Result<Vec<u8>> {
    let expected = Digest::of_descriptor(descriptor)?;
    let size = descriptor.size();
    if size > MAX_JSON_BYTES {
        return Err(Error::TooLarge { what: format!("{what} {expected}"), limit: MAX_JSON_BYTES });
    }
    let mut bytes = Vec::new();
    let path = || expected.to_string();
    source.blob(descriptor)?.take(size + 1).read_to_end(&mut bytes).map_err(Error::io("read", path()))?;
    let actual = Digest::of(&bytes);
    if bytes.len() as u64 != size {
        return Err(Error::Size { what, digest: expected, expected: size, actual: bytes.len() as u64 });
    }
    if actual != expected {
        return Err(Error::Mismatch { what, expected, actual });
    }
    Ok(bytes)
}
