//! Takes the layers of an image into a store.
//!
//! ```text
//! layer 0    the commit with its metadata      ► signature ► commit
//! chunks     content objects of that commit    ┐ several layers ► what the caller keeps: see `Layers`
//! plain      file systems without a commit     ┘ at once        ► commit of a tree with whiteouts
//! ```
//! Layers that are known to be in the store are not fetched; the others are verified (see `fetch`). At the end
//! everything that the commit names is there, whatever was said of its layers before.
//! Nothing becomes visible: refs and the end of the transaction are the caller's.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use ostree_format::{CommitId, FileId};

use super::by_delta::Deltas;
use super::facts::BaseFacts;
use super::fetch::{fetch_chunk, fetch_commit, fetch_plain};
use super::objectwise::Here;
use super::options::{PullOptions, only_of_commit};
use super::prepare_root::RootKind;
use super::resume::Resuming;
use crate::base::{Ctx, Item, Pool, with_pool};
use crate::container::delta::LayerDelta;
use crate::container::image::{Error, ImageLayer, ImageSource, LayerKind, LayerPlan, PlannedLayer, Result};
use crate::container::store::{KeptLayer, LayerRole, Layers, Origin, TakenLayer, WhyWhole, is_whole};
use crate::container::trust::Admitted;
use crate::store::selinux::SelinuxPolicy;
use crate::store::{self, Completeness, Hints, Reachable, Txn, Voucher, vouch_stored, walk_commit};
use crate::tar::{LayerOptions, Toplevel, Var, check_complete};

/// How layers are taken in.
#[derive(Clone, Copy)]
pub(super) struct Taking<'a> {
    /// Where the layers come from.
    pub(in crate::container) source: &'a dyn ImageSource,
    /// Where they go to.
    pub(in crate::container) txn: &'a dyn Txn,
    /// Decides about the commit; none lets every commit in.
    pub(in crate::container) voucher: Option<&'a dyn Voucher>,
    /// The record of layers that are in the store already, to which new ones are added.
    pub(in crate::container) layers: &'a dyn Layers,
    /// What happens to `var` of plain layers.
    pub(in crate::container) var: Var,
    /// The deltas to the layers.
    pub(super) deltas: &'a Deltas<'a>,
    /// The content that is in the store.
    pub(super) here: &'a Here,
    /// Why layers are fetched as a whole, if they are whatever their tables say.
    pub(super) whole: Option<WhyWhole>,
}

impl Taking<'_> {
    /// The delta to a layer that is to be fetched, if one is to be used.
    ///
    /// # Errors
    /// What ends the pull.
    pub(super) fn delta(&self, layer: &ImageLayer) -> Result<Option<LayerDelta>> {
        if self.whole.is_some() { Ok(None) } else { self.deltas.of(layer) }
    }
}

/// An image whose layers are in the store.
#[derive(Debug, Clone)]
pub(in crate::container) struct Taken {
    /// The commit, if the image has one.
    pub(in crate::container) base: Option<CommitId>,
    /// Every layer, in order.
    pub(in crate::container) layers: Vec<TakenLayer>,
    /// How files of the plain layers were labeled.
    pub(in crate::container) policy: Option<Arc<SelinuxPolicy>>,
    /// The rules by which the plain layers were taken in.
    pub(in crate::container) rules: LayerOptions,
}

/// Takes in all layers of an image, apart from those that are known to `layers` or were finished by an interrupted pull.
///
/// # Errors
/// [`store::Error::Refused`] if the commit is not let in; [`Error::Image`] if the image does not hold what it
/// says; whatever is damaged or missing is named.
pub(in crate::container) fn take(
    source: &Admitted<'_>,
    plan: &LayerPlan,
    txn: &dyn Txn,
    options: &PullOptions<'_>,
    layers: &dyn Layers,
    ctx: &Ctx,
) -> Result<Taken> {
    let (image, voucher) = (source.image()?, options.vouching.decided(source)?);
    if voucher.is_some() {
        only_of_commit(image, plan)?;
    }
    let bytes = image.manifest.layers().iter().map(|layer| layer.size()).sum();
    ctx.phase("Pulling image", None, Some(bytes));
    let layers = &Resuming::new(layers, txn);
    let whole = begin(txn)?.then_some(WhyWhole::NothingHere);
    let deltas = &Deltas::new(source, image, txn);
    let here = &Here::default();
    let taking = &Taking { source, txn, voucher, layers, var: options.var, deltas, here, whole };
    let (expected, taken) = (HashSet::new(), vec![None; plan.layers.len()]);
    Take { plan, taking, ctx, expected, taken }.all()
}

/// Begins the journal; says whether the store has nothing yet, not even from a pull that was interrupted.
fn begin(txn: &dyn Txn) -> Result<bool> {
    let is_new = txn.hints().is_none_or(Hints::begin_journal);
    Ok(is_new && txn.list()?.is_empty() && txn.commits_with_prefix("")?.is_empty())
}

/// The rules by which plain layers are taken in on top of a commit with these facts.
pub(super) fn rules(facts: &BaseFacts, var: Var) -> LayerOptions {
    let toplevel = match facts.root {
        RootKind::Writable => Toplevel::Keep,
        RootKind::ReadOnly => Toplevel::LeaveOut,
    };
    LayerOptions { toplevel, var }
}

/// The layers of an image on their way.
struct Take<'a> {
    plan: &'a LayerPlan,
    taking: &'a Taking<'a>,
    ctx: &'a Ctx,
    /// The content objects that chunks may hold.
    expected: HashSet<FileId>,
    /// What is in, in the order of the plan.
    taken: Vec<Option<TakenLayer>>,
}

impl Take<'_> {
    /// The commit first, then its chunks and the plain layers on top of it.
    fn all(mut self) -> Result<Taken> {
        let base = self.commit()?;
        let early = match base {
            Some(base) if self.plan.plain_layers() > 0 => BaseFacts::of_commit(self.taking.txn, &base)?,
            _ => Some(BaseFacts::NO_BASE),
        };
        self.others(base, early.as_ref())?;
        if let Some(base) = base {
            self.complete(&base)?;
        }
        let facts = match (early, base) {
            (None, Some(base)) => {
                // They depend on a file that came in some chunk.
                let missing = || Error::Image(format!("commit {base}: its configuration is not there"));
                let facts = BaseFacts::of_commit(self.taking.txn, &base)?.ok_or_else(missing)?;
                self.others(Some(base), Some(&facts))?;
                facts
            }
            (early, _) => early.unwrap_or(BaseFacts::NO_BASE),
        };
        let layers = self.taken.into_iter().flatten().collect();
        Ok(Taken { base, layers, rules: rules(&facts, self.taking.var), policy: facts.policy })
    }

    /// The layer that holds the commit; `None` if the image has none.
    fn commit(&mut self) -> Result<Option<CommitId>> {
        let (taking, ctx) = (self.taking, self.ctx);
        let Some(layer) = self.plan.commit_layer() else { return Ok(None) };
        let (taken, expected) = match known_commit(layer, self.plan.commit, taking, ctx)? {
            Some(known) => known,
            None => fetch_commit(layer, self.plan.commit, taking, ctx)?,
        };
        let commit = taken.commit;
        self.expected = expected;
        self.taken[0] = Some(taken);
        Ok(Some(commit))
    }

    /// All layers that are not in yet, apart from plain ones as long as it is not known by which rules: those that are
    /// known, then the others, which are fetched.
    fn others(&mut self, base: Option<CommitId>, facts: Option<&BaseFacts>) -> Result<()> {
        let role = |kind| match kind {
            LayerKind::Commit => base.map(LayerRole::Commit),
            LayerKind::Chunk => base.map(LayerRole::Chunk),
            LayerKind::Plain => facts.map(|facts| LayerRole::Plain(rules(facts, self.taking.var))),
        };
        let mut todo = Vec::new();
        for (number, PlannedLayer { layer, kind }) in self.plan.layers.iter().enumerate() {
            let Some(role) = role(*kind).filter(|_| self.taken[number].is_none()) else { continue };
            match self.taking.layers.known(layer, role)? {
                Some(kept) => {
                    self.taken[number] = Some(known_layer(layer, role, kept, self.taking, self.ctx)?);
                }
                None => todo.push((number, role)),
            }
        }
        self.fetch(&todo, self.taking, facts.unwrap_or(&BaseFacts::NO_BASE))
    }

    /// Fetches layers by their number, several at once.
    fn fetch(&mut self, layers: &[(usize, LayerRole)], taking: &Taking<'_>, facts: &BaseFacts) -> Result<()> {
        let (expected, modifier) = (&self.expected, &facts.modifier());
        let parallel = self.ctx.requests.get().min(layers.len()).max(1);
        let ctx = &with_jobs(self.ctx, self.ctx.jobs.get().div_ceil(parallel));
        let (plan, taken) = (self.plan, Mutex::new(&mut self.taken));
        // Weighed by number: so many are under way, and none waits.
        with_pool(&with_jobs(self.ctx, parallel), parallel as u64, |pool: &Pool<'_, Error>| {
            for (number, role) in layers {
                let taken = &taken;
                pool.submit(1, move || {
                    let layer = &plan.layers[*number].layer;
                    let one = match role {
                        LayerRole::Commit(commit) => fetch_commit(layer, Some(*commit), taking, ctx)?.0,
                        LayerRole::Chunk(base) => fetch_chunk(layer, *base, expected, taking, ctx)?,
                        LayerRole::Plain(rules) => fetch_plain(layer, *rules, modifier, taking, ctx)?,
                    };
                    taken.lock().unwrap_or_else(PoisonError::into_inner)[*number] = Some(one);
                    Ok(())
                })?;
            }
            pool.wait()
        })
    }

    /// Everything that the commit names has to be there now. Layers that were said to be there, and lack something,
    /// are fetched after all; then those whole of which a wrong table had some objects fetched.
    fn complete(&mut self, base: &CommitId) -> Result<()> {
        let txn = self.taking.txn;
        if !is_whole(txn, base)? {
            self.again(self.taking, |origin| matches!(origin, Origin::Kept | Origin::Alike))?;
            let whole = Taking { whole: Some(WhyWhole::WrongTable), ..*self.taking };
            if !is_whole(txn, base)? {
                self.again(&whole, |origin| origin == Origin::FetchedObjects)?;
            }
            check_complete(txn, base)?;
        }
        if txn.completeness(base)? != Completeness::Complete {
            txn.set_partial(base, Completeness::Complete)?;
        }
        Ok(())
    }

    /// Fetches the layers with objects of the commit that came in a doubtful way.
    fn again(&mut self, taking: &Taking<'_>, doubtful: impl Fn(Origin) -> bool) -> Result<()> {
        let layers = self.taken.iter().enumerate().filter_map(|(n, taken)| Some((n, taken.as_ref()?)));
        let doubted = layers.filter(|(_, taken)| {
            doubtful(taken.origin) && matches!(taken.role, LayerRole::Commit(_) | LayerRole::Chunk(_))
        });
        let doubted: Vec<_> = doubted.map(|(n, taken)| (n, taken.role)).collect();
        self.fetch(&doubted, taking, &BaseFacts::NO_BASE)
    }
}

impl Taken {
    /// The plain layers, lowest first.
    pub(in crate::container) fn plain(&self) -> &[TakenLayer] {
        &self.layers[self.layers_of_commit()..]
    }

    /// The plain layers, to be changed.
    pub(in crate::container) fn plain_mut(&mut self) -> &mut [TakenLayer] {
        let layers_of_commit = self.layers_of_commit();
        &mut self.layers[layers_of_commit..]
    }

    fn layers_of_commit(&self) -> usize {
        self.layers.partition_point(|layer| !matches!(layer.role, LayerRole::Plain(_)))
    }
}

/// The first layer, if its commit is there with all metadata and is vouched for; with the content objects that the
/// commit names. If it is not vouched for, the layer may bring a signature that the store lacks.
fn known_commit(
    layer: &ImageLayer,
    promised: Option<CommitId>,
    taking: &Taking<'_>,
    ctx: &Ctx,
) -> Result<Option<(TakenLayer, HashSet<FileId>)>> {
    let Some(role) = promised.map(LayerRole::Commit) else { return Ok(None) };
    let Some(kept) = taking.layers.known(layer, role)? else { return Ok(None) };
    match taking.voucher.map_or(Ok(()), |voucher| vouch_stored(taking.txn, &kept.commit, voucher)) {
        Err(store::Error::Refused { .. }) => return Ok(None),
        vouched => vouched?,
    }
    let mut reachable = Reachable::default();
    match walk_commit(taking.txn, &kept.commit, &mut reachable, &mut |_| Ok(())) {
        Err(store::Error::NotFound(_)) => return Ok(None),
        walked => walked?,
    }
    Ok(Some((known_layer(layer, role, kept, taking, ctx)?, reachable.files)))
}

/// A layer that is there.
fn known_layer(
    layer: &ImageLayer,
    role: LayerRole,
    kept: KeptLayer,
    taking: &Taking<'_>,
    ctx: &Ctx,
) -> Result<TakenLayer> {
    ctx.bytes_done(layer.descriptor.size());
    Item::reused(ctx, layer.descriptor.digest().to_string(), layer.descriptor.size());
    let why = if kept.same_blob { "this blob was read before" } else { "a layer of the same content was" };
    tracing::debug!(layer = %layer.descriptor.digest(), commit = %kept.commit, why, "layer reused");
    let layer = TakenLayer::here(layer, role, kept);
    taking.layers.finished(&layer)?;
    Ok(layer)
}

fn with_jobs(ctx: &Ctx, jobs: usize) -> Ctx {
    Ctx { jobs: NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MIN), ..ctx.clone() }
}
