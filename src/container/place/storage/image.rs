//! An image of a store as a source: its documents as they are, its layers as files.

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};

use oci_spec::image::Descriptor;
use serde::Deserialize;

use super::ContainersStorage;
use super::layer::StoredLayer;
use super::name::Chosen;
use super::tables::{ImageRow, LayerRow, LayerTable};
use crate::base::debug_fields;
use crate::container::image::{
    DiffId, Digest, Error, ImageSource, RawManifest, RepositoryName, Result, UnpackedLayer, lenient, media,
};

/// What signatures of sigstore begin with; those of GPG begin with what they are.
const OTHER_SIGNATURE: u8 = 0;

/// An image in podman's store.
pub struct PodmanImage {
    storage: ContainersStorage,
    /// The directory of the store that has the image.
    root: usize,
    row: ImageRow,
    name: Option<RepositoryName>,
    manifest: RawManifest,
    /// The layers, lowest first.
    chain: Vec<LayerRow>,
    /// Which of them a descriptor stands for.
    layers: HashMap<Digest, usize>,
}

debug_fields!(PodmanImage { storage, name });

/// What an image's row says in its metadata.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Metadata {
    signature_sizes: Option<Vec<usize>>,
    signatures_sizes: Option<BTreeMap<String, Vec<usize>>>,
}

impl PodmanImage {
    /// The image of a row; its manifest with this digest, if that is asked for and there are several.
    pub(super) fn new(
        storage: ContainersStorage,
        chosen: Chosen,
        table: &LayerTable,
        digest: Option<Digest>,
    ) -> Result<Self> {
        let Chosen { root, row, name } = chosen;
        let by_digest = match digest {
            Some(digest) => storage.document(root, &row, &format!("manifest-{digest}"))?,
            None => None,
        };
        let bytes = match by_digest {
            Some(bytes) => Some(bytes),
            None => storage.document(root, &row, "manifest")?,
        };
        let bytes = bytes.ok_or_else(|| Error::Image(format!("image {} has no manifest", row.id)))?;
        let manifest = media::manifest(bytes, None)?;
        let chain = table.chain(&row.top_layer)?;
        let mut image = Self { storage, root, row, name, manifest, chain, layers: HashMap::new() };
        if !media::is_index(&image.manifest.media_type) {
            image.layers = image.match_layers()?;
        }
        Ok(image)
    }

    /// The name of the image in policies, if the store is the directory `graphroot`: `[DRIVER@GRAPHROOT]NAME@ID`.
    pub fn policy_name(&self, graphroot: &str) -> String {
        let name = self.name.as_ref().map(RepositoryName::to_string).unwrap_or_default();
        format!("[{}@{graphroot}]{name}@{}", self.storage.driver(), self.row.id)
    }

    /// Which layer of the store each layer of the manifest is: they stand in the same order, and the store knows their
    /// diffids.
    fn match_layers(&self) -> Result<HashMap<Digest, usize>> {
        let what = format!("manifest {}", self.manifest.digest);
        let manifest = lenient::manifest(&self.manifest.bytes, what)?;
        let mut config = Vec::new();
        self.blob(manifest.config())?.read_to_end(&mut config).map_err(Error::io("read", "config"))?;
        let config = lenient::configuration(&config, format!("config {}", manifest.config().digest()))?;
        let diff_ids = config.rootfs().diff_ids();
        if manifest.layers().len() != self.chain.len() || diff_ids.len() != self.chain.len() {
            let (in_manifest, here) = (manifest.layers().len(), self.chain.len());
            return Err(Error::Image(format!(
                "{in_manifest} layers in the manifest, and {here} in the store"
            )));
        }
        let mut layers = HashMap::new();
        for (number, row) in self.chain.iter().enumerate() {
            let digest = Digest::of_descriptor(&manifest.layers()[number])?;
            let known: Option<DiffId> = row.diff_id.parse().ok();
            if let Some(actual) = known
                && let Ok(expected) = diff_ids[number].parse::<DiffId>()
                && actual != expected
            {
                return Err(Error::DiffIdMismatch { layer: digest, expected, actual });
            }
            layers.entry(digest).or_insert(number);
        }
        Ok(layers)
    }

    fn signature_sizes(&self) -> Result<(String, Vec<usize>)> {
        let what = || Error::json(format!("metadata of image {}", self.row.id));
        let metadata: Metadata = match self.row.metadata.is_empty() {
            true => Metadata::default(),
            false => serde_json::from_str(&self.row.metadata).map_err(what())?,
        };
        let digest = self.manifest.digest;
        let of_manifest = metadata.signatures_sizes.unwrap_or_default().remove(&digest.to_string());
        Ok(match of_manifest {
            Some(sizes) if !sizes.is_empty() => (format!("signature-{}", digest.checksum()), sizes),
            _ => ("signatures".to_owned(), metadata.signature_sizes.unwrap_or_default()),
        })
    }
}

impl ImageSource for PodmanImage {
    fn manifest(&self) -> Result<RawManifest> {
        Ok(self.manifest.clone())
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let digest = Digest::of_descriptor(descriptor)?;
        if self.layers.contains_key(&digest) {
            let why = "is kept as files: of its blob nothing is left";
            return Err(Error::Unsupported(format!("layer {digest} {why}")));
        }
        for key in [digest.to_string(), format!("manifest-{digest}")] {
            if let Some(bytes) = self.storage.document(self.root, &self.row, &key)? {
                return Ok(Box::new(Cursor::new(bytes)));
            }
        }
        Err(Error::BlobNotFound(digest))
    }

    fn unpacked(&self, layer: &Descriptor) -> Result<Option<Box<dyn UnpackedLayer + '_>>> {
        let number = self.layers.get(&Digest::of_descriptor(layer)?);
        let chain = number.map(|number| &self.chain[..=*number]);
        Ok(chain.map(|chain| Box::new(StoredLayer { storage: &self.storage, chain }) as _))
    }

    fn signatures(&self) -> Result<Vec<Vec<u8>>> {
        let (key, sizes) = self.signature_sizes()?;
        if sizes.is_empty() {
            return Ok(Vec::new());
        }
        let all = self.storage.document(self.root, &self.row, &key)?.unwrap_or_default();
        let (mut rest, mut signatures) = (&*all, Vec::new());
        for size in sizes {
            let cut = rest.split_at_checked(size);
            let wrong = || Error::Image(format!("image {}: its signatures are cut off", self.row.id));
            let (signature, after) = cut.ok_or_else(wrong)?;
            rest = after;
            if signature.first() != Some(&OTHER_SIGNATURE) {
                signatures.push(signature.to_vec());
            }
        }
        Ok(signatures)
    }
}
