//! An image on disk whose errors say where it lies.

use std::io::{Read, Write};
use std::ops::Range;

use oci_spec::image::Descriptor;

use crate::base::debug_fields;
use crate::container::image::{Digest, EntryVisitor, Error, ImageSource, RawManifest, Result, UnpackedLayer};

/// A source that was opened by a name, which stands before every error of it: files of a layout have the same
/// names everywhere.
pub struct Located<S> {
    source: S,
    place: String,
}

debug_fields!(Located<S> { place });

impl<S: ImageSource> Located<S> {
    /// `source`, which people call `place`.
    pub fn new(source: S, place: impl Into<String>) -> Self {
        Self { source, place: place.into() }
    }

    fn at<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|source| Error::Source { place: self.place.clone(), source: Box::new(source) })
    }
}

impl<S: ImageSource> ImageSource for Located<S> {
    fn manifest(&self) -> Result<RawManifest> {
        self.at(self.source.manifest())
    }

    fn manifest_of(&self, descriptor: &Descriptor) -> Result<RawManifest> {
        self.at(self.source.manifest_of(descriptor))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        self.at(self.source.blob(descriptor))
    }

    fn blob_part(&self, descriptor: &Descriptor, part: Range<u64>) -> Result<Option<Box<dyn Read + Send>>> {
        self.at(self.source.blob_part(descriptor, part))
    }

    fn blob_parts(&self, descriptor: &Descriptor, parts: &[Range<u64>]) -> Result<Option<Vec<Vec<u8>>>> {
        self.at(self.source.blob_parts(descriptor, parts))
    }

    fn file_part(&self, descriptor: &Descriptor, part: Range<u64>) -> Result<Option<Box<dyn Read + Send>>> {
        self.at(self.source.file_part(descriptor, part))
    }

    fn unpacked(&self, layer: &Descriptor) -> Result<Option<Box<dyn UnpackedLayer + '_>>> {
        let inner = self.at(self.source.unpacked(layer))?;
        Ok(inner.map(|inner| Box::new(LocatedLayer { inner, place: &self.place }) as _))
    }

    fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        self.at(self.source.referrers(subject))
    }

    fn tagged(&self, tag: &str) -> Result<Option<RawManifest>> {
        self.at(self.source.tagged(tag))
    }

    fn signatures(&self) -> Result<Vec<Vec<u8>>> {
        self.at(self.source.signatures())
    }
}

/// A layer of such a source.
struct LocatedLayer<'a> {
    inner: Box<dyn UnpackedLayer + 'a>,
    place: &'a str,
}

impl LocatedLayer<'_> {
    /// Puts the name before errors of the layer; those of whoever takes the stream are not its affair.
    fn at(&self, result: Result<()>) -> Result<()> {
        result.map_err(|error| match error {
            error @ Error::StoredLayer { .. } => {
                Error::Source { place: self.place.to_owned(), source: Box::new(error) }
            }
            error => error,
        })
    }
}

impl UnpackedLayer for LocatedLayer<'_> {
    fn write(&self, visitor: &mut dyn EntryVisitor, out: &mut dyn Write) -> Result<()> {
        self.at(self.inner.write(visitor, out))
    }

    fn check(&self) -> Result<()> {
        self.at(self.inner.check())
    }
}
