//! What an image is made of, before anything of it is made.
//!
//! ```text
//! commit, options ─► BuildPlan ─┬─ recipes   the stream of each layer, which can be written again and again:
//!                               │            into a sink for its diffid, to a destination, to whoever asks for it
//!                               └─ outline   what the documents say but for digests
//! ```
//! So an image can be written to several places, or served without being stored. The same commit and options give the
//! same image, whatever the machine and the time: no clock is asked.

use std::collections::BTreeSet;
use std::io::Write;

use oci_spec::image::{Arch, Config};
use ostree_format::{CommitId, FileId};

use super::chunks::{self, Layering};
use super::documents::Outline;
use super::write::{Origin, PlacedLayer, write_layers};
use crate::base::{Ctx, debug_fields};
use crate::container::blob::KnownLayers;
use crate::container::image::{
    Compression, Digest, Image, ImageDest, LayerKind, PlatformName, Result, labels, platform_of,
};
use crate::container::server::{Server, ServerLayer};
use crate::store::{ObjectRead, load_commit};
use crate::tar::{ContentOrder, ExportOptions, StreamPart, XattrDialect, export_commit};

/// Options for building an image.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// The compression of layers, if the destination takes it: see [`ImageDest::compression`].
    pub compression: Compression,
    /// Labels of the caller, which replace those made of the commit; the manifest has them as annotations, too.
    pub labels: labels::Labels,
    /// The configuration that containers are run with; labels are added to its own.
    pub config: Option<Config>,
    /// The command to run in a container; otherwise the commit's `ostree.container-cmd`, if any.
    pub cmd: Option<Vec<String>>,
    /// Keys of the commit's metadata to copy into labels; each has to be there.
    pub copy_meta_keys: Vec<String>,
    /// Keys to copy where they are there.
    pub copy_meta_opt_keys: Vec<String>,
    /// The time at which the image was made, in seconds since 1970; otherwise the commit's time.
    pub created_secs: Option<u64>,
    /// The machines it is for, where the commit does not say: see [`platform_of`].
    pub platform: Option<PlatformName>,
    /// The way in which xattrs are written.
    pub xattrs: XattrDialect,
    /// The way in which the content is divided into layers.
    pub layering: Layering,
    /// An image of the commit before: what is in a layer there is in the same one here, and layers that did
    /// not change are not made again where `dest` has them.
    pub previous: Option<Image>,
    /// What lets the image serve itself, if it shall.
    pub server: Option<Server>,
}

/// A recipe for a layer: it writes the layer's tar stream, which is the same whenever it is written.
pub struct LayerRecipe<'a> {
    /// The kind of the layer's content.
    pub kind: LayerKind,
    /// The names of the components in it, if it is a chunk: the annotation `ostree.components`.
    pub components: Option<String>,
    /// About how many bytes of content it has; unknown for layers with metadata.
    pub size_bytes: Option<u64>,
    /// Writes the stream.
    pub(in crate::container) stream: Box<Stream<'a>>,
}

debug_fields!(LayerRecipe<'a> { kind, components, size_bytes });

/// Writes the tar stream of a layer.
pub(in crate::container) type Stream<'a> = dyn Fn(&mut dyn Write, &Ctx) -> Result<()> + Send + Sync + 'a;

/// An image of a commit that can be written.
pub struct BuildPlan<'a> {
    recipes: Vec<LayerRecipe<'a>>,
    outline: Outline,
    compression: Compression,
    previous: Option<Image>,
}

debug_fields!(BuildPlan<'a> { recipes, compression });

/// An image that was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The number of its layers.
    pub layers: usize,
    /// The number of layers that were at the destination already, as an earlier image told.
    pub reused: usize,
    /// The bytes of all others, compressed.
    pub written_bytes: u64,
}

impl LayerRecipe<'_> {
    /// Writes the uncompressed stream, whose SHA-256 is the layer's diffid.
    ///
    /// # Errors
    /// [`Error::Store`](crate::container::image::Error::Store) if an object is missing or damaged,
    /// [`Error::Tar`](crate::container::image::Error::Tar) if `out` cannot be written.
    pub fn write_stream(&self, out: &mut dyn Write, ctx: &Ctx) -> Result<()> {
        (self.stream)(out, ctx)
    }
}

impl<'a> BuildPlan<'a> {
    /// Decides what goes into which layer of an image of `commit`. Reads the commit's metadata, but no content except
    /// package databases.
    ///
    /// # Errors
    /// [`Error::Store`](crate::container::image::Error::Store) if an object is missing or damaged,
    /// [`Error::Usage`](crate::container::image::Error::Usage) for a key that the commit does not have or an object
    /// that has no layer.
    pub fn new(
        store: &'a dyn ObjectRead,
        commit: &CommitId,
        options: &BuildOptions,
        ctx: &Ctx,
    ) -> Result<Self> {
        let (commit, object) = (*commit, load_commit(store, commit)?);
        let platform = platform_of(store, &commit, options.platform.as_ref())?;
        let layering = match options.server {
            Some(_) => options.layering.leaving_one(),
            None => options.layering.clone(),
        };
        let (first, chunks) = chunks::divide(store, &commit, &layering, options.previous.as_ref(), ctx)?;
        let outline = Outline::new(&commit, &object, platform, &chunks, options)?;
        // Nobody else writes such layers in ostree-ext's format, whose order these would have to have.
        let order = match options.compression.is_chunked() {
            true => ContentOrder::Path,
            false => ContentOrder::Checksum,
        };
        let export = ExportOptions { xattrs: options.xattrs, order, ..ExportOptions::default() };
        let mut recipes = vec![LayerRecipe {
            kind: LayerKind::Commit,
            components: None,
            size_bytes: None,
            stream: Box::new(move |out, ctx| {
                let part = StreamPart::Rest(&first);
                Ok(export_commit(store, &commit, out, &ExportOptions { part, ..export }, ctx)?)
            }),
        }];
        recipes.extend(chunks.into_iter().map(|chunk| LayerRecipe {
            kind: LayerKind::Chunk,
            components: Some(chunk.components),
            size_bytes: Some(chunk.bytes),
            stream: Box::new(move |out, ctx| {
                let part = StreamPart::Chunk(&chunk.content);
                Ok(export_commit(store, &commit, out, &ExportOptions { part, ..export }, ctx)?)
            }),
        }));
        let (mut outline, compression) = (outline, options.compression);
        if let Some(server) = &options.server {
            server.program.check(&outline.platform)?;
            recipes.push(server_recipe(store, &commit, server, &BTreeSet::new())?);
            outline = outline.with_server();
        }
        let previous = options.previous.clone();
        Ok(Self { recipes, outline, compression, previous })
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[LayerRecipe<'a>] {
        &self.recipes
    }

    /// Makes the layers, apart from those that `dest` has already as an image from before tells, and stores the image.
    ///
    /// # Errors
    /// As [`BuildPlan::new`], and what `dest` says. Blobs that were finished stay then, but no image names them.
    pub fn write(&self, dest: &dyn ImageDest, ctx: &Ctx) -> Result<Built> {
        ctx.phase("Building image", None, None);
        let compression = dest.compression(self.compression);
        let mut known = KnownLayers::default();
        let architecture = Arch::from(&*self.outline.platform.architecture);
        for image in self.previous.clone().into_iter().chain(dest.current(&architecture)?) {
            known.add(&image, compression);
        }
        let layers = write_layers(dest, compression, &self.recipes, &known, ctx)?;
        let manifest = self.outline.put(dest, compression, &layers)?;
        Ok(Built::new(manifest, &layers))
    }
}

/// A recipe for the layer with the server; `in_base` is the content that only the base of the image has.
pub(super) fn server_recipe<'a>(
    store: &'a dyn ObjectRead,
    commit: &CommitId,
    server: &Server,
    in_base: &BTreeSet<FileId>,
) -> Result<LayerRecipe<'a>> {
    let layer = ServerLayer::new(store, commit, server, in_base)?;
    let stream: Box<Stream<'a>> = Box::new(move |out, ctx| layer.write(out, ctx));
    Ok(LayerRecipe { kind: LayerKind::Plain, components: None, size_bytes: None, stream })
}

impl Built {
    pub(in crate::container) fn new(manifest: Digest, layers: &[PlacedLayer]) -> Self {
        let written = layers.iter().filter(|placed| placed.origin == Origin::Written);
        Self {
            manifest,
            layers: layers.len(),
            reused: layers.iter().filter(|placed| placed.origin == Origin::Known).count(),
            written_bytes: written.map(|placed| placed.layer.size_bytes).sum(),
        }
    }
}

/// Builds an image of `commit` and stores it in `dest`. Layers of the image that has its name there now, and of
/// `options.previous`, are used again where they are the same.
///
/// # Errors
/// As [`BuildPlan::new`] and [`BuildPlan::write`].
pub fn build(
    store: &dyn ObjectRead,
    commit: &CommitId,
    dest: &dyn ImageDest,
    options: &BuildOptions,
    ctx: &Ctx,
) -> Result<Built> {
    BuildPlan::new(store, commit, options, ctx)?.write(dest, ctx)
}
