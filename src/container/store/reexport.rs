//! Makes an image of a pulled image again, with the same layers.
//!
//! ```text
//! commit      first layer     all metadata, and content that no other layer has
//! object set  chunk           the same objects; one of several sets goes to the first, with all its paths
//! tree        plain layer     the files, whiteouts included
//! ```
//! The streams are written anew. Those of a commit are written in the way, of all that [`ExportOptions`] knows, that gives
//! the diffid which the image tells: the versions of ostree-ext differ. Where none does, as where another program made a
//! layer, digests differ from those of the image that was pulled; labels, history and annotations stay. Source: ostree-ext
//! container/store.rs:1850-1990, which gives the new image the old one's label for its last layer, and cannot be pulled
//! then.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::sync::Arc;

use ostree_format::{CommitId, FileId, ObjectType};

use super::ImageStore;
use super::layers::{Holds, LayerIndex};
use super::query::require;
use super::record::{IMPLIED, LOWER_LINKS};
use crate::base::io::Hashing;
use crate::base::{Ctx, Silent};
use crate::container::blob::KnownLayers;
use crate::container::blob::chunked::TablePlace;
use crate::container::build::{Built, LayerRecipe, put_with_layers, write_layers};
use crate::container::image::{
    COMPONENTS, Compression, DiffId, Error, ImageDest, ImageLayer, ImageReference, LayerKind, LayerPlan,
    PlannedLayer, Result,
};
use crate::store::{ObjectRead, Reachable, load_commit, walk_commit};
use crate::tar::{
    ChunkContent, ContentOrder, ExportOptions, LayerFacts, PlainOptions, PlainPurpose, StreamPart,
    XattrDialect, export_commit, export_plain,
};

/// Writes the image that was pulled as `name` to `dest`, with `compression` if that takes it: see
/// [`ImageDest::compression`].
///
/// # Errors
/// [`NotStored`](crate::container::image::Error::NotStored); [`Image`](crate::container::image::Error::Image) if a
/// layer is not there; [`Store`](crate::container::image::Error::Store);
/// [`Unsupported`](crate::container::image::Error::Unsupported) for a commit on a base; what `dest` says.
pub fn reexport(
    store: &impl ImageStore,
    name: &ImageReference,
    dest: &dyn ImageDest,
    compression: Compression,
    ctx: &Ctx,
) -> Result<Built> {
    let compression = dest.compression(compression);
    let stored = require(store, name)?;
    if let Some(commit) = stored.commit_on_base(store)? {
        let why = format!(
            "image {} lies on a base, whose layers are not kept; build an image of its commit {commit}",
            stored.image.digest
        );
        return Err(Error::Unsupported(why));
    }
    let image = stored.image;
    let (plan, index) = (image.plan()?, LayerIndex::read(store)?);
    ctx.phase("Building image", None, None);
    let mut recipes = of_commit(store, &index, &plan, ctx)?;
    for layer in plan.of_kind(LayerKind::Plain) {
        let (_, commit) = index.require(&layer.descriptor, Some((&layer.diff_id, Holds::Files)))?;
        recipes.push(plain(store, layer, commit)?);
    }
    let mut known = KnownLayers::default();
    for image in [Some(image.clone()), dest.current(image.config.architecture())?].into_iter().flatten() {
        known.add(&image, compression);
    }
    let placed = write_layers(dest, compression, &recipes, &known, ctx)?;
    let listed =
        placed.iter().map(|placed| Ok((placed.layer.descriptor(compression)?, placed.layer.diff_id)));
    let manifest = put_with_layers(dest, &image, listed.collect::<Result<_>>()?)?;
    Ok(Built::new(manifest, &placed))
}

/// The layers of the commit, if the image has one.
fn of_commit<'a>(
    store: &'a impl ImageStore,
    index: &LayerIndex,
    plan: &'a LayerPlan,
    ctx: &Ctx,
) -> Result<Vec<LayerRecipe<'a>>> {
    let Some(first) = plan.commit_layer() else { return Ok(Vec::new()) };
    let (_, commit) = index.require(&first.descriptor, None)?;
    let mut placed: HashMap<FileId, usize> = HashMap::new();
    for (number, chunk) in plan.of_kind(LayerKind::Chunk).enumerate() {
        let (_, set) = index.require(&chunk.descriptor, Some((&chunk.diff_id, Holds::Objects)))?;
        for object in objects_of(store, &set)? {
            placed.entry(object).or_insert(number + 1);
        }
    }
    let all = ChunkContent::of_commit(store, &commit)?;
    let contents = all.divide(plan.layers_of_commit(), |id, _| placed.get(id).copied().unwrap_or(0));
    let streams: Vec<_> = plan
        .layers
        .iter()
        .zip(contents)
        .map(|(planned, content)| CommitStream { store, commit, planned, content })
        .collect();
    let way = way_of(&streams, ctx)?;
    Ok(streams.into_iter().map(|stream| stream.recipe(way)).collect())
}

/// What can differ between writers of the same layer.
type StreamWay = (XattrDialect, ContentOrder);

/// The way in which the layers of a commit were written: that of the smallest one in which it shows.
fn way_of<S: ImageStore>(streams: &[CommitStream<'_, S>], ctx: &Ctx) -> Result<StreamWay> {
    // One file alone has no order.
    let small = |(stream, layer): &(&CommitStream<'_, S>, &ImageLayer)| {
        (stream.content.paths() == 1, layer.descriptor.size())
    };
    let filled = streams.iter().filter(|stream| stream.content.paths() > 0);
    let filled = filled.map(|stream| (stream, &stream.planned.layer));
    let Some((stream, layer)) = filled.min_by_key(small) else { return Ok(StreamWay::default()) };
    let orders = match TablePlace::of(&layer.descriptor) {
        Some(_) => [ContentOrder::Path, ContentOrder::Checksum],
        None => [ContentOrder::Checksum, ContentOrder::Path],
    };
    let silent = Ctx { progress: Arc::new(Silent), ..ctx.clone() };
    for order in orders {
        for dialect in [XattrDialect::Linked, XattrDialect::Copied] {
            let mut hashing = Hashing::new(io::sink());
            stream.write((dialect, order), &mut hashing, &silent)?;
            if DiffId::new(hashing.finish().1) == layer.diff_id {
                return Ok((dialect, order));
            }
        }
    }
    Ok(StreamWay::default())
}

/// The stream of the layer with the commit, or of one of its chunks.
struct CommitStream<'a, S> {
    store: &'a S,
    commit: CommitId,
    planned: &'a PlannedLayer,
    content: ChunkContent,
}

impl<'a, S: ImageStore> CommitStream<'a, S> {
    fn write(&self, (xattrs, order): StreamWay, out: &mut dyn Write, ctx: &Ctx) -> Result<()> {
        let part = match self.planned.kind {
            LayerKind::Commit => StreamPart::Rest(&self.content),
            _ => StreamPart::Chunk(&self.content),
        };
        Ok(export_commit(self.store, &self.commit, out, &ExportOptions { part, xattrs, order }, ctx)?)
    }

    /// How the layer is made.
    fn recipe(self, way: StreamWay) -> LayerRecipe<'a> {
        let PlannedLayer { layer, kind } = self.planned;
        LayerRecipe {
            kind: *kind,
            components: components_of(layer),
            size_bytes: (*kind != LayerKind::Commit).then(|| layer.descriptor.size()),
            stream: Box::new(move |out, ctx| self.write(way, out, ctx)),
        }
    }
}

fn components_of(layer: &ImageLayer) -> Option<String> {
    layer.descriptor.annotations().as_ref().and_then(|all| all.get(COMPONENTS)).cloned()
}

/// The content objects that the commit of an object set names.
fn objects_of(store: &dyn ObjectRead, set: &CommitId) -> Result<HashSet<FileId>> {
    let mut objects = HashSet::new();
    walk_commit(store, set, &mut Reachable::default(), &mut |name| {
        if name.kind == ObjectType::File {
            objects.insert(FileId::new(name.checksum));
        }
        Ok(())
    })?;
    Ok(objects)
}

/// How a plain layer is made.
fn plain<'a>(store: &'a impl ImageStore, layer: &ImageLayer, commit: CommitId) -> Result<LayerRecipe<'a>> {
    let metadata = load_commit(store, &commit)?.metadata;
    let links = metadata.get_strv(LOWER_LINKS).unwrap_or_default();
    let lower = links.chunks_exact(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
    let implied = metadata.get_strv(IMPLIED).unwrap_or_default().into_iter().map(str::to_owned).collect();
    let purpose = PlainPurpose::Layer(LayerFacts { lower, implied });
    let options = PlainOptions { purpose, ..PlainOptions::default() };
    Ok(LayerRecipe {
        kind: LayerKind::Plain,
        components: components_of(layer),
        size_bytes: None,
        stream: Box::new(move |out, ctx| Ok(export_plain(store, &commit, out, &options, ctx)?)),
    })
}
