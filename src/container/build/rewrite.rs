//! An image with other layers, of which everything else stays: history, labels, what containers run.
//!
//! ```text
//! config      diffids; the label ostree.final-diffid
//! manifest    layers, config; the annotation of that name
//! ```
//! The documents are changed as they are, so that what others wrote into them stays, too.

use oci_spec::image::{Descriptor, MediaType};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::container::image::{
    DiffId, Digest, Error, FINAL_DIFFID, Image, ImageDest, RawManifest, Result, canonical_json, put_json,
};

/// Stores `image` with `layers` in place of its own, as many; their blobs are there already. Returns the
/// digest of its manifest.
pub(in crate::container) fn put_with_layers(
    dest: &dyn ImageDest,
    image: &Image,
    layers: Vec<(Descriptor, DiffId)>,
) -> Result<Digest> {
    let plan = image.plan()?;
    // The last layer that is the commit's.
    let last =
        plan.layers_of_commit().checked_sub(1).and_then(|last| layers.get(last)).map(|(_, diff_id)| *diff_id);
    let (diff_ids, descriptors): (Vec<_>, Vec<_>) =
        layers.into_iter().map(|(descriptor, diff_id)| (diff_id.to_string(), descriptor)).unzip();
    let mut config = object("config", &image.documents.config)?;
    if let Value::Object(rootfs) = config.entry("rootfs").or_insert_with(|| json!({"type": "layers"})) {
        rootfs.insert("diff_ids".to_owned(), value(&diff_ids)?);
    }
    relabel(config.get_mut("config").and_then(|container| container.get_mut("Labels")), last);
    let mut manifest = object("manifest", &image.documents.manifest)?;
    relabel(manifest.get_mut("annotations"), last);
    manifest.insert("layers".to_owned(), value(&descriptors)?);
    manifest.insert("mediaType".to_owned(), value(&MediaType::ImageManifest)?);
    manifest.insert("config".to_owned(), value(&put_json(dest, MediaType::ImageConfig, &config)?)?);
    let bytes = canonical_json(&manifest)?;
    let digest = Digest::of(&bytes);
    dest.put_manifest(&RawManifest { bytes, media_type: MediaType::ImageManifest, digest }, None)?;
    Ok(digest)
}

/// Puts the last diffid where there was one.
fn relabel(labels: Option<&mut Value>, last: Option<DiffId>) {
    if let (Some(label), Some(last)) = (labels.and_then(|labels| labels.get_mut(FINAL_DIFFID)), last) {
        *label = last.to_string().into();
    }
}

fn object(what: &str, bytes: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(bytes).map_err(Error::json(what))
}

fn value(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(Error::json("JSON output"))
}
