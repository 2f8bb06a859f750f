//! Fetches one layer of an image, as what it is to be.
//!
//! ```text
//! blob ► digest ► objects, each by its checksum ► commit | object set      or those that are missing: `objectwise`
//! blob ► digest, diffid ► files                 ► commit of a tree with whiteouts
//! ```
//! A commit's signature is judged before anything of it is written.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use ostree_format::variant::{Dict, Value};
use ostree_format::{Commit, CommitId, FileId};

use super::objectwise::{self, Wanted, read_missing};
use super::take::Taking;
use crate::base::{Ctx, Event, Progress};
use crate::container::image::{Digest, Error, ImageLayer, Result};
use crate::container::store::{
    IMPLIED, IMPORTER, LOWER_LINKS, LayerRecord, LayerRole, TakenLayer, importer_version,
};
use crate::store::Modifier;
use crate::tar::{
    Clones, ImportOptions, LayerOptions, LayerTree, import_commit_layer, import_layer, import_objects,
};

/// Fetches the first layer; also returns the content objects that its commit names. Chunks may bring copies of what
/// the layer has.
pub(in crate::container) fn fetch_commit(
    layer: &ImageLayer,
    promised: Option<CommitId>,
    taking: &Taking<'_>,
    ctx: &Ctx,
) -> Result<(TakenLayer, HashSet<FileId>)> {
    let (objects, clones) = (objects_only(ctx), Clones::new(taking.txn));
    let (imported, bytes, _) =
        read_missing(layer, Wanted::Commit(promised), taking, &clones, ctx, &mut |stream, holds| {
            let import = ImportOptions { voucher: taking.voucher, holds, clones: Some(&clones) };
            Ok(import_commit_layer(stream, taking.txn, &import, &objects)?)
        })?;
    let commit = imported.commit;
    if let Some(promised) = promised.filter(|promised| *promised != commit) {
        return Err(Error::Image(format!("the labels promise commit {promised}, the image holds {commit}")));
    }
    let fetched = TakenLayer::fetched(layer, LayerRole::Commit(commit), commit, bytes);
    taking.layers.finished(&fetched)?;
    Ok((fetched, imported.files))
}

/// Fetches a layer with content objects of the commit `base`: none but those that are `expected`.
pub(in crate::container) fn fetch_chunk(
    layer: &ImageLayer,
    base: CommitId,
    expected: &HashSet<FileId>,
    taking: &Taking<'_>,
    ctx: &Ctx,
) -> Result<TakenLayer> {
    let (objects_ctx, clones) = (objects_only(ctx), Clones::new(taking.txn));
    let (objects, bytes, listed) =
        read_missing(layer, Wanted::Content(expected), taking, &clones, ctx, &mut |stream, _| {
            Ok(import_objects(stream, taking.txn, Some(expected), Some(&clones), &objects_ctx)?)
        })?;
    let commit = taking.layers.keep_chunk(layer, base, &listed.unwrap_or(objects))?;
    let fetched = TakenLayer::fetched(layer, LayerRole::Chunk(base), commit, bytes);
    taking.layers.finished(&fetched)?;
    Ok(fetched)
}

/// Fetches a plain layer.
pub(in crate::container) fn fetch_plain(
    layer: &ImageLayer,
    rules: LayerOptions,
    modifier: &Modifier,
    taking: &Taking<'_>,
    ctx: &Ctx,
) -> Result<TakenLayer> {
    let (objects_ctx, blob) = (objects_only(ctx), Digest::of_descriptor(&layer.descriptor)?);
    let read = |wanted: &BTreeSet<String>| {
        let clones = &Clones::new(taking.txn);
        let read = objectwise::read_files(layer, taking, clones, ctx, &mut |stream| {
            import_layer(stream, taking.txn, rules, wanted, modifier, Some(clones), &objects_ctx)
                .map_err(Error::from)
        });
        read.map_err(|error| error.of_layer(blob))
    };
    let (mut tree, mut bytes) = read(&BTreeSet::new())?;
    if !tree.wanted.is_empty() {
        // Hard links name files that are left out: what these hold is known only now to be needed.
        (tree, bytes) = read(&tree.wanted)?;
    }
    let mut metadata = plain_metadata(&tree);
    LayerRecord { blob, diff_id: layer.diff_id, rules: Some(rules) }.write(&mut metadata);
    let commit = Commit {
        metadata,
        parent: None,
        related: Vec::new(),
        subject: String::new(),
        body: String::new(),
        // The same layer is the same commit, whenever it was pulled.
        timestamp: 0,
        root: tree.root,
    };
    let commit = taking.txn.write_commit(&commit)?;
    let fetched = TakenLayer::fetched(layer, LayerRole::Plain(rules), commit, bytes);
    taking.layers.finished(&fetched)?;
    Ok(TakenLayer { left_out: tree.left_out, special: tree.special, ..fetched })
}

fn plain_metadata(tree: &LayerTree) -> Dict {
    let mut metadata = Dict::new();
    metadata.push(IMPORTER, Value::Str(importer_version()));
    metadata.push(IMPLIED, Value::strv(tree.implied.iter().map(String::as_str)));
    if !tree.lower_links.is_empty() {
        metadata.push(LOWER_LINKS, super::merge::links_value(&tree.lower_links));
    }
    metadata
}

/// Reports objects without their bytes: those of the blobs are counted, which are known beforehand.
struct ObjectsOnly(Arc<dyn Progress>);

impl Progress for ObjectsOnly {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Done { objects: 0, .. } => {}
            Event::Done { objects, .. } => self.0.event(Event::Done { objects, bytes: 0 }),
            other => self.0.event(other),
        }
    }
}

pub(super) fn objects_only(ctx: &Ctx) -> Ctx {
    Ctx { progress: Arc::new(ObjectsOnly(Arc::clone(&ctx.progress))), ..ctx.clone() }
}
