//! Copies an index with every image that it names.
//!
//! ```text
//! index ► each entry: manifest ► its blobs ► the manifest, by its digest ► the index, by the name
//! ```
//! Each document is copied as its bytes are. Where only those of OCI can be kept, docker's are converted, and the
//! index names what came out.

use oci_spec::image::{Descriptor, ImageManifest, MediaType};
use serde_json::{Map, Value, json};

use super::copy::{Copied, ManifestFormat, copy_blobs, in_format};
use super::copy_unpacked::copy_layers;
use crate::base::Ctx;
use crate::container::image::media::{self, DOCKER_INDEX};
use crate::container::image::{
    Digest, Error, ImageDest, ImageSource, MAX_DEPTH, RawManifest, Result, canonical_json, lenient,
};

/// Copies all that a manifest or index names, and adds to `copied` what that was. Returns the document that is to be
/// stored in its place.
pub(super) fn copy_named(
    source: &dyn ImageSource,
    dest: &dyn ImageDest,
    raw: RawManifest,
    format: ManifestFormat,
    copied: &mut Copied,
    ctx: &Ctx,
) -> Result<RawManifest> {
    Copier { source, dest, format, ctx }.copy_named(raw, copied, 0)
}

struct Copier<'a> {
    source: &'a dyn ImageSource,
    dest: &'a dyn ImageDest,
    format: ManifestFormat,
    ctx: &'a Ctx,
}

impl Copier<'_> {
    fn copy_named(&self, raw: RawManifest, copied: &mut Copied, depth: usize) -> Result<RawManifest> {
        media::check(&raw)?;
        if media::is_index(&raw.media_type) {
            return self.copy_index(raw, copied, depth);
        }
        let what = format!("manifest {}", raw.digest);
        if !media::is_manifest(&raw.media_type) {
            return Err(Error::Unsupported(format!("{what} has the media type {}", raw.media_type)));
        }
        let manifest = lenient::manifest(&raw.bytes, what)?;
        let unpacked = manifest.layers().first().map(|layer| self.source.unpacked(layer)).transpose()?;
        if unpacked.flatten().is_some() {
            return self.copy_unpacked(raw, &manifest, copied);
        }
        let blobs: Vec<_> = manifest.layers().iter().chain([manifest.config()]).collect();
        copied.add(&copy_blobs(self.source, self.dest, &blobs, self.ctx)?);
        in_format(self.format, raw, manifest)
    }

    /// Copies an image whose layers lie somewhere as files.
    fn copy_unpacked(
        &self,
        raw: RawManifest,
        manifest: &ImageManifest,
        copied: &mut Copied,
    ) -> Result<RawManifest> {
        let raw = copy_layers(self.source, self.dest, raw, manifest, copied, self.ctx)?;
        copied.add(&copy_blobs(self.source, self.dest, &[manifest.config()], self.ctx)?);
        let manifest = lenient::manifest(&raw.bytes, format!("manifest {}", raw.digest))?;
        in_format(self.format, raw, manifest)
    }

    fn copy_index(&self, raw: RawManifest, copied: &mut Copied, depth: usize) -> Result<RawManifest> {
        let what = format!("index {}", raw.digest);
        if depth == MAX_DEPTH {
            return Err(Error::Image("an index that leads to an index, again and again".into()));
        }
        let mut index: Map<String, Value> =
            serde_json::from_slice(&raw.bytes).map_err(Error::json(what.as_str()))?;
        let entries = index.get_mut("manifests").and_then(Value::as_array_mut);
        let mut changed = self.format == ManifestFormat::Oci && raw.media_type.as_ref() == DOCKER_INDEX;
        for entry in entries.into_iter().flatten() {
            let descriptor = named_by(entry).map_err(Error::json(what.as_str()))?;
            let manifest = self.source.manifest_of(&descriptor)?;
            let stored = self.copy_named(manifest, copied, depth + 1)?;
            self.dest.put_instance(&stored)?;
            if stored.digest != Digest::of_descriptor(&descriptor)? {
                changed = true;
                entry["mediaType"] = stored.media_type.to_string().into();
                entry["digest"] = stored.digest.to_string().into();
                entry["size"] = stored.bytes.len().into();
            }
        }
        if !changed {
            return Ok(raw);
        }
        index.insert("mediaType".to_owned(), MediaType::ImageIndex.to_string().into());
        let bytes = canonical_json(&index)?;
        Ok(RawManifest { digest: Digest::of(&bytes), bytes, media_type: MediaType::ImageIndex })
    }
}

/// The document that an entry names; what else it says is nobody's concern here.
fn named_by(entry: &Value) -> serde_json::Result<Descriptor> {
    let media_type = entry.get("mediaType").and_then(Value::as_str).unwrap_or_default();
    serde_json::from_value(
        json!({ "mediaType": media_type, "digest": entry["digest"], "size": entry["size"] }),
    )
}
