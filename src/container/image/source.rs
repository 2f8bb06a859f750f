//! Sources of images: what a layout, an archive and a registry have in common.
//!
//! ```text
//! manifest() ──► index? ──by digest──► manifest ──► config, layers (blobs, by digest)
//! ```

use std::io::Read;
use std::ops::Range;

use oci_spec::image as oci;
use serde::de::DeserializeOwned;

use super::digest::Digest;
use super::error::{Error, Result};
use super::media;
use super::unpacked::UnpackedLayer;
use crate::base::debug_fields;

/// The largest size of manifests, indexes and configurations in bytes; podman and skopeo have this limit, too.
pub const MAX_JSON_BYTES: u64 = 4 * 1024 * 1024;

/// A manifest or index as its bytes, which its digest is made of.
#[derive(Clone)]
pub struct RawManifest {
    /// The document.
    pub bytes: Vec<u8>,
    /// The media type: the kind of document that the manifest is.
    pub media_type: oci::MediaType,
    /// The digest of the bytes.
    pub digest: Digest,
}

debug_fields!(RawManifest { media_type, digest });

impl RawManifest {
    /// The document that a descriptor names and whose bytes have been verified. What kind it is the descriptor says, or
    /// else the document.
    pub(in crate::container) fn named_by(descriptor: &oci::Descriptor, bytes: Vec<u8>) -> Result<Self> {
        match descriptor.media_type().as_ref() {
            "" => media::manifest(bytes, None),
            _ => {
                let (media_type, digest) =
                    (descriptor.media_type().clone(), Digest::of_descriptor(descriptor)?);
                Ok(Self { bytes, media_type, digest })
            }
        }
    }
}

/// One image in a layout, archive or registry, to be read.
pub trait ImageSource: Send + Sync {
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
        RawManifest::named_by(descriptor, read_verified(self, "manifest", descriptor)?)
    }

    /// The blob that a descriptor names, from its start. Nothing is verified: see [`read_json`] and
    /// [`read_layer`](crate::container::blob::read_layer).
    ///
    /// # Errors
    /// [`Error::BlobNotFound`], [`Error::Io`].
    fn blob(&self, descriptor: &oci::Descriptor) -> Result<Box<dyn Read + Send>>;

    /// The bytes `part` of the blob that a descriptor names; `None` if this source gives whole blobs only. Nothing is
    /// verified.
    ///
    /// # Errors
    /// As [`ImageSource::blob`].
    fn blob_part(
        &self,
        _descriptor: &oci::Descriptor,
        _part: Range<u64>,
    ) -> Result<Option<Box<dyn Read + Send>>> {
        Ok(None)
    }

    /// The bytes of several `parts` of a blob, in their order, asked for at once; `None` if this source gives one part at a
    /// time. All of them are in memory. Nothing is verified.
    ///
    /// # Errors
    /// As [`ImageSource::blob`].
    fn blob_parts(
        &self,
        _descriptor: &oci::Descriptor,
        _parts: &[Range<u64>],
    ) -> Result<Option<Vec<Vec<u8>>>> {
        Ok(None)
    }

    /// The bytes `part` of a blob that lies in a file of this machine; `None` if the blob lies elsewhere, or in no file of
    /// its own bytes. For who looks at an image: who pulls from a file reads all of it. Nothing is verified.
    ///
    /// # Errors
    /// As [`ImageSource::blob`].
    fn file_part(
        &self,
        _descriptor: &oci::Descriptor,
        _part: Range<u64>,
    ) -> Result<Option<Box<dyn Read + Send>>> {
        Ok(None)
    }

    /// The layer with this descriptor, if its place keeps it as files: then the layer has no [`blob`](ImageSource::blob).
    ///
    /// # Errors
    /// [`Error::StoredLayer`], [`Error::Io`].
    fn unpacked(&self, _layer: &oci::Descriptor) -> Result<Option<Box<dyn UnpackedLayer + '_>>> {
        Ok(None)
    }

    /// What refers to the image with the manifest `subject`, as the place of this one lists it; nothing where there are no
    /// such lists. Nothing is verified.
    ///
    /// # Errors
    /// [`Error::Json`]; what the network gives.
    fn referrers(&self, _subject: &Digest) -> Result<Vec<oci::Descriptor>> {
        Ok(Vec::new())
    }

    /// What stands under another tag of the same place; `None` if nothing does, or the place has no tags.
    ///
    /// # Errors
    /// [`Error::TooLarge`]; what the network gives.
    fn tagged(&self, _tag: &str) -> Result<Option<RawManifest>> {
        Ok(None)
    }

    /// The signatures of the manifest that are kept beside it, as they are; nothing is verified.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn signatures(&self) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }
}

/// Every method of an [`ImageSource`] but `manifest` and `signatures`, each asked of another source: a wrapper that left one
/// to its default would hide what the other can do.
macro_rules! ask_another {
    ($self:ident, $other:expr) => {
        fn manifest_of(
            &$self,
            descriptor: &oci_spec::image::Descriptor,
        ) -> $crate::container::image::Result<$crate::container::image::RawManifest> {
            $other.manifest_of(descriptor)
        }

        fn blob(
            &$self,
            descriptor: &oci_spec::image::Descriptor,
        ) -> $crate::container::image::Result<Box<dyn std::io::Read + Send>> {
            $other.blob(descriptor)
        }

        fn blob_part(
            &$self,
            descriptor: &oci_spec::image::Descriptor,
            part: std::ops::Range<u64>,
        ) -> $crate::container::image::Result<Option<Box<dyn std::io::Read + Send>>> {
            $other.blob_part(descriptor, part)
        }

        fn blob_parts(
            &$self,
            descriptor: &oci_spec::image::Descriptor,
            parts: &[std::ops::Range<u64>],
        ) -> $crate::container::image::Result<Option<Vec<Vec<u8>>>> {
            $other.blob_parts(descriptor, parts)
        }

        fn file_part(
            &$self,
            descriptor: &oci_spec::image::Descriptor,
            part: std::ops::Range<u64>,
        ) -> $crate::container::image::Result<Option<Box<dyn std::io::Read + Send>>> {
            $other.file_part(descriptor, part)
        }

        fn unpacked(
            &$self,
            layer: &oci_spec::image::Descriptor,
        ) -> $crate::container::image::Result<Option<Box<dyn $crate::container::image::UnpackedLayer + '_>>> {
            $other.unpacked(layer)
        }

        fn referrers(
            &$self,
            subject: &$crate::container::image::Digest,
        ) -> $crate::container::image::Result<Vec<oci_spec::image::Descriptor>> {
            $other.referrers(subject)
        }

        fn tagged(
            &$self,
            tag: &str,
        ) -> $crate::container::image::Result<Option<$crate::container::image::RawManifest>> {
            $other.tagged(tag)
        }
    };
}
pub(in crate::container) use ask_another;

impl<S: ImageSource + ?Sized> ImageSource for &S {
    ask_another!(self, **self);

    fn manifest(&self) -> Result<RawManifest> {
        (**self).manifest()
    }

    fn signatures(&self) -> Result<Vec<Vec<u8>>> {
        (**self).signatures()
    }
}

impl<S: ImageSource + ?Sized> ImageSource for Box<S> {
    ask_another!(self, **self);

    fn manifest(&self) -> Result<RawManifest> {
        (**self).manifest()
    }

    fn signatures(&self) -> Result<Vec<Vec<u8>>> {
        (**self).signatures()
    }
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

/// The whole document that a descriptor names.
pub(in crate::container) fn read_verified(
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
