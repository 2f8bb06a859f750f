//! Copies layers that lie somewhere as files: they are compressed anew, as the manifest says of each.

use std::collections::HashSet;

use oci_spec::image::{Descriptor, ImageManifest};
use serde_json::{Value, json};

use super::copy::{Copied, copy_blobs};
use crate::base::{Ctx, Item};
use crate::container::blob::{compression_of, write_layer};
use crate::container::image::media::{DOCKER_MANIFEST, docker_layer};
use crate::container::image::{
    DiffId, Digest, Error, EveryEntry, Image, ImageDest, ImageSource, RawManifest, Result, canonical_json,
    lenient, read_verified,
};

/// Copies the layers of an image; gives the manifest that names what was written: the same one, if the layers come out as
/// they were, which they do if they are not compressed, or if this program has compressed them.
pub(super) fn copy_layers(
    source: &dyn ImageSource,
    dest: &dyn ImageDest,
    raw: RawManifest,
    manifest: &ImageManifest,
    copied: &mut Copied,
    ctx: &Ctx,
) -> Result<RawManifest> {
    let config = read_verified(source, "config", manifest.config())?;
    let config = lenient::configuration(&config, format!("config {}", manifest.config().digest()))?;
    let diff_ids = config.rootfs().diff_ids();
    let mut layers = write_all(source, dest, (manifest.layers(), diff_ids), copied, ctx)?;
    if layers.iter().zip(manifest.layers()).all(|(new, old)| new.digest() == old.digest()) {
        return Ok(raw);
    }
    if raw.media_type.as_ref() == DOCKER_MANIFEST {
        for layer in &mut layers {
            layer.set_media_type(docker_layer(layer.media_type()));
        }
    }
    let what = || Error::json(format!("manifest {}", raw.digest));
    let mut document: Value = serde_json::from_slice(&raw.bytes).map_err(what())?;
    document["layers"] = json!(layers);
    let bytes = canonical_json(&document)?;
    let digest = Digest::of(&bytes);
    Ok(RawManifest { bytes, media_type: raw.media_type, digest })
}

/// Copies the layers of an image wherever it lies, but for those in `there`, and without its manifest: gives the layers as
/// they are at `dest`. Where they lie as files they are compressed as the manifest says, and may come out with other digests.
pub(in crate::container) fn copy_base(
    source: &dyn ImageSource,
    dest: &dyn ImageDest,
    image: &Image,
    there: &HashSet<Digest>,
    ctx: &Ctx,
) -> Result<(Vec<Descriptor>, Copied)> {
    let layers = image.manifest.layers();
    let is_unpacked = match layers.first() {
        Some(layer) => source.unpacked(layer)?.is_some(),
        None => false,
    };
    if !is_unpacked {
        let mut missing = Vec::new();
        for layer in layers {
            if !there.contains(&Digest::of_descriptor(layer)?) {
                missing.push(layer);
            }
        }
        let copied = copy_blobs(source, dest, &missing, ctx)?;
        return Ok((layers.clone(), copied));
    }
    let mut copied = Copied::nothing(image.digest);
    let diff_ids = image.config.rootfs().diff_ids();
    let written = write_all(source, dest, (layers, diff_ids), &mut copied, ctx)?;
    Ok((written, copied))
}

/// Writes layers with these diffids, each unless it is there already.
fn write_all(
    source: &dyn ImageSource,
    dest: &dyn ImageDest,
    (layers, diff_ids): (&[Descriptor], &[String]),
    copied: &mut Copied,
    ctx: &Ctx,
) -> Result<Vec<Descriptor>> {
    ctx.phase("Copying layers", Some(layers.len() as u64), None);
    let each = layers.iter().zip(diff_ids).map(|(layer, text)| {
        let diff_id = text.parse().map_err(|source| Error::Reference { text: text.to_owned(), source })?;
        copy_layer(source, dest, layer, &diff_id, copied, ctx)
    });
    each.collect()
}

fn copy_layer(
    source: &dyn ImageSource,
    dest: &dyn ImageDest,
    layer: &Descriptor,
    expected: &DiffId,
    copied: &mut Copied,
    ctx: &Ctx,
) -> Result<Descriptor> {
    let digest = Digest::of_descriptor(layer)?;
    if dest.has_blob(&digest)? {
        copied.reused += 1;
        ctx.object_done(layer.size());
        Item::reused(ctx, digest.to_string(), layer.size());
        return Ok(layer.clone());
    }
    let missing = || Error::BlobNotFound(digest);
    let unpacked = source.unpacked(layer)?.ok_or_else(missing)?;
    let compression = compression_of(layer)?;
    let (_, written) = write_layer(dest, compression, ctx, |out| unpacked.write(&mut EveryEntry, out))?;
    if written.diff_id != *expected {
        unpacked.check()?;
        let (expected, actual) = (*expected, written.diff_id);
        return Err(Error::DiffIdMismatch { layer: digest, expected, actual });
    }
    ctx.object_done(0);
    copied.sent += 1;
    copied.sent_bytes += written.size_bytes;
    if written.digest == digest { Ok(layer.clone()) } else { written.descriptor(compression) }
}
