//! A source that has one image, whatever index stands before it.

use std::io::Read;
use std::ops::Range;

use oci_spec::image::Descriptor;

use crate::container::image::{Digest, ImageSource, PlatformName, RawManifest, Result, UnpackedLayer, media};

/// A source whose manifest is that of one image.
pub struct OnePlatform<S> {
    source: S,
    platform: PlatformName,
}

impl<S: ImageSource> OnePlatform<S> {
    /// The image for `platform` in `source`.
    pub fn new(source: S, platform: PlatformName) -> Self {
        Self { source, platform }
    }
}

impl<S: ImageSource> ImageSource for OnePlatform<S> {
    fn manifest(&self) -> Result<RawManifest> {
        self.platform.resolve(&self.source, self.source.manifest()?)
    }

    fn manifest_of(&self, descriptor: &Descriptor) -> Result<RawManifest> {
        self.source.manifest_of(descriptor)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        self.source.blob(descriptor)
    }

    fn blob_part(&self, descriptor: &Descriptor, part: Range<u64>) -> Result<Option<Box<dyn Read + Send>>> {
        self.source.blob_part(descriptor, part)
    }

    fn blob_parts(&self, descriptor: &Descriptor, parts: &[Range<u64>]) -> Result<Option<Vec<Vec<u8>>>> {
        self.source.blob_parts(descriptor, parts)
    }

    fn file_part(&self, descriptor: &Descriptor, part: Range<u64>) -> Result<Option<Box<dyn Read + Send>>> {
        self.source.file_part(descriptor, part)
    }

    fn unpacked(&self, layer: &Descriptor) -> Result<Option<Box<dyn UnpackedLayer + '_>>> {
        self.source.unpacked(layer)
    }

    fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        self.source.referrers(subject)
    }

    fn tagged(&self, tag: &str) -> Result<Option<RawManifest>> {
        self.source.tagged(tag)
    }

    /// The signatures of the chosen image; those of an index are not its.
    fn signatures(&self) -> Result<Vec<Vec<u8>>> {
        match media::is_index(&self.source.manifest()?.media_type) {
            true => Ok(Vec::new()),
            false => self.source.signatures(),
        }
    }
}
