//! Which document a manifest is: by what the registry says, what it says of itself, what is in it.

use oci_spec::image::MediaType;
use serde::Deserialize;

use crate::container::{Digest, Error, RawManifest, Result};

pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(super) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(super) const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub(super) const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
pub(super) const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
pub(super) const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";

/// What a registry is asked for.
pub(super) const ACCEPT: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX];

/// Whether a document lists images for several machines.
pub(super) fn is_index(media_type: &MediaType) -> bool {
    matches!(media_type.as_ref(), OCI_INDEX | DOCKER_INDEX)
}

/// Whether a document is the manifest of an image.
pub(super) fn is_manifest(media_type: &MediaType) -> bool {
    matches!(media_type.as_ref(), OCI_MANIFEST | DOCKER_MANIFEST)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: Option<u32>,
    media_type: Option<String>,
    layers: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
    manifests: Option<serde::de::IgnoredAny>,
}

/// A manifest out of its bytes and what was said of them.
pub(super) fn manifest(bytes: Vec<u8>, said: Option<&str>) -> Result<RawManifest> {
    let digest = Digest::of(&bytes);
    let shape: Shape = serde_json::from_slice(&bytes).map_err(Error::json(format!("manifest {digest}")))?;
    let known = |t: &&str| ACCEPT.contains(t);
    let said = said.map(|s| s.split(';').next().unwrap_or(s).trim()).filter(known);
    let own = shape.media_type.as_deref();
    // What has no type of its own is known by its parts; what has both could be read as either.
    let guessed = match (shape.layers.is_some() && shape.config.is_some(), shape.manifests.is_some()) {
        (true, false) => Some(OCI_MANIFEST),
        (false, true) => Some(OCI_INDEX),
        (true, true) => return Err(Error::Image(format!("manifest {digest} has layers and manifests"))),
        (false, false) => None,
    };
    if shape.schema_version == Some(1) {
        return Err(Error::Unsupported(format!("manifest {digest} is of docker's schema 1")));
    }
    let Some(media_type) = own.filter(known).or(said).or(guessed) else {
        let why = format!("manifest {digest} has the media type {}", own.unwrap_or("(none)"));
        return Err(Error::Unsupported(why));
    };
    Ok(RawManifest { bytes, media_type: MediaType::from(media_type), digest })
}
