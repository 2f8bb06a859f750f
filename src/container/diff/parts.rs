//! A source of which parts are read, also where the image lies in files of this machine; counts what came.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use oci_spec::image::Descriptor;

use crate::container::image::{ImageSource, RawManifest, Result, UnpackedLayer};

/// A source that counts the bytes of blobs that are read of it.
pub(super) struct Parts<'a> {
    source: &'a dyn ImageSource,
    bytes: Arc<AtomicU64>,
}

impl<'a> Parts<'a> {
    pub(super) fn new(source: &'a dyn ImageSource, bytes: &Arc<AtomicU64>) -> Self {
        Self { source, bytes: Arc::clone(bytes) }
    }

    /// A second reader of this source, counted by the number of the first.
    pub(super) fn again(&self) -> Self {
        Self::new(self.source, &self.bytes)
    }

    fn counted(&self, inner: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        Box::new(Counted { inner, bytes: Arc::clone(&self.bytes) })
    }
}

impl ImageSource for Parts<'_> {
    fn manifest(&self) -> Result<RawManifest> {
        self.source.manifest()
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        Ok(self.counted(self.source.blob(descriptor)?))
    }

    fn unpacked(&self, layer: &Descriptor) -> Result<Option<Box<dyn UnpackedLayer + '_>>> {
        self.source.unpacked(layer)
    }

    fn blob_part(&self, descriptor: &Descriptor, part: Range<u64>) -> Result<Option<Box<dyn Read + Send>>> {
        let found = match self.source.file_part(descriptor, part.clone())? {
            Some(file) => Some(file),
            None => self.source.blob_part(descriptor, part)?,
        };
        Ok(found.map(|found| self.counted(found)))
    }

    fn blob_parts(&self, descriptor: &Descriptor, parts: &[Range<u64>]) -> Result<Option<Vec<Vec<u8>>>> {
        let found = self.source.blob_parts(descriptor, parts)?;
        let bytes = found.iter().flatten().map(|part| part.len() as u64).sum();
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(found)
    }
}

struct Counted {
    inner: Box<dyn Read + Send>,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}
