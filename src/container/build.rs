//! Builds an image of a commit.
//!
//! ```text
//! layer     everything that belongs to the commit, as a tar stream that also unpacks to its tree
//! config    labels, command, history
//! manifest  the same labels as annotations
//! ```
//! The same commit and options give the same image, whatever the machine and the time: no clock is asked.

use std::collections::HashMap;

use chrono::DateTime;
use oci_spec::OciSpecError;
use oci_spec::image::{
    Arch, ConfigBuilder, HistoryBuilder, ImageConfiguration, ImageConfigurationBuilder, ImageManifestBuilder,
    MediaType, Os, Platform, PlatformBuilder, RootFsBuilder,
};
use ostree_format::{Commit, CommitId};

use super::compress::{Compression, WrittenLayer, write_layer};
use super::digest::Digest;
use super::error::{Error, Result};
use super::image::{ImageDest, RawManifest, canonical_json, put_json};
use super::labels::{self, Labels};
use crate::base::Ctx;
use crate::store::{ObjectRead, load_commit};
use crate::tar::{ChunkContent, ExportOptions, XattrDialect, export_final_chunk};

/// How an image is built.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// How layers are compressed.
    pub compression: Compression,
    /// Labels of the caller, which replace those made of the commit.
    pub labels: Labels,
    /// The command to run in a container; otherwise the commit's `ostree.container-cmd`, if any.
    pub cmd: Option<Vec<String>>,
    /// Keys of the commit's metadata to copy into labels; each has to be there.
    pub copy_meta_keys: Vec<String>,
    /// Keys to copy where they are there.
    pub copy_meta_opt_keys: Vec<String>,
    /// When the image was made, in seconds since 1970; otherwise the commit's time.
    pub created_secs: Option<u64>,
    /// The machines it is for; otherwise the one that this program was compiled for.
    pub architecture: Option<Arch>,
    /// How xattrs are written.
    pub xattrs: XattrDialect,
}

/// A layer and how it is listed.
struct Layer {
    written: WrittenLayer,
    /// What the history says of it.
    created_by: String,
}

/// Builds an image of `commit` with one layer and stores it in `dest`; returns the manifest's digest.
///
/// # Errors
/// [`Error::Store`] if an object is missing or damaged, [`Error::Usage`] for a key that the commit does not
/// have, and what `dest` says. Blobs that were finished stay then, but no image names them.
pub fn build(
    store: &dyn ObjectRead,
    commit: &CommitId,
    dest: &dyn ImageDest,
    options: &BuildOptions,
    ctx: &Ctx,
) -> Result<Digest> {
    let object = load_commit(store, commit)?;
    let mut labels =
        labels::of_commit(commit, &object, &options.copy_meta_keys, &options.copy_meta_opt_keys)?;
    labels.extend(options.labels.clone());
    let content = ChunkContent::of_commit(store, commit)?;
    ctx.phase("Building image", None, None);
    let export = ExportOptions { xattrs: options.xattrs };
    let ((), written) = write_layer(dest, options.compression, ctx, |out| {
        export_final_chunk(store, commit, &content, out, &export, ctx).map_err(Error::from)
    })?;
    labels.insert(labels::FINAL_DIFFID.to_owned(), written.diff_id.to_string());
    let created_by = match &*object.subject {
        "" => format!("ostree export of commit {commit}"),
        subject => subject.to_owned(),
    };
    put_image(dest, &object, labels, &[Layer { written, created_by }], options)
}

/// Stores the configuration and the manifest.
fn put_image(
    dest: &dyn ImageDest,
    commit: &Commit,
    labels: Labels,
    layers: &[Layer],
    options: &BuildOptions,
) -> Result<Digest> {
    let labels: HashMap<String, String> = labels.into_iter().collect();
    let config = config(commit, &labels, layers, options)?;
    let platform = platform(&config)?;
    let config = put_json(dest, MediaType::ImageConfig, &config)?;
    let entries =
        layers.iter().map(|l| l.written.descriptor(options.compression)).collect::<Result<Vec<_>>>()?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(entries)
        .annotations(labels)
        .build()
        .map_err(spec)?;
    let bytes = canonical_json(&manifest)?;
    let digest = Digest::of(&bytes);
    dest.put_manifest(&RawManifest { bytes, media_type: MediaType::ImageManifest, digest }, Some(&platform))?;
    Ok(digest)
}

fn config(
    commit: &Commit,
    labels: &HashMap<String, String>,
    layers: &[Layer],
    options: &BuildOptions,
) -> Result<ImageConfiguration> {
    let created = time(options.created_secs.unwrap_or(commit.timestamp))?;
    let mut container = ConfigBuilder::default().labels(labels.clone());
    if let Some(cmd) = options.cmd.clone().or_else(|| labels::container_cmd(commit)) {
        container = container.cmd(cmd);
    }
    let history = layers.iter().map(|layer| {
        HistoryBuilder::default().created(created.clone()).created_by(layer.created_by.clone()).build()
    });
    let diff_ids: Vec<_> = layers.iter().map(|l| l.written.diff_id.to_string()).collect();
    ImageConfigurationBuilder::default()
        .created(created.clone())
        .architecture(options.architecture.clone().unwrap_or_default())
        .os(Os::Linux)
        .config(container.build().map_err(spec)?)
        .rootfs(RootFsBuilder::default().typ("layers").diff_ids(diff_ids).build().map_err(spec)?)
        .history(history.collect::<Result<Vec<_>, _>>().map_err(spec)?)
        .build()
        .map_err(spec)
}

fn platform(config: &ImageConfiguration) -> Result<Platform> {
    PlatformBuilder::default()
        .architecture(config.architecture().clone())
        .os(config.os().clone())
        .build()
        .map_err(spec)
}

/// RFC 3339, in UTC.
fn time(secs: u64) -> Result<String> {
    let time = i64::try_from(secs).ok().and_then(|secs| DateTime::from_timestamp(secs, 0));
    let time = time.ok_or_else(|| Error::Usage(format!("{secs} seconds since 1970 is no date")))?;
    Ok(time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn spec(error: OciSpecError) -> Error {
    Error::Image(error.to_string())
}
