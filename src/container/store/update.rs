//! Updates that were seen, but not pulled yet: detached metadata of the image's commit.
//!
//! ```text
//! ostree-ext.cached.{config,manifest,manifest-digest}
//! ```
//! Other detached metadata stays. Source: ostree-ext container/store.rs:745-800, 1740-1800.

use ostree_format::CommitId;

use super::commit::{MetadataKeys, entries, parse};
use super::query::commit_of;

use crate::container::image::{Error, Image, ImageReference, Result};
use crate::store::{ObjectRead, Txn, load_commitmeta};

const KEYS: MetadataKeys = MetadataKeys {
    digest: "ostree-ext.cached.manifest-digest",
    manifest: "ostree-ext.cached.manifest",
    config: "ostree-ext.cached.config",
};

/// The update that the detached metadata of `commit` tells of.
pub(super) fn read_update(store: &(impl ObjectRead + ?Sized), commit: &CommitId) -> Result<Option<Image>> {
    match load_commitmeta(store, commit)? {
        Some(detached) => parse(&format!("detached metadata of {commit}"), &detached, &KEYS),
        None => Ok(None),
    }
}

/// Notes with the commit of an image that there is a newer one.
///
/// # Errors
/// [`Error::Store`], [`Error::Json`].
pub fn cache_update(txn: &dyn Txn, commit: &CommitId, update: &Image) -> Result<()> {
    let mut detached = load_commitmeta(txn, commit)?.unwrap_or_default();
    for (key, value) in entries(update, &KEYS)? {
        detached.insert(key, value);
    }
    Ok(txn.set_detached(commit, &detached)?)
}

/// Forgets the update that was seen of an image; says whether there was one.
///
/// # Errors
/// [`Error::NotStored`]; [`Error::Store`].
pub fn clear_cached_update(txn: &dyn Txn, image: &ImageReference) -> Result<bool> {
    let commit = commit_of(txn, image)?.ok_or_else(|| Error::NotStored(image.clone()))?;
    let mut detached = load_commitmeta(txn, &commit)?.unwrap_or_default();
    let before = detached.len();
    for key in [KEYS.digest, KEYS.manifest, KEYS.config] {
        detached.remove(key);
    }
    let found = detached.len() < before;
    if found {
        txn.set_detached(&commit, &detached)?;
    }
    Ok(found)
}
