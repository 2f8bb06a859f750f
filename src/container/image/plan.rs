//! The layers of an image, and the kind of each.
//!
//! ```text
//! layer 0       Commit   the commit, its metadata, and content that is nowhere else
//! 1 … final     Chunk    content objects of the commit
//! final+1 …     Plain    file systems that others added
//! ```
//! The label `ostree.final-diffid` says where the commit ends. Without it there is none: all layers are plain. A layer
//! that lets the image serve itself is a plain one, too: [`Image::without_server`].

use std::collections::HashMap;

use oci_spec::image::{ANNOTATION_VERSION, Arch, Descriptor, ImageConfiguration, ImageManifest};
use ostree_format::{CommitId, ParseError};

use super::digest::{DiffId, Digest};
use super::error::{Error, Result};
use super::labels::{COMMIT, FINAL_DIFFID, ON_BASE_COMMIT, ON_BASE_DIFFID, SERVER_DIFFID};
use super::platform::PlatformName;
use super::source::{ImageSource, RawManifest, read_verified};
use super::{lenient, media};
use crate::base::debug_fields;

/// An image: its manifest and configuration, both verified.
#[derive(Debug, Clone)]
pub struct Image {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The layers.
    pub manifest: ImageManifest,
    /// The configuration of the image, with its labels.
    pub config: ImageConfiguration,
    /// The two as they are, since the types do not hold all that others may write into them.
    pub documents: Documents,
}

/// The JSON documents of an image.
#[derive(Clone)]
pub struct Documents {
    /// The manifest.
    pub manifest: Vec<u8>,
    /// The configuration.
    pub config: Vec<u8>,
}

debug_fields!(Documents {});

/// A layer by both its names.
#[derive(Debug, Clone)]
pub struct ImageLayer {
    /// The blob.
    pub descriptor: Descriptor,
    /// The tar stream in it.
    pub diff_id: DiffId,
}

/// The kinds of layers, by their content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayerKind {
    /// The commit, its metadata, and content that no chunk has.
    Commit,
    /// Content objects of the commit.
    Chunk,
    /// Files, and whiteouts that hide files of lower layers.
    Plain,
}

/// A layer, and what is in it.
#[derive(Debug, Clone)]
pub struct PlannedLayer {
    /// The layer.
    pub layer: ImageLayer,
    /// The kind of the layer.
    pub kind: LayerKind,
}

/// The layers of an image, each with its kind.
#[derive(Debug, Clone)]
pub struct LayerPlan {
    /// The commit that the labels promise.
    pub commit: Option<CommitId>,
    /// Every layer, lowest first: none or one with the commit, its chunks, plain ones.
    pub layers: Vec<PlannedLayer>,
}

/// A commit on the layers of a base: see [`build_on_base`](crate::container::build::build_on_base).
#[derive(Debug, Clone)]
pub struct CommitOnBase {
    /// The commit that the labels promise.
    pub commit: CommitId,
    /// The layers of the base, lowest first.
    pub base: Vec<ImageLayer>,
    /// The layer with everything that the base lacks.
    pub top: ImageLayer,
}

impl LayerPlan {
    /// The layers of one kind, lowest first.
    pub fn of_kind(&self, kind: LayerKind) -> impl Iterator<Item = &ImageLayer> {
        self.layers.iter().filter(move |planned| planned.kind == kind).map(|planned| &planned.layer)
    }

    /// The layer that holds the commit, if the image has one.
    pub fn commit_layer(&self) -> Option<&ImageLayer> {
        self.of_kind(LayerKind::Commit).next()
    }

    /// The number of layers that belong to the commit: its own and its chunks.
    pub fn layers_of_commit(&self) -> usize {
        self.layers.iter().filter(|planned| planned.kind != LayerKind::Plain).count()
    }

    /// The number of plain layers.
    pub fn plain_layers(&self) -> usize {
        self.layers.len() - self.layers_of_commit()
    }
}

impl Image {
    /// Fetches manifest and configuration; of an image for several machines those for `architecture`.
    ///
    /// # Errors
    /// What the source says; [`Error::Unsupported`] for something that is no image, or not for these
    /// machines; [`Error::Image`] if the documents contradict themselves.
    pub fn fetch(source: &dyn ImageSource, architecture: &Arch) -> Result<Self> {
        let raw = PlatformName::linux(architecture).resolve(source, source.manifest()?)?;
        Self::of_manifest(source, &raw)
    }

    /// The image of a manifest that is known; its configuration is fetched from `source`.
    ///
    /// # Errors
    /// As [`Image::fetch`].
    pub(in crate::container) fn of_manifest(source: &dyn ImageSource, raw: &RawManifest) -> Result<Self> {
        if !media::is_manifest(&raw.media_type) {
            let why =
                format!("manifest {} has the media type {}, which is no image", raw.digest, raw.media_type);
            return Err(Error::Unsupported(why));
        }
        let manifest = lenient::manifest(&raw.bytes, format!("manifest {}", raw.digest))?;
        // A document that two readers may take for different things is refused.
        let own = manifest.media_type().as_ref().filter(|own| !own.as_ref().is_empty());
        if own.is_some_and(|own| *own != raw.media_type) {
            return Err(Error::Image(format!("manifest {} has two media types", raw.digest)));
        }
        let bytes = read_verified(source, "config", manifest.config())?;
        let config = lenient::configuration(&bytes, format!("config {}", manifest.config().digest()))?;
        let (layers, diff_ids) = (manifest.layers().len(), config.rootfs().diff_ids().len());
        if layers != diff_ids {
            let kind = manifest.config().media_type();
            if !media::is_config(kind) {
                let why = format!("manifest {} is no image: its configuration is {kind}", raw.digest);
                return Err(Error::Unsupported(why));
            }
            let why = format!("manifest {} has {layers} layers, its configuration {diff_ids}", raw.digest);
            return Err(Error::Image(why));
        }
        let documents = Documents { manifest: raw.bytes.clone(), config: bytes };
        Ok(Self { digest: raw.digest, manifest, config, documents })
    }

    /// The labels.
    pub fn labels(&self) -> HashMap<String, String> {
        self.config.labels_of_config().cloned().unwrap_or_default()
    }

    /// The version of what is in it, as the labels say.
    pub fn version(&self) -> Option<String> {
        let labels = self.labels();
        [ANNOTATION_VERSION, "version"].into_iter().find_map(|key| labels.get(key).cloned())
    }

    /// Tells what each layer is.
    ///
    /// # Errors
    /// [`Error::Image`], [`Error::Reference`] if the labels are wrong.
    pub fn plan(&self) -> Result<LayerPlan> {
        let labels = self.labels();
        let reference = |text: &str, source| Error::Reference { text: text.to_owned(), source };
        let commit = labels.get(COMMIT).map(|c| c.parse().map_err(|e| reference(c, e))).transpose()?;
        let layers = self.layers()?;
        let Some(last) = labels.get(FINAL_DIFFID) else {
            return Ok(LayerPlan { commit: None, layers: layers.into_iter().map(plain).collect() });
        };
        let last_diff_id: DiffId = last.parse().map_err(|e| reference(last, e))?;
        let last = layers.iter().position(|layer| layer.diff_id == last_diff_id).ok_or_else(|| {
            Error::Image(format!(
                "no layer of image {} has the diffid of its label {FINAL_DIFFID}",
                self.digest
            ))
        })?;
        let planned = layers.into_iter().enumerate().map(|(number, layer)| match number {
            0 => PlannedLayer { layer, kind: LayerKind::Commit },
            number if number <= last => PlannedLayer { layer, kind: LayerKind::Chunk },
            _ => plain(layer),
        });
        Ok(LayerPlan { commit, layers: planned.collect() })
    }

    /// The commit on a base that the image is; `None` if it is none, or has other layers on top of that.
    ///
    /// # Errors
    /// [`Error::Reference`] if the labels are wrong.
    pub fn on_base(&self) -> Result<Option<CommitOnBase>> {
        let labels = self.labels();
        let (Some(commit), Some(diff_id)) = (labels.get(ON_BASE_COMMIT), labels.get(ON_BASE_DIFFID)) else {
            return Ok(None);
        };
        let reference = |text: &str, source| Error::Reference { text: text.to_owned(), source };
        let commit = commit.parse().map_err(|e| reference(commit, e))?;
        let diff_id: DiffId = diff_id.parse().map_err(|e| reference(diff_id, e))?;
        let mut base = self.layers()?;
        let top = base.pop().filter(|top| top.diff_id == diff_id);
        Ok(top.map(|top| CommitOnBase { commit, base, top }))
    }

    /// The image as it is pulled: without the layer that lets it serve itself, which is for containers alone. The
    /// documents stay as they are.
    #[must_use]
    pub fn without_server(&self) -> Self {
        let mut image = self.clone();
        let labels = self.labels();
        let Some(diff_id) = labels.get(SERVER_DIFFID) else { return image };
        let mut diff_ids = self.config.rootfs().diff_ids().clone();
        if let Some(at) = diff_ids.iter().position(|known| known == diff_id) {
            diff_ids.remove(at);
            image.config.rootfs_mut().set_diff_ids(diff_ids);
            image.manifest.layers_mut().remove(at);
        }
        image
    }

    /// Every layer, lowest first.
    ///
    /// # Errors
    /// [`Error::Image`] for a diffid that is not SHA-256.
    pub fn layers(&self) -> Result<Vec<ImageLayer>> {
        let layers = self.manifest.layers().iter().zip(self.config.rootfs().diff_ids());
        layers
            .map(|(descriptor, text)| {
                let diff_id = text.parse().map_err(|source: ParseError| {
                    let (config, layer) = (self.manifest.config().digest(), descriptor.digest());
                    Error::Image(format!("config {config}: diffid {text:?} of layer {layer}: {source}"))
                })?;
                Ok(ImageLayer { descriptor: descriptor.clone(), diff_id })
            })
            .collect()
    }
}

fn plain(layer: ImageLayer) -> PlannedLayer {
    PlannedLayer { layer, kind: LayerKind::Plain }
}
