//! Pulls an image into the store.
//!
//! ```text
//! manifest ► there already? ► layers that are not there ► merge ► refs of layers, ref of the image
//!                             └ of an image on a base the commit: see `on_base` ► its ref, that of the lowest layer, ref of the image
//! ```
//! What is there is told by `layers`. Layers that were finished before an error can be kept: see [`pull`].

use std::collections::BTreeMap;

use ostree_format::CommitId;

use super::merge::{Arrange, merge};
use super::on_base::take_on_base;
use super::options::{PullOptions, Vouching, only_of_commit};
use super::take::take;
use crate::base::Ctx;
use crate::container::image::{
    CommitOnBase, Digest, Error, Image, ImageReference, LayerKind, LayerPlan, PlannedLayer, Result,
};
use crate::container::store::{
    ImageStore, LayerCounts, Layers, PulledLayer, StoredImage, StoredLayers, TakenLayer, cache_update,
    commit_ref, image_ref, layers_metadata, prune_layers, query, write_merge_commit,
};
use crate::container::trust::Admitted;
use crate::store::{Begin, Txn, in_resumed, load_commit, vouch_stored};
use crate::tar::Var;

/// Options for pulling an image into the store.
#[derive(Debug, Clone, Default)]
pub struct StoreOptions<'a> {
    /// Options for taking in the layers.
    pub pull: PullOptions<'a>,
    /// The treatment of layers that no image needs after the pull.
    pub unneeded: Unneeded,
    /// Whether the image gets its name.
    pub name: NameImage,
}

/// The treatment of layers that no image needs after a pull.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unneeded {
    /// The refs of the layers are deleted.
    #[default]
    Prune,
    /// The layers stay.
    Keep,
}

/// Whether an image gets its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NameImage {
    /// The image gets its name.
    #[default]
    Yes,
    /// Only the layers of the image get their names, so that a later pull does not fetch them.
    No,
}

/// The result of pulling an image into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledImage {
    /// The commit of all layers together.
    pub commit: CommitId,
    /// The digest of the image's manifest.
    pub manifest: Digest,
    /// The number of layers that were fetched.
    pub fetched: usize,
    /// The bytes that were fetched of them, compressed.
    pub fetched_bytes: u64,
    /// The number of layers that were there already.
    pub reused: usize,
    /// Every layer, lowest first, and what was fetched for it.
    pub layers: Vec<PulledLayer>,
    /// Entries of plain layers that were left out, by their first directory or their kind.
    pub left_out: BTreeMap<String, u64>,
    /// Layers that no image needs any more, and whose refs were deleted.
    pub pruned: usize,
}

/// Whether an image is up to date.
#[derive(Debug)]
pub enum Check {
    /// The image that the name stands for is in the store. The pull that brought it may have been stopped at its very
    /// end: `Repo::settle` makes up for that.
    Current(Box<StoredImage>),
    /// Another image than the one in the store has the name, the one there was pulled with another treatment of `var`, or
    /// none is in the store.
    Changed {
        /// The image that the store has under the name.
        stored: Option<Box<StoredImage>>,
    },
}

/// Looks whether `image` is here under the name `target`. What is here is vouched for as if it were pulled now: it may
/// have come without.
///
/// # Errors
/// [`NoSignaturePolicy`](crate::container::image::Error::NoSignaturePolicy), and the other errors of signatures of
/// [`container::pull`](crate::container::pull::pull()); what the source says;
/// [`Error::Store`](crate::container::image::Error::Store); [`Error::Image`](crate::container::image::Error::Image) if what is
/// here is damaged.
pub fn check_image(
    store: &(impl ImageStore + ?Sized),
    image: &Admitted<'_>,
    target: &ImageReference,
    options: &PullOptions<'_>,
) -> Result<Check> {
    let voucher = options.vouching.decided(image)?;
    let new = image.image()?;
    let stored = query(store, target)?.map(Box::new);
    let stored = match stored {
        Some(stored)
            if stored.image.digest == new.digest && stored.is_as_pulled_with(store, options.var)? =>
        {
            stored
        }
        stored => return Ok(Check::Changed { stored }),
    };
    let on_base = new.without_server().on_base()?;
    if on_base.is_some() && stored.commit_on_base(store)?.is_none() {
        // Somebody took its layers for plain ones.
        return Ok(Check::Changed { stored: Some(stored) });
    }
    if let Some(voucher) = voucher {
        if on_base.is_none() {
            only_of_commit(&stored.image, &stored.image.plan()?)?;
        }
        // The one that the image was made of, whatever its layer's ref names by now.
        let base = load_commit(store, &stored.commit)?.parent;
        let missing = || Error::Image(format!("commit {} of the image names no parent", stored.commit));
        vouch_stored(store, &base.ok_or_else(missing)?, voucher)?;
    }
    Ok(Check::Current(stored))
}

/// Pulls `image` into `store`, and lets the ref of `target` name it. What was finished when a pull fails is left to
/// the next one, unless it is refused: see [`give_up`](crate::store::give_up).
///
/// # Errors
/// As [`container::pull`](crate::container::pull::pull()).
pub fn pull_image(
    image: &Admitted<'_>,
    store: &dyn Begin,
    target: &ImageReference,
    options: &StoreOptions<'_>,
    ctx: &Ctx,
) -> Result<PulledImage> {
    options.pull.vouching.decided(image)?;
    in_resumed(store, ctx, |txn| pull_image_into(txn, image, target, options, ctx))
}

fn pull_image_into(
    txn: &dyn Txn,
    source: &Admitted<'_>,
    target: &ImageReference,
    options: &StoreOptions<'_>,
    ctx: &Ctx,
) -> Result<PulledImage> {
    let image = source.image()?;
    if let Some(old) = query(txn, target)? {
        cache_update(txn, &old.commit, image)?;
    }
    let (commit, layers, left_out) = match image.without_server().on_base()? {
        Some(on_base) => {
            let (commit, layers) = take_image_on_base(txn, source, image, &on_base, &options.pull, ctx)?;
            (commit, layers, BTreeMap::new())
        }
        None => take_image(txn, source, image, &options.pull, ctx)?,
    };
    if options.name == NameImage::Yes {
        txn.set_ref(&image_ref(target)?, Some(commit))?;
    }
    if let Some(name) = &options.pull.name {
        txn.set_ref(name, Some(commit))?;
    }
    let LayerCounts { fetched, fetched_bytes, reused } = LayerCounts::of(&layers);
    Ok(PulledImage {
        commit,
        manifest: image.digest,
        fetched,
        fetched_bytes,
        reused,
        layers,
        left_out,
        pruned: if options.unneeded == Unneeded::Prune { prune_layers(txn)? } else { 0 },
    })
}

/// Takes in the commit that lies on a base, and the lowest layer of the base for itself: gives the commit that stands for the
/// image, and what was fetched for each layer.
///
/// ostree-ext shows no image, and pulls none into the repository, while the first layer of an image there has no ref. Most of
/// what is in that layer is in the commit, too, and is read once.
fn take_image_on_base(
    txn: &dyn Txn,
    source: &Admitted<'_>,
    image: &Image,
    on_base: &CommitOnBase,
    options: &PullOptions<'_>,
    ctx: &Ctx,
) -> Result<(CommitId, Vec<PulledLayer>)> {
    let lowest = on_base.base.iter().take(1).cloned();
    let layers = lowest.map(|layer| PlannedLayer { layer, kind: LayerKind::Plain }).collect();
    // Nobody vouches for it, and nothing is made of it here.
    let options_of_lowest = PullOptions { vouching: Vouching::Nobody, name: None, var: Var::Keep };
    let plan = LayerPlan { commit: None, layers };
    let lowest = take(source, &plan, txn, &options_of_lowest, &StoredLayers::read(txn)?, ctx)?.layers;
    let mut layers = take_on_base(txn, source, on_base, options.vouching, ctx)?;
    for (all, lowest) in layers.iter_mut().zip(&lowest) {
        if lowest.is_fetched() {
            let lowest = lowest.report()?;
            *all = PulledLayer { bytes: all.bytes + lowest.bytes, ..lowest };
        }
    }
    // No layer's ref keeps it: a layer is not known without those below it.
    txn.set_ref(&commit_ref(&on_base.commit)?, Some(on_base.commit))?;
    let root = load_commit(txn, &on_base.commit)?.root;
    let commit = write_merge_commit(txn, image, Some(on_base.commit), root, Default::default())?;
    Ok((commit, layers))
}

/// Takes the layers in, gives them their refs, and lays plain ones over the commit: gives the commit of all of them, what was
/// fetched for each, and what was left out of them.
fn take_image(
    txn: &dyn Txn,
    source: &Admitted<'_>,
    image: &Image,
    options: &PullOptions<'_>,
    ctx: &Ctx,
) -> Result<(CommitId, Vec<PulledLayer>, BTreeMap<String, u64>)> {
    let (layers, plan) = (StoredLayers::read(txn)?, image.plan()?);
    let mut taken = take(source, &plan, txn, options, &layers, ctx)?;
    let root = merge(source, txn, &mut taken, Arrange::No, ctx)?.root;
    // Labeled anew, layers may be other commits now.
    taken.layers.iter().try_for_each(|layer| layers.finished(layer))?;
    let metadata = if plan.plain_layers() > 0 { layers_metadata(options.var) } else { Default::default() };
    let commit = write_merge_commit(txn, image, taken.base, root, metadata)?;
    let mut left_out = BTreeMap::new();
    for (name, n) in taken.layers.iter().flat_map(|layer| &layer.left_out) {
        *left_out.entry(name.clone()).or_default() += n;
    }
    Ok((commit, taken.layers.iter().map(TakenLayer::report).collect::<Result<_>>()?, left_out))
}
