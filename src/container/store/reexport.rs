//! Makes an image of a pulled image again, with the same layers.
//!
//! ```text
//! commit      first layer     all metadata, and content that no other layer has
//! object set  chunk           the same objects; one of several sets goes to the first, with all its paths
//! tree        plain layer     the files, whiteouts included
//! ```
//! The streams are written anew, so that digests may differ from those of the image that was pulled; labels,
//! history and annotations stay. Source: ostree-ext container/store.rs:1850-1990, which gives the new image
//! the old one's label for its last layer, and cannot be pulled then.

use std::collections::{HashMap, HashSet};

use ostree_format::{CommitId, FileId, ObjectType};

use super::ImageStore;
use super::layers::{Holds, LayerIndex};
use super::query::require;
use super::record::{IMPLIED, LOWER_LINKS};
use crate::base::Ctx;
use crate::container::blob::KnownLayers;
use crate::container::build::{Built, Layer, Origin, put_with_layers, write_layers};
use crate::container::image::{
    COMPONENTS, Compression, ImageDest, ImageReference, LayerKind, LayerPlan, Result,
};
use crate::store::{ObjectRead, Reachable, load_commit, walk_commit};
use crate::tar::{
    ChunkContent, ExportOptions, LayerFacts, PlainOptions, PlainPurpose, export_chunk, export_final_chunk,
    export_plain,
};

/// Writes the image that was pulled as `name` to `dest`, with `compression` if that takes it: see
/// [`ImageDest::compression`].
///
/// # Errors
/// [`NotStored`](crate::container::image::Error::NotStored); [`Image`](crate::container::image::Error::Image) if a layer is not there; [`Store`](crate::container::image::Error::Store);
/// what `dest` says.
pub fn reexport(
    store: &impl ImageStore,
    name: &ImageReference,
    dest: &dyn ImageDest,
    compression: Compression,
    ctx: &Ctx,
) -> Result<Built> {
    let compression = dest.compression(compression);
    let image = require(store, name)?.image;
    let (plan, index) = (image.plan()?, LayerIndex::read(store)?);
    ctx.phase("Building image", None, None);
    let mut layers = Vec::new();
    of_commit(store, &index, &plan, &mut layers)?;
    for layer in plan.of_kind(LayerKind::Plain) {
        layers.push(plain(store, index.require(&layer.descriptor, Some((&layer.diff_id, Holds::Files)))?.1)?);
    }
    let mut known = KnownLayers::default();
    for image in [Some(image.clone()), dest.current(image.config.architecture())?].into_iter().flatten() {
        known.add(&image, compression);
    }
    let placed = write_layers(dest, compression, &layers, &known, ctx)?;
    let written = placed.iter().filter(|layer| layer.origin == Origin::Written);
    let written_bytes = written.map(|layer| layer.layer.size_bytes).sum();
    let reused = placed.iter().filter(|layer| layer.origin == Origin::Known).count();
    let listed = placed.iter().zip(image.manifest.layers()).map(|(placed, old)| {
        let mut layer = placed.layer.clone();
        let components = old.annotations().as_ref().and_then(|all| all.get(COMPONENTS));
        layer.annotations.extend(components.map(|names| (COMPONENTS.to_owned(), names.clone())));
        Ok((layer.descriptor(compression)?, layer.diff_id))
    });
    let manifest = put_with_layers(dest, &image, listed.collect::<Result<_>>()?)?;
    Ok(Built { manifest, layers: placed.len(), reused, written_bytes })
}

/// The layers of the commit.
fn of_commit<'a>(
    store: &'a impl ImageStore,
    index: &LayerIndex,
    plan: &LayerPlan,
    layers: &mut Vec<Layer<'a>>,
) -> Result<()> {
    let Some(first) = plan.commit_layer() else { return Ok(()) };
    let chunks: Vec<_> = plan.of_kind(LayerKind::Chunk).collect();
    let (_, commit) = index.require(&first.descriptor, None)?;
    let all = ChunkContent::of_commit(store, &commit)?;
    let mut placed: HashMap<FileId, usize> = HashMap::new();
    for (number, chunk) in chunks.iter().enumerate() {
        for object in
            objects_of(store, &index.require(&chunk.descriptor, Some((&chunk.diff_id, Holds::Objects)))?.1)?
        {
            placed.entry(object).or_insert(number + 1);
        }
    }
    let contents = all.divide(chunks.len() + 1, |id, _| placed.get(id).copied().unwrap_or(0));
    for (number, content) in contents.into_iter().enumerate() {
        let options = ExportOptions::default();
        layers.push(match number {
            0 => Layer {
                produce: Box::new(move |out, ctx| {
                    Ok(export_final_chunk(store, &commit, &content, out, &options, ctx)?)
                }),
                bytes: u64::MAX,
            },
            _ => Layer {
                bytes: chunks[number - 1].descriptor.size(),
                produce: Box::new(move |out, ctx| {
                    Ok(export_chunk(store, &commit, &content, out, &options, ctx)?)
                }),
            },
        });
    }
    Ok(())
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

fn plain<'a>(store: &'a impl ImageStore, commit: CommitId) -> Result<Layer<'a>> {
    let metadata = load_commit(store, &commit)?.metadata;
    let links = metadata.get_strv(LOWER_LINKS).unwrap_or_default();
    let lower = links.chunks_exact(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
    let implied = metadata.get_strv(IMPLIED).unwrap_or_default().into_iter().map(str::to_owned).collect();
    let purpose = PlainPurpose::Layer(LayerFacts { lower, implied });
    let options = PlainOptions { purpose, ..PlainOptions::default() };
    let produce =
        move |out: &mut dyn std::io::Write, ctx: &Ctx| Ok(export_plain(store, &commit, out, &options, ctx)?);
    Ok(Layer { produce: Box::new(produce), bytes: u64::MAX })
}
