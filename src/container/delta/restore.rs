//! Makes the new image out of the old one and an artifact.
//!
//! ```text
//! layers of the new image: in the old image │ whole in the artifact ► copied, verified by digest
//!                          a delta in it ► apply ► compressed again, verified by diffid
//! ```
//! What is compressed again has the digest of the new image's layer if it was compressed by the same program; then the
//! manifest stays as it is. Else another one is written, with these layers.

use oci_spec::image::{Descriptor, MediaType};
use serde_json::{Value, json};

use super::apply::{ApplyLimits, apply};
use super::artifact::{Artifact, ArtifactLayer, copy_blob};
use super::create::by_diff_id;
use super::old::OldTree;
use crate::base::Ctx;
use crate::base::io::Spool;
use crate::container::blob::{WrittenLayer, compression_of, write_layer};
use crate::container::image::{
    Compression, Digest, Error, Image, ImageDest, ImageLayer, ImageSource, RawManifest, Result,
    canonical_json,
};

/// What became of a delta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The digest of the manifest that was written.
    pub manifest: Digest,
    /// Whether it is the manifest that the delta promises.
    pub as_promised: bool,
    /// The bytes of tar streams that deltas made.
    pub tar_bytes: u64,
}

/// Writes the new image to `dest`. Blobs that were finished stay there after an error, but no name leads to them.
///
/// # Errors
/// What the three say; [`Error::Usage`] if `old` is not the image that the delta begins with; [`Error::Delta`] if it is
/// damaged, [`Error::DiffIdMismatch`] if something else comes out than was promised; [`Error::Cancelled`].
pub fn restore(
    artifact: (&Artifact, &dyn ImageSource),
    old: (&Image, &dyn ImageSource),
    dest: &dyn ImageDest,
    spool: &Spool<'_>,
    ctx: &Ctx,
) -> Result<Restored> {
    let (delta, delta_source) = artifact;
    let config = Digest::of_descriptor(old.0.manifest.config())?;
    if config != delta.source_config {
        let why = format!(
            "the delta begins with the image whose configuration is {}, and {} has {config}",
            delta.source_config, old.0.digest
        );
        return Err(Error::Usage(why));
    }
    let there = by_diff_id(old.0.layers()?);
    let tree = OldTree::of_image(old.0, old.1, spool, ctx)?;
    let mut restorer = Restorer { delta, delta_source, tree, dest, tar_bytes: 0, ctx };
    let mut layers = Vec::new();
    for layer in delta.image.layers()? {
        layers.push(match there.get(&layer.diff_id) {
            Some(same) => {
                copy_blob(old.1, &same.descriptor, dest, ctx)?;
                same.descriptor.clone()
            }
            None => restorer.layer(&layer)?,
        });
    }
    let tar_bytes = restorer.tar_bytes;
    copy_blob(delta_source, delta.image.manifest.config(), dest, ctx)?;
    let raw = manifest(delta, &layers)?;
    dest.put_manifest(&raw, None)?;
    Ok(Restored { manifest: raw.digest, as_promised: raw.digest == delta.target, tar_bytes })
}

struct Restorer<'a> {
    delta: &'a Artifact,
    delta_source: &'a dyn ImageSource,
    tree: OldTree,
    dest: &'a dyn ImageDest,
    tar_bytes: u64,
    ctx: &'a Ctx,
}

impl Restorer<'_> {
    /// Writes a layer that the old image lacks.
    fn layer(&mut self, layer: &ImageLayer) -> Result<Descriptor> {
        let digest = Digest::of_descriptor(&layer.descriptor)?;
        let found = self.delta.layers.iter().find(|found| found.to == digest);
        let found = found
            .ok_or_else(|| Error::Image(format!("neither the old image nor the delta has layer {digest}")))?;
        if !found.is_delta() {
            copy_blob(self.delta_source, &layer.descriptor, self.dest, self.ctx)?;
            return Ok(layer.descriptor.clone());
        }
        let compression = compression_of(&layer.descriptor)?;
        let written = self.apply(found, compression)?;
        if written.diff_id != layer.diff_id {
            let (expected, actual) = (layer.diff_id, written.diff_id);
            return Err(Error::DiffIdMismatch { layer: digest, expected, actual });
        }
        self.tar_bytes += written.tar_bytes;
        match written.digest == digest {
            true => Ok(layer.descriptor.clone()),
            false => written.descriptor(compression),
        }
    }

    fn apply(&self, delta: &ArtifactLayer, compression: Compression) -> Result<WrittenLayer> {
        let limits = ApplyLimits::default();
        let (_, written) = write_layer(self.dest, compression, self.ctx, |out| {
            let stream = self.delta_source.blob(&delta.descriptor)?;
            apply(stream, &self.tree, out, &limits, self.ctx)
        })?;
        Ok(written)
    }
}

/// The promised manifest, or one like it with layers that are compressed in another way.
fn manifest(delta: &Artifact, layers: &[Descriptor]) -> Result<RawManifest> {
    let promised = &delta.image;
    let media_type = promised.manifest.media_type().clone().unwrap_or(MediaType::ImageManifest);
    if layers == promised.manifest.layers() {
        let bytes = promised.documents.manifest.clone();
        return Ok(RawManifest { bytes, media_type, digest: promised.digest });
    }
    let what = || Error::json(format!("manifest {}", promised.digest));
    let mut document: Value = serde_json::from_slice(&promised.documents.manifest).map_err(what())?;
    document["layers"] = json!(layers);
    let bytes = canonical_json(&document)?;
    let digest = Digest::of(&bytes);
    Ok(RawManifest { bytes, media_type, digest })
}
