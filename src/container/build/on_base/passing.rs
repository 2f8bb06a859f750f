//! Layers of a base go to where the image goes while they are read: so they are fetched once.
//!
//! ```text
//! blob ─┬─► decompressed ► compared with the commit
//!       └─► destination, unless it has it, or mounts it from another repository     kept once the layer is verified
//! ```
//! What breaks off while it is sent is left to whoever copies what is missing at the destination in the end.

use std::collections::HashSet;
use std::io::{Read, Write as _};

use crate::base::{Ctx, WithCauses};
use crate::container::blob::read_layer_passing;
use crate::container::image::{BlobWriter, Digest, ImageDest, ImageLayer, ImageSource, Result};

/// The layers of a base on their way.
pub(super) struct Passing<'a> {
    source: &'a dyn ImageSource,
    dest: &'a dyn ImageDest,
    passed: Passed,
}

/// The layers that were sent while they were read.
#[derive(Default)]
pub(super) struct Passed {
    pub(super) blobs: HashSet<Digest>,
    pub(super) bytes: u64,
}

impl<'a> Passing<'a> {
    pub(super) fn new(source: &'a dyn ImageSource, dest: &'a dyn ImageDest) -> Self {
        Self { source, dest, passed: Passed::default() }
    }

    /// Lets `consume` read the tar stream of a layer, and verifies everything about it, as
    /// [`read_layer`](crate::container::blob::read_layer) does.
    pub(super) fn read_layer<T>(
        &mut self,
        layer: &ImageLayer,
        ctx: &Ctx,
        consume: impl FnOnce(&mut dyn Read) -> Result<T>,
    ) -> Result<T> {
        let ImageLayer { descriptor, diff_id } = layer;
        let digest = Digest::of_descriptor(descriptor)?;
        let mut blob = self.begin(layer, &digest)?;
        let mut pass = |bytes: &[u8]| {
            let sent = blob.as_mut().map_or(Ok(()), |blob| blob.write_all(bytes));
            if let Err(error) = sent {
                tracing::debug!(layer = %digest, error = %WithCauses(&error), "not sent while it is read");
                blob = None;
            }
        };
        let value = read_layer_passing(self.source, descriptor, diff_id, &mut pass, ctx, consume)?;
        let Some(blob) = blob else { return Ok(value) };
        match blob.finish(&digest, descriptor.size()) {
            Ok(()) => {
                self.passed.blobs.insert(digest);
                self.passed.bytes += descriptor.size();
            }
            Err(error) => {
                tracing::debug!(layer = %digest, error = %WithCauses(&error), "not sent while it was read")
            }
        }
        Ok(value)
    }

    /// Begins the blob of a layer that the destination lacks; none of one that lies somewhere as files.
    fn begin(&self, layer: &ImageLayer, digest: &Digest) -> Result<Option<Box<dyn BlobWriter + 'a>>> {
        let is_unpacked = self.source.unpacked(&layer.descriptor)?.is_some();
        match is_unpacked || self.dest.has_blob(digest)? {
            true => Ok(None),
            false => self.dest.new_blob().map(Some),
        }
    }

    pub(super) fn done(self) -> Passed {
        self.passed
    }
}
