//! Builds an image of a commit.
//!
//! ```text
//! layer     everything that belongs to the commit, as a tar stream that also unpacks to its tree
//! chunks    or all but the content of packages, and that in layers of its own: see `chunks`
//! config    labels, command, history
//! manifest  the same labels as annotations
//! ```
//! The same commit and options give the same image, whatever the machine and the time: no clock is asked.

use std::collections::HashMap;

use chrono::DateTime;
use oci_spec::OciSpecError;
use oci_spec::image::{
    Arch, Config, HistoryBuilder, ImageConfiguration, ImageConfigurationBuilder, ImageManifestBuilder,
    MediaType, Os, Platform, PlatformBuilder, RootFsBuilder,
};
use ostree_format::{Commit, CommitId};

use super::chunks::{self, Chunk, Layering};
use super::layers::{self, Origin, write_layers};
use crate::base::Ctx;
use crate::container::blob::{KnownLayers, WrittenLayer};
use crate::container::image::{
    Compression, Digest, Error, Image, ImageDest, Labels, PlatformName, RawManifest, Result, canonical_json,
    labels, platform_of, put_json,
};
use crate::store::{ObjectRead, load_commit};
use crate::tar::{ChunkContent, ExportOptions, XattrDialect, export_chunk, export_final_chunk};

/// How an image is built.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// How layers are compressed, if the destination takes that: see [`ImageDest::compression`].
    pub compression: Compression,
    /// Labels of the caller, which replace those made of the commit.
    pub labels: Labels,
    /// What else containers are run with; labels are added to its own.
    pub config: Option<Config>,
    /// The command to run in a container; otherwise the commit's `ostree.container-cmd`, if any.
    pub cmd: Option<Vec<String>>,
    /// Keys of the commit's metadata to copy into labels; each has to be there.
    pub copy_meta_keys: Vec<String>,
    /// Keys to copy where they are there.
    pub copy_meta_opt_keys: Vec<String>,
    /// When the image was made, in seconds since 1970; otherwise the commit's time.
    pub created_secs: Option<u64>,
    /// The machines it is for, where the commit does not say: see [`platform_of`].
    pub platform: Option<PlatformName>,
    /// How xattrs are written.
    pub xattrs: XattrDialect,
    /// How the content is divided into layers.
    pub layering: Layering,
    /// An image of the commit before: what is in a layer there is in the same one here, and layers that did
    /// not change are not made again where `dest` has them.
    pub previous: Option<Image>,
}

/// An image that was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// The digest of its manifest.
    pub manifest: Digest,
    /// Layers that it has.
    pub layers: usize,
    /// Those that were at the destination already, as an image from before told.
    pub reused: usize,
    /// The bytes of all others, compressed.
    pub written_bytes: u64,
}

/// A layer and how it is listed.
struct Layer {
    written: WrittenLayer,
    /// What the history says of it.
    created_by: String,
    /// The names of the components in it, if it is a chunk.
    components: Option<String>,
}

/// Builds an image of `commit` and stores it in `dest`. Layers of the image that has its name there now, and of
/// `options.previous`, are used again where they are the same.
///
/// # Errors
/// [`Error::Store`] if an object is missing or damaged, [`Error::Usage`] for a key that the commit does not
/// have or an object that has no layer, and what `dest` says. Blobs that were finished stay then, but no image
/// names them.
pub fn build(
    store: &dyn ObjectRead,
    commit: &CommitId,
    dest: &dyn ImageDest,
    options: &BuildOptions,
    ctx: &Ctx,
) -> Result<Built> {
    let options = &BuildOptions { compression: dest.compression(options.compression), ..options.clone() };
    let object = load_commit(store, commit)?;
    let mut labels =
        labels::of_commit(commit, &object, &options.copy_meta_keys, &options.copy_meta_opt_keys)?;
    let mut created_secs = object.timestamp;
    if let Layering::Mapped { meta, .. } = &options.layering {
        labels.extend(meta.labels.clone());
        created_secs = meta.created_secs.unwrap_or(created_secs);
    }
    labels.extend(options.labels.clone());
    ctx.phase("Building image", None, None);
    let previous = options.previous.as_ref();
    let (first, chunks) = chunks::divide(store, commit, &options.layering, previous, ctx)?;
    let mut known = KnownLayers::default();
    let platform = platform_of(store, commit, options.platform.as_ref())?;
    let architecture = Arch::from(&*platform.architecture);
    for image in previous.cloned().into_iter().chain(dest.current(&architecture)?) {
        known.add(&image, options.compression);
    }
    let producers = producers(store, commit, options, &first, &chunks);
    let placed = write_layers(dest, options.compression, &producers, &known, ctx)?;
    let reused = placed.iter().filter(|layer| layer.origin == Origin::Known).count();
    let written = placed.iter().filter(|layer| layer.origin == Origin::Written);
    let written_bytes = written.map(|layer| layer.layer.size_bytes).sum();
    if let Some(last) = placed.last() {
        labels.insert(labels::FINAL_DIFFID.to_owned(), last.layer.diff_id.to_string());
    }
    let subject = match &*object.subject {
        "" => format!("ostree export of commit {commit}"),
        subject => subject.to_owned(),
    };
    let listed = chunks.iter().map(|chunk| (chunk.created_by.clone(), Some(chunk.components.clone())));
    let layers: Vec<_> = placed
        .into_iter()
        .zip(std::iter::once((subject, None)).chain(listed))
        .map(|(placed, (created_by, components))| Layer { written: placed.layer, created_by, components })
        .collect();
    let created_secs = options.created_secs.unwrap_or(created_secs);
    let manifest = put_image(dest, &object, &platform, labels, &layers, created_secs, options)?;
    Ok(Built { manifest, layers: layers.len(), reused, written_bytes })
}

/// What writes each layer.
fn producers<'a>(
    store: &'a dyn ObjectRead,
    commit: &'a CommitId,
    options: &BuildOptions,
    first: &'a ChunkContent,
    chunks: &'a [Chunk],
) -> Vec<layers::Layer<'a>> {
    let export = ExportOptions { xattrs: options.xattrs };
    let mut out = vec![layers::Layer {
        produce: Box::new(move |out, ctx| Ok(export_final_chunk(store, commit, first, out, &export, ctx)?)),
        // All metadata of the commit is in it, too.
        bytes: u64::MAX,
    }];
    out.extend(chunks.iter().map(|chunk| layers::Layer {
        produce: Box::new(move |out, ctx| {
            Ok(export_chunk(store, commit, &chunk.content, out, &export, ctx)?)
        }),
        bytes: chunk.bytes,
    }));
    out
}

/// Stores the configuration and the manifest.
fn put_image(
    dest: &dyn ImageDest,
    commit: &Commit,
    platform: &PlatformName,
    labels: Labels,
    layers: &[Layer],
    created_secs: u64,
    options: &BuildOptions,
) -> Result<Digest> {
    let labels: HashMap<String, String> = labels.into_iter().collect();
    let config = config(commit, platform, &labels, layers, created_secs, options)?;
    let config = put_json(dest, MediaType::ImageConfig, &config)?;
    let entries = layers.iter().map(|layer| {
        let mut written = layer.written.clone();
        if let Some(names) = &layer.components {
            written.annotations.insert(labels::COMPONENTS.to_owned(), names.clone());
        }
        written.descriptor(options.compression)
    });
    let entries = entries.collect::<Result<Vec<_>>>()?;
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
    dest.put_manifest(
        &RawManifest { bytes, media_type: MediaType::ImageManifest, digest },
        Some(&entry(platform)?),
    )?;
    Ok(digest)
}

fn config(
    commit: &Commit,
    platform: &PlatformName,
    labels: &HashMap<String, String>,
    layers: &[Layer],
    created_secs: u64,
    options: &BuildOptions,
) -> Result<ImageConfiguration> {
    let created = time(created_secs)?;
    let mut container = options.config.clone().unwrap_or_default();
    let own = container.labels().clone().unwrap_or_default();
    container.set_labels(Some(own.into_iter().chain(labels.clone()).collect()));
    if let Some(cmd) = options.cmd.clone().or_else(|| labels::container_cmd(commit)) {
        container.set_cmd(Some(cmd));
    }
    let history = layers.iter().map(|layer| {
        HistoryBuilder::default().created(created.clone()).created_by(layer.created_by.clone()).build()
    });
    let diff_ids: Vec<_> = layers.iter().map(|l| l.written.diff_id.to_string()).collect();
    let mut config = ImageConfigurationBuilder::default()
        .created(created.clone())
        .architecture(Arch::from(&*platform.architecture))
        .os(Os::from(&*platform.os))
        .config(container)
        .rootfs(RootFsBuilder::default().typ("layers").diff_ids(diff_ids).build().map_err(spec)?)
        .history(history.collect::<Result<Vec<_>, _>>().map_err(spec)?)
        .build()
        .map_err(spec)?;
    config.set_variant(platform.variant.clone());
    Ok(config)
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
    let time = i64::try_from(secs).ok().and_then(|secs| DateTime::from_timestamp(secs, 0));
    let time = time.ok_or_else(|| Error::Usage(format!("{secs} seconds since 1970 is no date")))?;
    Ok(time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn spec(error: OciSpecError) -> Error {
    Error::Image(error.to_string())
}
