//! Pulls an image into the store.
//!
//! ```text
//! manifest ► there already? ► layers that are not there ► merge ► refs of layers, ref of the image
//! ```
//! A layer is there if its ref is, or that of a layer with the same diffid of another image: recompressed,
//! it is still the same. Layers that were finished before an error can be kept: see [`pull`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ostree_format::{CommitId, FileId};

use super::garbage::prune_layers;
use super::names::{image_ref, layer_ref};
use super::query::{StoredImage, list, query};
use super::{ImageStore, write_merge_commit};
use crate::base::Ctx;
use crate::container::import::{Layers, TakenLayer, verify_stored};
use crate::container::merge::merge;
use crate::container::pull::{only_of_commit, take_image};
use crate::container::{
    DiffId, Digest, Image, ImageReference, ImageSource, PlannedLayer, PullOptions, Result,
};
use crate::store::{Completeness, Txn};
use crate::tar::write_object_set;

/// How an image is pulled into the store.
#[derive(Clone, Default)]
pub struct StoreOptions<'a> {
    /// How its layers are taken in.
    pub pull: PullOptions<'a>,
    /// What happens to layers that no image needs after it.
    pub unneeded: Unneeded,
    /// Whether the image gets its name.
    pub name: NameImage,
}

/// What happens to layers that no image needs after a pull.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unneeded {
    /// Their refs are deleted.
    #[default]
    Prune,
    /// They stay.
    Keep,
}

/// Whether an image gets its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NameImage {
    /// It does.
    #[default]
    Yes,
    /// Only its layers get theirs, so that a pull later on does not fetch them.
    No,
}

/// What was pulled into the store.
#[derive(Debug, Clone)]
pub struct PulledImage {
    /// The commit of all layers together.
    pub commit: CommitId,
    /// The digest of the image's manifest.
    pub digest: Digest,
    /// Layers that were fetched.
    pub fetched: usize,
    /// Their bytes, compressed.
    pub fetched_bytes: u64,
    /// Layers that were there.
    pub reused: usize,
    /// Entries of plain layers that were left out, by their first directory or their kind.
    pub left_out: BTreeMap<String, u64>,
    /// Layers that no image needs any more, and whose refs were deleted.
    pub pruned: usize,
}

/// Whether an image is up to date.
#[derive(Debug)]
pub enum Check {
    /// What its name stands for is here.
    Current(Box<StoredImage>),
    /// It is not.
    Changed {
        /// What its name stands for now.
        image: Box<Image>,
        /// What is here under the name.
        stored: Option<Box<StoredImage>>,
    },
}

/// Asks `source` what the image is now, and looks whether that is here under the name `target`. What is here is
/// vouched for as if it were pulled now: it may have come without.
///
/// # Errors
/// [`NoSignaturePolicy`](crate::container::Error::NoSignaturePolicy), and the other errors of signatures of
/// [`container::pull`](crate::container::pull()); what the source says;
/// [`Error::Store`](crate::container::Error::Store); [`Error::Image`](crate::container::Error::Image) if what is
/// here is damaged.
pub fn check(
    store: &(impl ImageStore + ?Sized),
    source: &dyn ImageSource,
    target: &ImageReference,
    options: &PullOptions<'_>,
) -> Result<Check> {
    let verify = options.signatures.decided()?;
    let image = Image::fetch(source, &options.architecture.clone().unwrap_or_default())?;
    let stored = query(store, target)?.map(Box::new);
    let check = match stored {
        Some(stored)
            if stored.image.digest == image.digest
                || stored.image.manifest.config().digest() == image.manifest.config().digest() =>
        {
            Check::Current(stored)
        }
        stored => Check::Changed { image: Box::new(image), stored },
    };
    if let (Check::Current(stored), Some(verify)) = (&check, verify) {
        only_of_commit(&stored.image, &stored.image.plan()?)?;
        verify_stored(store, &stored.base_commit(store)?, verify)?;
    }
    Ok(check)
}

/// Pulls `image` from `source` into `txn`, and lets the ref of `target` name it.
///
/// After an error of the network the transaction may be committed all the same: what is visible then are
/// the refs of layers that are whole, which the next pull does not fetch again.
///
/// # Errors
/// As [`container::pull`](crate::container::pull()).
pub fn pull(
    image: &Image,
    source: &dyn ImageSource,
    txn: &dyn Txn,
    target: &ImageReference,
    options: &StoreOptions<'_>,
    ctx: &Ctx,
) -> Result<PulledImage> {
    let layers = LayerRefs { txn, by_diff_id: layers_by_diff_id(txn)? };
    let mut taken = take_image(image, &image.plan()?, source, txn, &options.pull, &layers, ctx)?;
    let root = merge(source, txn, &mut taken, ctx)?;
    // Labeled anew, layers may be other commits now.
    taken.layers.iter().try_for_each(|layer| layers.finished(layer))?;
    let commit = write_merge_commit(txn, image, taken.base, root)?;
    if options.name == NameImage::Yes {
        txn.set_ref(&image_ref(target)?, Some(commit))?;
    }
    let (fetched, reused): (Vec<_>, Vec<_>) = taken.layers.iter().partition(|layer| layer.fetched);
    let mut left_out = BTreeMap::new();
    for (name, n) in fetched.iter().flat_map(|layer| &layer.left_out) {
        *left_out.entry(name.clone()).or_default() += n;
    }
    Ok(PulledImage {
        commit,
        digest: image.digest,
        fetched: fetched.len(),
        fetched_bytes: fetched.iter().map(|layer| layer.layer.descriptor.size()).sum(),
        reused: reused.len(),
        left_out,
        pruned: if options.unneeded == Unneeded::Prune { prune_layers(txn)? } else { 0 },
    })
}

/// Every layer is a commit with a ref.
struct LayerRefs<'a> {
    txn: &'a dyn Txn,
    by_diff_id: HashMap<DiffId, Digest>,
}

impl Layers for LayerRefs<'_> {
    fn kind(&self) -> &'static str {
        "image"
    }

    /// It may be here under another digest.
    fn known(&self, layer: &PlannedLayer) -> Result<Option<CommitId>> {
        let own = Digest::of_descriptor(&layer.descriptor)?;
        for digest in [Some(&own), self.by_diff_id.get(&layer.diff_id)].into_iter().flatten() {
            let Some(commit) = self.txn.resolve_exact(&layer_ref(digest)?)? else { continue };
            // What a check of the repository found to be damaged is fetched again.
            let whole = self.txn.completeness(&commit)? != Completeness::PartialByFsck;
            if whole && self.txn.contains(&commit.into())? {
                return Ok(Some(commit));
            }
        }
        Ok(None)
    }

    fn keep_chunk(&self, _base: CommitId, objects: &BTreeSet<FileId>) -> Result<CommitId> {
        Ok(write_object_set(self.txn, objects)?)
    }

    fn finished(&self, layer: &TakenLayer) -> Result<()> {
        let digest = Digest::of_descriptor(&layer.layer.descriptor)?;
        Ok(self.txn.set_ref(&layer_ref(&digest)?, Some(layer.commit))?)
    }
}

/// Layers of every image, by the diffid: one blob of each.
fn layers_by_diff_id(store: &(impl ImageStore + ?Sized)) -> Result<HashMap<DiffId, Digest>> {
    let mut layers = HashMap::new();
    for name in list(store)? {
        let Some(stored) = query(store, &name)? else { continue };
        for layer in stored.image.layers()? {
            layers.insert(layer.diff_id, Digest::of_descriptor(&layer.descriptor)?);
        }
    }
    Ok(layers)
}
