//! Layers that need not be made and sent again, since an image from before has them.
//!
//! ```text
//! tar stream ─ SHA-256 ─► diffid ─► (digest, size)?  and the destination has that blob: done
//! ```
//! Hashing is some 30 times as fast as compressing. That a diffid and a digest belong together is what the
//! image from before says; whoever pulls the new one verifies it.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use oci_spec::image::Arch;

use super::chunked;
use super::compress::WrittenLayer;
use super::layer_format::LayerFormat;
use crate::base::io::Hashing;
use crate::container::image::{Compression, DiffId, Digest, Error, Image, ImageDest, ImageSource, Result};

/// The blobs of layers by their diffids.
#[derive(Debug, Default)]
pub(in crate::container) struct KnownLayers(HashMap<DiffId, Vec<Known>>);

#[derive(Debug)]
struct Known {
    digest: Digest,
    size_bytes: u64,
    /// Where its table of files is, if it has one.
    annotations: BTreeMap<String, String>,
}

impl KnownLayers {
    /// Adds the layers of `image` that are compressed in this way.
    pub(in crate::container) fn add(&mut self, image: &Image, compression: Compression) {
        let wanted = LayerFormat::of(&compression.media_type()).ok();
        // What cannot be read is no layer of ours.
        for layer in image.layers().unwrap_or_default() {
            let format = LayerFormat::of(layer.descriptor.media_type()).ok();
            let annotations = chunked::annotations_of(&layer.descriptor);
            let same = format == wanted && annotations.is_empty() != compression.is_chunked();
            if let (true, Ok(digest)) = (same, Digest::of_descriptor(&layer.descriptor)) {
                let size_bytes = layer.descriptor.size();
                let known = Known { digest, size_bytes, annotations };
                self.0.entry(layer.diff_id).or_default().push(known);
            }
        }
    }

    pub(in crate::container) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The layer with what `produce` writes, if it is known and `dest` has it.
    pub(in crate::container) fn find(
        &self,
        dest: &dyn ImageDest,
        produce: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<Option<WrittenLayer>> {
        let mut hashing = Hashing::new(io::sink());
        produce(&mut hashing)?;
        let tar_bytes = hashing.bytes();
        let diff_id = DiffId::new(hashing.finish().1);
        for Known { digest, size_bytes, annotations } in self.0.get(&diff_id).into_iter().flatten() {
            if dest.has_blob(digest)? {
                return Ok(Some(WrittenLayer {
                    digest: *digest,
                    size_bytes: *size_bytes,
                    diff_id,
                    tar_bytes,
                    annotations: annotations.clone(),
                }));
            }
        }
        Ok(None)
    }
}

/// The image that `source` has now. Whatever is wrong with it, it is only not of use then.
pub(in crate::container) fn current(source: &dyn ImageSource, architecture: &Arch) -> Result<Option<Image>> {
    match Image::fetch(source, architecture) {
        Ok(image) => Ok(Some(image)),
        Err(Error::Cancelled(cancelled)) => Err(cancelled.into()),
        Err(_) => Ok(None),
    }
}
