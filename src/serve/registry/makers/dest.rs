//! Destinations of images that nobody stores: the shelf, as far as there is room, and memory for documents.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oci_spec::image::{ImageManifest, Platform};

use crate::container::image::{BlobWriter, Digest, Error, ImageDest, RawManifest, Result};
use crate::serve::shelf::{Key, Maker, Shelf};

/// A blob of so many bytes is kept until it is known whether it is the configuration.
const MAX_CONFIG_BYTES: usize = 1 << 20;

/// An image that is made for the first time.
pub(super) struct Fresh<'s> {
    shelf: &'s Arc<Shelf>,
    made: Mutex<MadeSoFar>,
}

#[derive(Default)]
struct MadeSoFar {
    small: HashMap<Digest, Vec<u8>>,
    manifest: Option<RawManifest>,
}

/// The documents of an image.
pub(super) struct Documents {
    /// The manifest as it is sent.
    pub(super) bytes: Vec<u8>,
    /// The digest of the manifest.
    pub(super) digest: Digest,
    /// What the manifest says.
    pub(super) manifest: ImageManifest,
    /// The configuration as it is sent.
    pub(super) config: Vec<u8>,
}

impl<'s> Fresh<'s> {
    pub(super) fn new(shelf: &'s Arc<Shelf>) -> Self {
        Self { shelf, made: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, MadeSoFar> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was made, once it is all there.
    pub(super) fn finish(self) -> Result<Documents> {
        let mut made = self.made.into_inner().unwrap_or_else(PoisonError::into_inner);
        let manifest = made.manifest.ok_or_else(|| Error::Image("no manifest was written".into()))?;
        let parsed: ImageManifest = serde_json::from_slice(&manifest.bytes)
            .map_err(|source| Error::Json { what: "manifest".into(), source })?;
        let config = Digest::of_descriptor(parsed.config())?;
        let config = made.small.remove(&config).ok_or(Error::BlobNotFound(config))?;
        Ok(Documents { bytes: manifest.bytes, digest: manifest.digest, manifest: parsed, config })
    }
}

impl ImageDest for Fresh<'_> {
    fn has_blob(&self, _: &Digest) -> Result<bool> {
        Ok(false)
    }

    fn new_blob(&self) -> Result<Box<dyn BlobWriter + '_>> {
        let maker = self.shelf.begin().map_err(|source| Error::Io {
            op: "create",
            path: "temporary file".into(),
            source,
        })?;
        Ok(Box::new(FreshBlob { dest: self, maker, start: Some(Vec::new()) }))
    }

    fn put_manifest(&self, manifest: &RawManifest, _: Option<&Platform>) -> Result<()> {
        self.lock().manifest = Some(manifest.clone());
        Ok(())
    }
}

struct FreshBlob<'f, 's> {
    dest: &'f Fresh<'s>,
    /// Where it goes, if there is room.
    maker: Option<Maker>,
    /// All of it, as long as it may be the configuration.
    start: Option<Vec<u8>>,
}

impl Write for FreshBlob<'_, '_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match &mut self.start {
            Some(start) if start.len() + buffer.len() <= MAX_CONFIG_BYTES => start.extend_from_slice(buffer),
            start => *start = None,
        }
        if let Some(maker) = &mut self.maker
            && (maker.is_too_large() || maker.write_all(buffer).is_err())
        {
            // It can be made again.
            self.maker = None;
        }
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for FreshBlob<'_, '_> {
    fn finish(self: Box<Self>, digest: &Digest, _: u64) -> Result<()> {
        if let Some(maker) = self.maker {
            maker.finish_as(Key::Layer(*digest));
        }
        if let Some(bytes) = self.start {
            self.dest.lock().small.insert(*digest, bytes);
        }
        Ok(())
    }
}

/// A layer that is made again.
pub(super) struct Again {
    expected: Digest,
    maker: Mutex<Option<Maker>>,
}

impl Again {
    pub(super) fn new(expected: Digest, maker: Maker) -> Self {
        Self { expected, maker: Mutex::new(Some(maker)) }
    }
}

impl ImageDest for Again {
    fn has_blob(&self, _: &Digest) -> Result<bool> {
        Ok(false)
    }

    fn new_blob(&self) -> Result<Box<dyn BlobWriter + '_>> {
        let maker = self.maker.lock().unwrap_or_else(PoisonError::into_inner).take();
        let maker = maker.ok_or_else(|| Error::Usage("one layer is made at a time".into()))?;
        Ok(Box::new(BlobAgain { expected: self.expected, maker }))
    }

    fn put_manifest(&self, _: &RawManifest, _: Option<&Platform>) -> Result<()> {
        Err(Error::Unsupported("a layer alone has no manifest".into()))
    }
}

struct BlobAgain {
    expected: Digest,
    maker: Maker,
}

impl Write for BlobAgain {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.maker.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for BlobAgain {
    fn finish(self: Box<Self>, digest: &Digest, _: u64) -> Result<()> {
        match *digest == self.expected {
            true => {
                self.maker.finish();
                Ok(())
            }
            false => Err(Error::Mismatch { what: "layer", expected: self.expected, actual: *digest }),
        }
    }
}
