//! The documents of an oci-delta artifact.
//!
//! ```text
//! {"schemaVersion":2, "artifactType":"application/vnd.io.github.containers.oci-delta.v1",
//!  "config":{} of the type application/vnd.oci.empty.v1+json, "subject":the new image's manifest,
//!  "annotations":{"io.github.containers.delta.target":its digest, ….source:the old manifest's, ….source-config:the old
//!      configuration's, ….reused:[digests of layers that the old image has], ….reused-diff-id:[their diffids]},
//!  "layers":[{annotations:{"io.github.containers.delta.content":
//!      "image-manifest" | "image-config"    the new image's, as they are
//!      "image-layer"                        a layer, or its delta (application/vnd.tar-diff); the annotation ….to has
//!  }}]}                                     the digest that the layer has in the new image
//! ```
//! Source: README.md and rust/oci-delta of containers/oci-delta.

use std::collections::HashMap;

use oci_spec::image::{Descriptor, ImageManifest, ImageManifestBuilder, MediaType};

use crate::base::Ctx;
use crate::container::image::{
    DiffId, Digest, Error, Image, ImageDest, ImageLayer, ImageSource, RawManifest, Result, canonical_json,
    media, put_document, put_json, read_verified,
};
use crate::container::place;

/// The type of the artifact.
const ARTIFACT_TYPE: &str = "application/vnd.io.github.containers.oci-delta.v1";
/// What it was called until May 2026.
const OLD_ARTIFACT_TYPE: &str = "application/vnd.redhat.oci-delta.v1";
const TAR_DIFF: &str = "application/vnd.tar-diff";

pub(super) const TARGET: &str = "io.github.containers.delta.target";
const SOURCE: &str = "io.github.containers.delta.source";
const SOURCE_CONFIG: &str = "io.github.containers.delta.source-config";
const REUSED: &str = "io.github.containers.delta.reused";
const REUSED_DIFF_ID: &str = "io.github.containers.delta.reused-diff-id";
const CONTENT: &str = "io.github.containers.delta.content";
pub(super) const FROM: &str = "io.github.containers.delta.from";
pub(super) const TO: &str = "io.github.containers.delta.to";

const MANIFEST: &str = "image-manifest";
const CONFIG: &str = "image-config";
const LAYER: &str = "image-layer";

/// What goes into an artifact, whose layers are there already.
pub(super) struct Documents<'a> {
    pub(super) old: &'a Image,
    pub(super) new: &'a Image,
    /// The layers of the new image that the old one has.
    pub(super) reused: &'a [ImageLayer],
    /// The other layers, or their deltas, and the digest of each in the new image.
    pub(super) layers: Vec<(Descriptor, Digest)>,
}

impl Documents<'_> {
    /// Writes the new image's documents and the artifact's manifest; gives the manifest's digest.
    pub(super) fn write(self, dest: &dyn ImageDest) -> Result<Digest> {
        let new = &self.new.manifest;
        let manifest_type = new.media_type().clone().unwrap_or(MediaType::ImageManifest);
        let subject =
            self.new.digest.descriptor(manifest_type.clone(), self.new.documents.manifest.len() as u64)?;
        let mut layers = vec![
            put_content(dest, &self.new.documents.manifest, manifest_type, MANIFEST)?,
            put_content(dest, &self.new.documents.config, new.config().media_type().clone(), CONFIG)?,
        ];
        for (mut descriptor, to) in self.layers.iter().cloned() {
            annotate(&mut descriptor, &[(CONTENT, LAYER.to_owned()), (TO, to.to_string())]);
            layers.push(descriptor);
        }
        let manifest = ImageManifestBuilder::default()
            .schema_version(2u32)
            .media_type(MediaType::ImageManifest)
            .artifact_type(MediaType::from(ARTIFACT_TYPE))
            .config(put_json(dest, MediaType::EmptyJSON, &serde_json::json!({}))?)
            .layers(layers)
            .subject(subject)
            .annotations(self.annotations()?)
            .build()
            .map_err(Error::image)?;
        let bytes = canonical_json(&manifest)?;
        let digest = Digest::of(&bytes);
        let raw = RawManifest { bytes, media_type: MediaType::ImageManifest, digest };
        dest.put_referrer(&raw, &self.new.digest)?;
        Ok(digest)
    }

    fn annotations(&self) -> Result<HashMap<String, String>> {
        let list = |list: Vec<String>| serde_json::to_string(&list).map_err(Error::json("annotation"));
        let digests = self.reused.iter().map(|layer| layer.descriptor.digest().to_string()).collect();
        let diff_ids = self.reused.iter().map(|layer| layer.diff_id.to_string()).collect();
        let annotations = [
            (TARGET, self.new.digest.to_string()),
            (SOURCE, self.old.digest.to_string()),
            (SOURCE_CONFIG, self.old.manifest.config().digest().to_string()),
            (REUSED, list(digests)?),
            (REUSED_DIFF_ID, list(diff_ids)?),
        ];
        Ok(annotations.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

/// A descriptor of a delta.
pub(super) fn delta_descriptor(digest: Digest, bytes: u64) -> Result<Descriptor> {
    digest.descriptor(MediaType::from(TAR_DIFF), bytes)
}

/// Whether a descriptor names a delta, rather than a layer.
pub(super) fn is_delta(descriptor: &Descriptor) -> bool {
    descriptor.media_type().as_ref() == TAR_DIFF
}

/// Copies a blob as it is; verified.
pub(super) fn copy_blob(
    source: &dyn ImageSource,
    descriptor: &Descriptor,
    dest: &dyn ImageDest,
    ctx: &Ctx,
) -> Result<()> {
    place::copy_blobs(source, dest, &[descriptor], ctx).map(drop)
}

/// Stores a document of the new image, as it is.
fn put_content(
    dest: &dyn ImageDest,
    bytes: &[u8],
    media_type: MediaType,
    content: &str,
) -> Result<Descriptor> {
    let mut descriptor = put_document(dest, media_type, bytes)?;
    annotate(&mut descriptor, &[(CONTENT, content.to_owned())]);
    Ok(descriptor)
}

pub(super) fn annotate(descriptor: &mut Descriptor, with: &[(&str, String)]) {
    let mut annotations = descriptor.annotations().clone().unwrap_or_default();
    annotations.extend(with.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    descriptor.set_annotations(Some(annotations));
}

/// An artifact that was read; its blobs are still at their source.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// The digest of the artifact's manifest.
    pub digest: Digest,
    /// The digest of the new image's manifest.
    pub target: Digest,
    /// The digest of the old image's manifest, if it is told.
    pub source: Option<Digest>,
    /// The digest of the old image's configuration: only where an image with it is there can the deltas be applied.
    pub source_config: Digest,
    /// The diffids of layers that the old image has.
    pub reused: Vec<DiffId>,
    /// The other layers.
    pub layers: Vec<ArtifactLayer>,
    /// The new image.
    pub image: Image,
}

/// A layer in an artifact.
#[derive(Debug, Clone)]
pub struct ArtifactLayer {
    /// The blob in the artifact.
    pub descriptor: Descriptor,
    /// The digest that the layer has in the new image.
    pub to: Digest,
}

impl ArtifactLayer {
    /// Whether the blob is a delta, rather than the layer itself.
    pub fn is_delta(&self) -> bool {
        is_delta(&self.descriptor)
    }
}

impl Artifact {
    /// The bytes of the layers in the artifact.
    pub fn bytes(&self) -> u64 {
        self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.descriptor.size()))
    }

    /// Reads the artifact that the name of `source` stands for, with the documents of the new image, whose digests are
    /// verified.
    ///
    /// # Errors
    /// What the source says; [`Error::Unsupported`] for something else than such an artifact, [`Error::Image`] if it
    /// contradicts itself.
    pub fn read(source: &dyn ImageSource) -> Result<Self> {
        let raw = source.manifest()?;
        let Head { manifest, annotations, target, source_config, layers } = Head::parse(&raw)?;
        let image = new_image(source, &manifest, target)?;
        Ok(Self {
            digest: raw.digest,
            target,
            source: digest_in(&annotations, SOURCE)?,
            source_config,
            reused: diff_ids(&annotations)?,
            layers,
            image,
        })
    }
}

/// What the manifest of an artifact says.
pub(super) struct Head {
    manifest: ImageManifest,
    annotations: HashMap<String, String>,
    /// The digest of the new image's manifest.
    pub(super) target: Digest,
    /// The digest of the old image's configuration.
    pub(super) source_config: Digest,
    /// The layers that the old image lacks.
    pub(super) layers: Vec<ArtifactLayer>,
}

impl Head {
    /// Reads a manifest.
    ///
    /// # Errors
    /// As [`Artifact::read`].
    pub(super) fn parse(raw: &RawManifest) -> Result<Self> {
        let digest = raw.digest;
        if !media::is_manifest(&raw.media_type) {
            return Err(Error::Unsupported(format!(
                "{digest} is no delta but of the type {}",
                raw.media_type
            )));
        }
        let manifest: ImageManifest =
            serde_json::from_slice(&raw.bytes).map_err(Error::json(format!("manifest {digest}")))?;
        let kind = manifest.artifact_type().as_ref().map(AsRef::as_ref);
        if !kind.is_some_and(|kind| [ARTIFACT_TYPE, OLD_ARTIFACT_TYPE].contains(&kind)) {
            let kind = kind.unwrap_or("an image");
            return Err(Error::Unsupported(format!("manifest {digest} is no delta but {kind}")));
        }
        let annotations = manifest.annotations().clone().unwrap_or_default();
        let target = digest_in(&annotations, TARGET)?.or(subject(&manifest)?).ok_or_else(|| lacks(TARGET))?;
        let source_config = digest_in(&annotations, SOURCE_CONFIG)?.ok_or_else(|| lacks(SOURCE_CONFIG))?;
        let layers = layers(&manifest)?;
        Ok(Self { manifest, annotations, target, source_config, layers })
    }
}

/// Whether a list says of an artifact that it is a delta.
pub(super) fn is_listed_as_delta(entry: &Descriptor) -> bool {
    let kind = entry.artifact_type().as_ref().map(AsRef::as_ref);
    kind.is_some_and(|kind| [ARTIFACT_TYPE, OLD_ARTIFACT_TYPE].contains(&kind))
}

/// The digest of the old image's configuration, if the list in which an artifact stands repeats what its manifest says.
pub(super) fn listed_source_config(entry: &Descriptor) -> Option<Digest> {
    entry.annotations().as_ref()?.get(SOURCE_CONFIG)?.parse().ok()
}

/// The new image, as the documents in the artifact tell.
fn new_image(source: &dyn ImageSource, manifest: &ImageManifest, target: Digest) -> Result<Image> {
    let document = of_content(manifest, MANIFEST).next().ok_or_else(|| lacks(MANIFEST))?;
    if Digest::of_descriptor(document)? != target {
        let why = format!("the delta is to {target}, and the manifest in it is {}", document.digest());
        return Err(Error::Image(why));
    }
    let bytes = read_verified(source, "manifest", document)?;
    Image::of_manifest(source, &media::manifest(bytes, Some(document.media_type().as_ref()))?)
}

fn layers(manifest: &ImageManifest) -> Result<Vec<ArtifactLayer>> {
    let layer = |descriptor: &Descriptor| {
        let annotations = descriptor.annotations().clone().unwrap_or_default();
        let to = digest_in(&annotations, TO)?.ok_or_else(|| lacks(TO))?;
        Ok(ArtifactLayer { descriptor: descriptor.clone(), to })
    };
    of_content(manifest, LAYER).map(layer).collect()
}

fn of_content<'m>(manifest: &'m ImageManifest, content: &'m str) -> impl Iterator<Item = &'m Descriptor> {
    manifest.layers().iter().filter(move |descriptor| {
        let annotations = descriptor.annotations().as_ref();
        annotations.and_then(|annotations| annotations.get(CONTENT)).is_some_and(|is| is == content)
    })
}

fn subject(manifest: &ImageManifest) -> Result<Option<Digest>> {
    manifest.subject().as_ref().map(Digest::of_descriptor).transpose()
}

fn digest_in(annotations: &HashMap<String, String>, key: &str) -> Result<Option<Digest>> {
    let digest =
        |text: &String| text.parse().map_err(|source| Error::Reference { text: text.clone(), source });
    annotations.get(key).map(digest).transpose()
}

fn diff_ids(annotations: &HashMap<String, String>) -> Result<Vec<DiffId>> {
    let Some(text) = annotations.get(REUSED_DIFF_ID) else { return Ok(Vec::new()) };
    let list: Vec<String> = serde_json::from_str(text).map_err(Error::json(REUSED_DIFF_ID))?;
    let diff_id =
        |text: &String| text.parse().map_err(|source| Error::Reference { text: text.clone(), source });
    list.iter().map(diff_id).collect()
}

fn lacks(what: &str) -> Error {
    Error::Image(format!("the delta lacks {what}"))
}
