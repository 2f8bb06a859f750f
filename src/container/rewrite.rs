//! An image with other layers, of which everything else stays: history, labels, what containers run.
//!
//! ```text
//! config      diffids; the label ostree.final-diffid
//! manifest    layers, config; the annotation of that name
//! ```

use std::collections::HashMap;

use oci_spec::image::{Descriptor, MediaType};

use super::digest::{DiffId, Digest};
use super::error::Result;
use super::image::{ImageDest, RawManifest, canonical_json, put_json};
use super::labels::FINAL_DIFFID;
use super::plan::Image;

/// Stores `image` with `layers` in place of its own, as many; their blobs are there already. Returns the
/// digest of its manifest.
pub(super) fn put_with_layers(
    dest: &dyn ImageDest,
    image: &Image,
    layers: Vec<(Descriptor, DiffId)>,
) -> Result<Digest> {
    let plan = image.plan()?;
    // The last layer that is the commit's.
    let last = plan.ostree.and_then(|_| layers.get(plan.chunks.len())).map(|(_, diff_id)| *diff_id);
    let relabel = |mut labels: HashMap<String, String>| {
        if let (Some(label), Some(last)) = (labels.get_mut(FINAL_DIFFID), last) {
            *label = last.to_string();
        }
        labels
    };
    let (mut manifest, mut config) = (image.manifest.clone(), image.config.clone());
    let mut rootfs = config.rootfs().clone();
    rootfs.set_diff_ids(layers.iter().map(|(_, diff_id)| diff_id.to_string()).collect());
    config.set_rootfs(rootfs);
    if let Some(mut container) = config.config().clone() {
        container.set_labels(container.labels().clone().map(relabel));
        config.set_config(Some(container));
    }
    manifest.set_annotations(manifest.annotations().clone().map(relabel));
    manifest.set_layers(layers.into_iter().map(|(descriptor, _)| descriptor).collect());
    manifest.set_media_type(Some(MediaType::ImageManifest));
    manifest.set_config(put_json(dest, MediaType::ImageConfig, &config)?);
    let bytes = canonical_json(&manifest)?;
    let digest = Digest::of(&bytes);
    dest.put_manifest(&RawManifest { bytes, media_type: MediaType::ImageManifest, digest }, None)?;
    Ok(digest)
}
