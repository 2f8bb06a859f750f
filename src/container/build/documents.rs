//! The documents of an image that is built: configuration and manifest.
//!
//! ```text
//! config      machine, command, labels, history, diffids
//! manifest    layers; the same labels as annotations
//! ```

use std::collections::HashMap;

use chrono::DateTime;
use oci_spec::OciSpecError;
use oci_spec::image::{
    ANNOTATION_BASE_IMAGE_DIGEST, Arch, Config, Descriptor, History, HistoryBuilder, ImageConfiguration,
    ImageConfigurationBuilder, ImageManifestBuilder, MediaType, Os, Platform, PlatformBuilder, RootFsBuilder,
};
use ostree_format::{Commit, CommitId};

use super::chunks::{Chunk, Layering};
use super::plan::BuildOptions;
use super::write::PlacedLayer;
use crate::container::image::labels::{self, Labels};
use crate::container::image::{
    Compression, Digest, Error, ImageDest, PlatformName, RawManifest, Result, canonical_json, put_json,
};
use crate::container::server;

/// What the documents say, but for the digests of layers.
pub(super) struct Outline {
    /// The machines that the image is for.
    pub(super) platform: PlatformName,
    /// Without the one that names the last layer of the commit.
    labels: Labels,
    /// What containers are run with.
    container: Config,
    /// RFC 3339, in UTC.
    created: String,
    /// What made each layer.
    history: Vec<String>,
    /// What is below them.
    base: Option<BasePart>,
    /// Whether the last layer is a server of the image.
    has_server: bool,
}

/// What an image says of the base that it lies on.
pub(super) struct BasePart {
    /// The commit that is on it.
    pub(super) commit: CommitId,
    /// The digest of the base's manifest.
    pub(super) manifest: Digest,
    pub(super) layers: Vec<Descriptor>,
    pub(super) diff_ids: Vec<String>,
    pub(super) history: Vec<History>,
}

impl Outline {
    pub(super) fn new(
        id: &CommitId,
        commit: &Commit,
        platform: PlatformName,
        chunks: &[Chunk],
        options: &BuildOptions,
    ) -> Result<Self> {
        let mut labels = labels::of_commit(id, commit, &options.copy_meta_keys, &options.copy_meta_opt_keys)?;
        let mut created_secs = commit.timestamp;
        if let Layering::Mapped { meta, .. } = &options.layering {
            labels.extend(meta.labels.clone());
            created_secs = meta.created_secs.unwrap_or(created_secs);
        }
        labels.extend(options.labels.clone());
        let mut container = options.config.clone().unwrap_or_default();
        if let Some(cmd) = options.cmd.clone().or_else(|| labels::container_cmd(commit)) {
            container.set_cmd(Some(cmd));
        }
        let subject = match &*commit.subject {
            "" => format!("ostree export of commit {id}"),
            subject => subject.to_owned(),
        };
        let history = std::iter::once(subject).chain(chunks.iter().map(|chunk| chunk.created_by.clone()));
        Ok(Self {
            platform,
            labels,
            container,
            created: time(options.created_secs.unwrap_or(created_secs))?,
            history: history.collect(),
            base: None,
            has_server: false,
        })
    }

    /// Puts a server on top, which is what containers run.
    pub(super) fn with_server(mut self) -> Self {
        self.container.set_entrypoint(Some(server::entry_point())).set_cmd(None);
        let ports = self.container.exposed_ports().clone().unwrap_or_default();
        self.container.set_exposed_ports(Some(ports.into_iter().chain([server::exposed_port()]).collect()));
        self.history.push("ostree-rs serve".to_owned());
        self.has_server = true;
        self
    }

    /// Puts a base below. For readers of ostree's images it is a plain one.
    pub(super) fn on_base(mut self, base: BasePart) -> Self {
        self.labels.remove(labels::COMMIT);
        self.base = Some(base);
        self
    }

    /// Stores the documents of an image with these layers; gives the digest of the manifest.
    pub(super) fn put(
        &self,
        dest: &dyn ImageDest,
        compression: Compression,
        layers: &[PlacedLayer],
    ) -> Result<Digest> {
        let mut labels: HashMap<String, String> = self.labels.clone().into_iter().collect();
        let mut of_commit = layers;
        if self.has_server
            && let [before @ .., server] = layers
        {
            labels.insert(labels::SERVER_DIFFID.to_owned(), server.layer.diff_id.to_string());
            of_commit = before;
        }
        if let Some(last) = of_commit.last() {
            let label = if self.base.is_some() { labels::ON_BASE_DIFFID } else { labels::FINAL_DIFFID };
            labels.insert(label.to_owned(), last.layer.diff_id.to_string());
        }
        if let Some(base) = &self.base {
            labels.insert(labels::ON_BASE_COMMIT.to_owned(), base.commit.to_string());
        }
        let config = put_json(dest, MediaType::ImageConfig, &self.config(&labels, layers)?)?;
        let base = self.base.iter().flat_map(|base| base.layers.iter().cloned().map(Ok));
        let entries = base.chain(layers.iter().map(|placed| placed.layer.descriptor(compression)));
        if let Some(base) = &self.base {
            labels.insert(ANNOTATION_BASE_IMAGE_DIGEST.to_owned(), base.manifest.to_string());
        }
        let manifest = ImageManifestBuilder::default()
            .schema_version(2u32)
            .media_type(MediaType::ImageManifest)
            .config(config)
            .layers(entries.collect::<Result<Vec<_>>>()?)
            .annotations(labels)
            .build()
            .map_err(spec)?;
        let bytes = canonical_json(&manifest)?;
        let digest = Digest::of(&bytes);
        let raw = RawManifest { bytes, media_type: MediaType::ImageManifest, digest };
        dest.put_manifest(&raw, Some(&entry(&self.platform)?))?;
        Ok(digest)
    }

    fn config(&self, labels: &HashMap<String, String>, layers: &[PlacedLayer]) -> Result<ImageConfiguration> {
        let mut container = self.container.clone();
        let own = container.labels().clone().unwrap_or_default();
        container.set_labels(Some(own.into_iter().chain(labels.clone()).collect()));
        let history = self.history.iter().map(|created_by| {
            HistoryBuilder::default().created(self.created.clone()).created_by(created_by.clone()).build()
        });
        let base = self.base.iter();
        let history = base.clone().flat_map(|base| base.history.iter().cloned().map(Ok)).chain(history);
        let diff_ids = base.flat_map(|base| base.diff_ids.iter().cloned());
        let diff_ids: Vec<_> =
            diff_ids.chain(layers.iter().map(|placed| placed.layer.diff_id.to_string())).collect();
        let mut config = ImageConfigurationBuilder::default()
            .created(self.created.clone())
            .architecture(Arch::from(&*self.platform.architecture))
            .os(Os::from(&*self.platform.os))
            .config(container)
            .rootfs(RootFsBuilder::default().typ("layers").diff_ids(diff_ids).build().map_err(spec)?)
            .history(history.collect::<Result<Vec<_>, _>>().map_err(spec)?)
            .build()
            .map_err(spec)?;
        config.set_variant(self.platform.variant.clone());
        Ok(config)
    }
}

/// What an index says of the image.
fn entry(platform: &PlatformName) -> Result<Platform> {
    let mut entry = PlatformBuilder::default()
        .architecture(Arch::from(&*platform.architecture))
        .os(Os::from(&*platform.os))
        .build()
        .map_err(spec)?;
    entry.set_variant(platform.variant.clone());
    Ok(entry)
}

/// RFC 3339, in UTC.
fn time(secs: u64) -> Result<String> {
    // A commit's time before 1970 is what it is in 64 bits.
    let secs = secs.cast_signed();
    let time = DateTime::from_timestamp(secs, 0);
    let time = time.ok_or_else(|| Error::Usage(format!("{secs} seconds since 1970 is no date")))?;
    Ok(time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn spec(error: OciSpecError) -> Error {
    Error::Image(error.to_string())
}
