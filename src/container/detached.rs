//! Gives an image other detached metadata of its commit, such as a signature that was made later.
//!
//! ```text
//! layer 0      the same stream with another .commitmeta
//! others       as they are
//! config       the new diffid, also in the label ostree.final-diffid if that is the only layer of the commit
//! manifest     the same with the new descriptors
//! ```
//! Source: ostree-ext container/update_detachedmeta.rs.

use std::collections::HashMap;

use oci_spec::image::{Descriptor, MediaType};

use super::chunked;
use super::compress::{Compression, write_layer};
use super::decompress::{LayerFormat, read_layer};
use super::digest::Digest;
use super::error::{Error, Result};
use super::image::{ImageDest, ImageSource, RawManifest, canonical_json, put_json};
use super::labels::FINAL_DIFFID;
use super::plan::Image;
use super::transport::copy_blobs;
use crate::base::Ctx;
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
    let layer = image.plan()?.ostree.ok_or_else(no_commit)?;
    let was_chunked = !chunked::annotations_of(&layer.descriptor).is_empty();
    let compression = match LayerFormat::of(layer.descriptor.media_type())? {
        LayerFormat::Tar => Compression::None,
        LayerFormat::Gzip => Compression::GZIP,
        LayerFormat::Zstd if was_chunked => Compression::ZSTD_CHUNKED,
        LayerFormat::Zstd => Compression::ZSTD,
    };
    let others: Vec<&Descriptor> = image.manifest.layers().iter().skip(1).collect();
    copy_blobs(source, dest, &others, ctx)?;
    let (_, written) = write_layer(dest, compression, ctx, |out| {
        read_layer(source, &layer.descriptor, &layer.diff_id, ctx, |stream| {
            replace_detached(stream, out, metadata).map_err(Error::from)
        })
    })?;
    let (mut manifest, mut config) = (image.manifest.clone(), image.config.clone());
    let (old, new) = (layer.diff_id.to_string(), written.diff_id.to_string());
    let mut rootfs = config.rootfs().clone();
    let mut diff_ids = rootfs.diff_ids().clone();
    diff_ids[0].clone_from(&new);
    rootfs.set_diff_ids(diff_ids);
    config.set_rootfs(rootfs);
    if let Some(mut container) = config.config().clone() {
        container.set_labels(container.labels().clone().map(|labels| relabeled(labels, &old, &new)));
        config.set_config(Some(container));
    }
    manifest.set_annotations(manifest.annotations().clone().map(|labels| relabeled(labels, &old, &new)));
    let mut descriptor = layer.descriptor.clone();
    let new = written.descriptor(compression)?;
    descriptor.set_media_type(new.media_type().clone());
    descriptor.set_digest(new.digest().clone());
    descriptor.set_size(new.size());
    let annotations = layer.descriptor.annotations().clone().unwrap_or_default();
    let annotations: HashMap<_, _> = annotations.into_iter().chain(written.annotations).collect();
    descriptor.set_annotations((!annotations.is_empty()).then_some(annotations));
    manifest.layers_mut()[0] = descriptor;
    manifest.set_media_type(Some(MediaType::ImageManifest));
    manifest.set_config(put_json(dest, MediaType::ImageConfig, &config)?);
    let bytes = canonical_json(&manifest)?;
    let digest = Digest::of(&bytes);
    dest.put_manifest(&RawManifest { bytes, media_type: MediaType::ImageManifest, digest }, None)?;
    Ok(digest)
}

/// The same with the new diffid, where the commit ended with the old.
fn relabeled(mut labels: HashMap<String, String>, old: &str, new: &str) -> HashMap<String, String> {
    if let Some(last) = labels.get_mut(FINAL_DIFFID).filter(|last| *last == old) {
        new.clone_into(last);
    }
    labels
}
