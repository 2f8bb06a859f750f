//! Destinations of images: what a layout, an archive and a registry have in common.

use std::io::Write;
use std::num::NonZeroUsize;

use oci_spec::image as oci;
use serde::Serialize;

use super::compression::Compression;
use super::digest::Digest;
use super::error::{Error, Result};
use super::plan::Image;
use super::source::RawManifest;

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

    /// Blobs that may be written at the same time: as many as the caller likes, if nothing else is said.
    fn parallel_blobs(&self) -> NonZeroUsize {
        NonZeroUsize::MAX
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

    /// Stores the manifest of an artifact that refers to the image `subject`, so that whoever has the one finds the
    /// other: in registries among its referrers, elsewhere under the name that was given for it.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn put_referrer(&self, artifact: &RawManifest, _subject: &Digest) -> Result<()> {
        self.put_manifest(artifact, None)
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

/// Stores `value` as a blob of canonical JSON: sorted keys, no white space.
///
/// # Errors
/// [`Error::Io`].
pub fn put_json(
    dest: &(impl ImageDest + ?Sized),
    media_type: oci::MediaType,
    value: &impl Serialize,
) -> Result<oci::Descriptor> {
    put_document(dest, media_type, &canonical_json(value)?)
}

/// Stores a document as a blob, as it is.
pub(in crate::container) fn put_document(
    dest: &(impl ImageDest + ?Sized),
    media_type: oci::MediaType,
    bytes: &[u8],
) -> Result<oci::Descriptor> {
    let digest = Digest::of(bytes);
    if !dest.has_blob(&digest)? {
        let mut blob = dest.new_blob()?;
        blob.write_all(bytes).map_err(Error::io("write blob", digest.to_string()))?;
        blob.finish(&digest, bytes.len() as u64)?;
    }
    digest.descriptor(media_type, bytes.len() as u64)
}

/// JSON with sorted keys and no white space: the same value always gives the same bytes.
pub(in crate::container) fn canonical_json(value: &impl Serialize) -> Result<Vec<u8>> {
    // A `serde_json::Value` keeps its keys sorted; the hash maps of `oci-spec` do not.
    serde_json::to_value(value).and_then(|v| serde_json::to_vec(&v)).map_err(Error::json("JSON output"))
}
