//! Gives an image other detached metadata of its commit, such as a signature that was made later.
//!
//! ```text
//! layer 0      the same stream with another .commitmeta
//! others       as they are
//! config       the new diffid: see `rewrite`
//! ```
//! Source: ostree-ext container/update_detachedmeta.rs.

use oci_spec::image::Descriptor;

use super::rewrite::put_with_layers;
use crate::base::Ctx;
use crate::container::blob::{LayerFormat, chunked, read_layer, write_layer};
use crate::container::image::{Compression, Digest, Error, Image, ImageDest, ImageSource, Result};
use crate::container::place::copy_blobs;
use crate::tar::replace_detached;

/// Copies the image of `source` to `dest`, with `metadata`, a serialized `a{sv}`, as the detached metadata of
/// its commit; without it there is none. Returns the digest of the new manifest.
///
/// # Errors
/// [`Error::Unsupported`] if there is no commit in the image; [`Error::Tar`] if `metadata` is no dictionary;
/// what the two places say.
pub fn replace_detached_metadata(
    source: &dyn ImageSource,
    dest: &dyn ImageDest,
    metadata: Option<&[u8]>,
    ctx: &Ctx,
) -> Result<Digest> {
    let image = Image::fetch(source, &Default::default())?;
    let no_commit = || Error::Unsupported(format!("image {} holds no ostree commit", image.digest));
    let layer = image.plan()?.commit_layer().cloned().ok_or_else(no_commit)?;
    let was_chunked = !chunked::annotations_of(&layer.descriptor).is_empty();
    let compression = match LayerFormat::of(layer.descriptor.media_type())? {
        LayerFormat::Tar => Compression::None,
        LayerFormat::Gzip | LayerFormat::Bzip2 | LayerFormat::Xz => Compression::GZIP,
        LayerFormat::Zstd if was_chunked => Compression::ZSTD_CHUNKED,
        LayerFormat::Zstd => Compression::ZSTD,
    };
    let others: Vec<&Descriptor> = image.manifest.layers().iter().skip(1).collect();
    copy_blobs(source, dest, &others, ctx)?;
    let (_, mut written) = write_layer(dest, compression, ctx, |out| {
        read_layer(source, &layer.descriptor, &layer.diff_id, ctx, |stream| {
            replace_detached(stream, out, metadata).map_err(Error::from)
        })
    })?;
    // Names of components and the like stay; where the table of a layer is changed with it.
    for (key, value) in layer.descriptor.annotations().iter().flatten() {
        written.annotations.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let first = (written.descriptor(compression)?, written.diff_id);
    let others = image.layers()?.into_iter().skip(1).map(|layer| (layer.descriptor, layer.diff_id));
    put_with_layers(dest, &image, std::iter::once(first).chain(others).collect())
}
