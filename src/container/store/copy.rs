//! Copies a pulled image from one store to another, under the same or another name.

use std::collections::BTreeSet;

use super::ImageStore;
use super::layers::{Holds, LayerIndex};
use super::names::{commit_ref, image_ref, layer_ref};
use super::query::require;
use crate::base::Ctx;
use crate::container::image::{ImageReference, PlannedLayer, Result};
use crate::store::{Begin, Txn, in_transaction};
use crate::transfer;

/// Copies the image `name` of `from` with all its layers into `to`, where it is called `target`.
///
/// # Errors
/// [`NotStored`](crate::container::image::Error::NotStored); [`Image`](crate::container::image::Error::Image) if a
/// layer is not there; [`Store`](crate::container::image::Error::Store).
pub fn copy(
    from: &impl ImageStore,
    name: &ImageReference,
    to: &dyn Begin,
    target: &ImageReference,
    ctx: &Ctx,
) -> Result<()> {
    in_transaction(to, ctx, |txn| copy_into(txn, from, name, target, ctx))
}

fn copy_into(
    txn: &dyn Txn,
    from: &impl ImageStore,
    name: &ImageReference,
    target: &ImageReference,
    ctx: &Ctx,
) -> Result<()> {
    let stored = require(from, name)?;
    let mut commits = BTreeSet::from([stored.commit]);
    let index = LayerIndex::read(from)?;
    let mut kept = Vec::new();
    // Early versions of ostree-ext kept no configuration, without which nothing is planned.
    for layer in stored.image.manifest.layers() {
        kept.extend(index.find(layer, None)?);
    }
    if let Some(commit) = stored.commit_on_base(from)? {
        commits.insert(commit);
        txn.set_ref(&commit_ref(&commit)?, Some(commit))?;
    } else {
        for PlannedLayer { layer, kind } in &stored.image.plan()?.layers {
            kept.push(index.require(&layer.descriptor, Some((&layer.diff_id, Holds::of(*kind))))?);
        }
    }
    for (digest, commit) in kept {
        commits.insert(commit);
        let name = layer_ref(&digest)?;
        // What is here was read by whoever wrote its ref.
        if txn.resolve_exact(&name)?.is_none() {
            txn.set_ref(&name, Some(commit))?;
        }
    }
    let commits: Vec<_> = commits.into_iter().collect();
    transfer::copy(from, txn, &commits, &transfer::TransferOptions::default(), ctx)?;
    Ok(txn.set_ref(&image_ref(target)?, Some(stored.commit))?)
}
