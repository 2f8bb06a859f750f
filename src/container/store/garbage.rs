//! Takes away images and the refs of layers that no image needs.
//!
//! Objects stay until the repository is pruned. Layers are needed by images, by deployments
//! (`ostree/0`, `ostree/1`, `rpmostree/base`) and by base images; so are commits on a base. Source: ostree-ext
//! container/store.rs:2050-2180.

use std::collections::{BTreeSet, HashSet};

use ostree_format::{CommitId, RefSpec};

use super::commit::parse_merge;
use super::layers::{Holds, LayerIndex};
use super::names::{IMAGES, commit_of_ref, image_ref, layer_of_ref};
use super::query::list;
use crate::container::image::{Digest, ImageReference, Result};
use crate::store::{Txn, load_commit};

/// Where refs of commits are that may stand for images, apart from the images' own.
const ROOTS: [&str; 5] = [IMAGES, "ostree/container/baseimage", "ostree/0", "ostree/1", "rpmostree/base"];

/// Deletes the ref of an image; says whether it was there. Its layers stay: see [`prune_layers`].
///
/// # Errors
/// [`Error::Store`](crate::container::image::Error::Store).
pub fn remove(txn: &dyn Txn, image: &ImageReference) -> Result<bool> {
    let refspec = image_ref(image)?;
    let found = txn.resolve_exact(&refspec)?.is_some();
    if found {
        txn.set_ref(&refspec, None)?;
    }
    Ok(found)
}

/// Deletes the refs of images that are not in `keep`; returns them.
///
/// # Errors
/// [`Error::Store`](crate::container::image::Error::Store);
/// [`Error::Reference`](crate::container::image::Error::Reference) for a ref among the images that names none.
pub fn prune_images(txn: &dyn Txn, keep: &BTreeSet<ImageReference>) -> Result<Vec<ImageReference>> {
    let mut images = list(txn)?;
    images.retain(|image| !keep.contains(image));
    for image in &images {
        remove(txn, image)?;
    }
    Ok(images)
}

/// Deletes the refs of layers that nothing needs, and those of commits on a base; says how many layers there were.
///
/// # Errors
/// [`Error::Store`](crate::container::image::Error::Store); [`Error::Json`](crate::container::image::Error::Json),
/// [`Error::Image`](crate::container::image::Error::Image) if an image does not say which layers it has: then nothing
/// is deleted.
pub fn prune_layers(txn: &dyn Txn) -> Result<usize> {
    let refs = txn.list()?;
    let roots: HashSet<CommitId> =
        refs.iter().filter(|(name, _)| is_root(name)).map(|(_, commit)| *commit).collect();
    let (mut needed, mut needed_commits, index) = (HashSet::new(), HashSet::new(), LayerIndex::read(txn)?);
    for id in roots {
        let commit = load_commit(txn, &id)?;
        let Some(image) = parse_merge(&id, &commit.metadata)? else { continue };
        needed_commits.extend(commit.parent);
        for layer in image.manifest.layers() {
            needed.insert(Digest::of_descriptor(layer)?);
        }
        // A layer may be here by another blob with the same stream.
        for layer in image.layers()? {
            for holds in [Holds::Objects, Holds::Files] {
                let found = index.find(&layer.descriptor, Some((&layer.diff_id, holds)))?;
                needed.extend(found.map(|(digest, _)| digest));
            }
        }
    }
    let mut pruned = 0;
    for name in refs.keys() {
        if let Some(digest) = layer_of_ref(name)?
            && !needed.contains(&digest)
        {
            txn.set_ref(name, None)?;
            pruned += 1;
        }
        if commit_of_ref(name)?.is_some_and(|commit| !needed_commits.contains(&commit)) {
            txn.set_ref(name, None)?;
        }
    }
    Ok(pruned)
}

fn is_root(refspec: &RefSpec) -> bool {
    let name = refspec.name.as_str();
    refspec.remote.is_none()
        && ROOTS.iter().any(|root| name.strip_prefix(root).is_some_and(|rest| rest.starts_with('/')))
}
