//! Which document a manifest is: by what the registry says, what it says of itself, what is in it.
//!
//! ```text
//! image   config, layers       OCI manifest, docker's of schema 2
//! index   manifests            OCI index, docker's manifest list
//! ```
//! What has parts of both, or one part twice, could be read as either, and is refused whatever its type says.
//! Source: the OCI image specification; containers/image internal/manifest/common.go.

use oci_spec::image::MediaType;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::digest::Digest;
use super::error::{Error, Result};
use super::source::RawManifest;
use super::strict;

pub(in crate::container) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(in crate::container) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(in crate::container) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(in crate::container) const DOCKER_INDEX: &str =
    "application/vnd.docker.distribution.manifest.list.v2+json";
pub(in crate::container) const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub(in crate::container) const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
pub(in crate::container) const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
pub(in crate::container) const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";

/// What a registry is asked for.
pub(in crate::container) const ACCEPT: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX];

/// What docker's manifests call a layer that OCI's call so.
pub(in crate::container) fn docker_layer(oci: &MediaType) -> MediaType {
    match oci {
        MediaType::ImageLayer => MediaType::from(DOCKER_LAYER),
        MediaType::ImageLayerGzip => MediaType::from(DOCKER_LAYER_GZIP),
        MediaType::ImageLayerZstd => MediaType::from(DOCKER_LAYER_ZSTD),
        other => other.clone(),
    }
}

/// Whether a document lists images for several machines.
pub(in crate::container) fn is_index(media_type: &MediaType) -> bool {
    matches!(media_type.as_ref(), OCI_INDEX | DOCKER_INDEX)
}

/// Whether a document is the manifest of an image.
pub(in crate::container) fn is_manifest(media_type: &MediaType) -> bool {
    matches!(media_type.as_ref(), OCI_MANIFEST | DOCKER_MANIFEST)
}

/// Whether a document is the configuration of an image; artifacts have others.
pub(in crate::container) fn is_config(media_type: &MediaType) -> bool {
    *media_type == MediaType::ImageConfig || media_type.as_ref() == DOCKER_CONFIG
}

/// The parts that tell what a document is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: Option<u32>,
    media_type: Option<String>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
    /// The list of layers in docker's schema 1.
    fs_layers: Option<IgnoredAny>,
    history: Option<IgnoredAny>,
}

const PARTS: [&str; 7] =
    ["schemaVersion", "mediaType", "config", "layers", "manifests", "fsLayers", "history"];

impl Shape {
    fn read(bytes: &[u8], digest: &Digest) -> Result<Self> {
        let error = || Error::json(format!("manifest {digest}"));
        strict::check_keys(bytes).map_err(error())?;
        let keys: strict::Unique<IgnoredAny> = serde_json::from_slice(bytes).map_err(error())?;
        // To readers in Go the case of a key does not matter.
        let alike = |key: &&String| PARTS.iter().any(|part| part.eq_ignore_ascii_case(key) && part != key);
        if let Some(key) = keys.0.keys().find(alike) {
            return Err(Error::Image(format!(
                "manifest {digest} has the key {key:?}, which some readers know"
            )));
        }
        serde_json::from_slice(bytes).map_err(error())
    }

    /// Lists the fields of the document that belong to another kind of document.
    fn foreign(&self, media_type: &str) -> Vec<&'static str> {
        let (image, index) = match media_type {
            OCI_INDEX | DOCKER_INDEX => (false, true),
            _ => (true, false),
        };
        let parts = [
            ("config", self.config.is_some() && !image),
            ("layers", self.layers.is_some() && !image),
            ("manifests", self.manifests.is_some() && !index),
            ("fsLayers", self.fs_layers.is_some()),
            ("history", self.history.is_some()),
        ];
        parts.into_iter().filter(|(_, foreign)| *foreign).map(|(name, _)| name).collect()
    }
}

/// Checks that an image or index is nothing else besides.
pub(in crate::container) fn check(raw: &RawManifest) -> Result<()> {
    let RawManifest { bytes, media_type, digest } = raw;
    check_shape(&Shape::read(bytes, digest)?, media_type.as_ref(), digest)
}

fn check_shape(shape: &Shape, media_type: &str, digest: &Digest) -> Result<()> {
    let foreign = shape.foreign(media_type);
    match foreign.is_empty() {
        true => Ok(()),
        false => {
            let foreign = foreign.join(", ");
            Err(Error::Image(format!("manifest {digest} of the type {media_type} has {foreign}, too")))
        }
    }
}

/// A manifest out of its bytes and what was said of them.
pub(in crate::container) fn manifest(bytes: Vec<u8>, said: Option<&str>) -> Result<RawManifest> {
    let digest = Digest::of(&bytes);
    let shape = Shape::read(&bytes, &digest)?;
    let known = |t: &&str| ACCEPT.contains(t);
    let said = said.map(|s| s.split(';').next().unwrap_or(s).trim()).filter(known);
    let own = shape.media_type.as_deref();
    if shape.schema_version == Some(1) {
        return Err(Error::Unsupported(format!("manifest {digest} is of docker's schema 1")));
    }
    // What has no type of its own is known by its parts.
    let guessed = match (shape.layers.is_some() && shape.config.is_some(), shape.manifests.is_some()) {
        (true, _) => Some(OCI_MANIFEST),
        (false, true) => Some(OCI_INDEX),
        (false, false) => None,
    };
    let Some(media_type) = own.filter(known).or(said).or(guessed) else {
        let why = format!("manifest {digest} has the media type {}", own.unwrap_or("(none)"));
        return Err(Error::Unsupported(why));
    };
    check_shape(&shape, media_type, &digest)?;
    Ok(RawManifest { media_type: MediaType::from(media_type), digest, bytes })
}
