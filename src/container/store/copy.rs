//! Copies a pulled image from one store to another, under the same or another name.

use std::collections::BTreeSet;

use super::ImageStore;
use super::names::{image_ref, layer_ref};
use super::query::{layer_commit, require};
use crate::base::Ctx;
use crate::container::{Digest, Error, ImageReference, Result};
use crate::store::Txn;
use crate::transfer;

/// Copies the image `name` of `from` with all its layers into `txn`, where it is called `target`.
///
/// # Errors
/// [`Error::NotStored`]; [`Error::Image`] if a layer is not there; [`Error::Store`].
pub fn copy(
    from: &impl ImageStore,
    name: &ImageReference,
    txn: &dyn Txn,
    target: &ImageReference,
    ctx: &Ctx,
) -> Result<()> {
    let stored = require(from, name)?;
    let mut commits = BTreeSet::from([stored.commit]);
    for layer in stored.image.manifest.layers() {
        let missing = || Error::Image(format!("layer {} of {name} is not here", layer.digest()));
        let commit = layer_commit(from, layer)?.ok_or_else(missing)?;
        commits.insert(commit);
        txn.set_ref(&layer_ref(&Digest::of_descriptor(layer)?)?, Some(commit))?;
    }
    let commits: Vec<_> = commits.into_iter().collect();
    transfer::copy(from, txn, &commits, &transfer::Options::default(), ctx)?;
    Ok(txn.set_ref(&image_ref(target)?, Some(stored.commit))?)
}
