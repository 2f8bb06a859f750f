//! Takes the layers of an image into a store.
//!
//! ```text
//! layer 0    the commit with its metadata      ► signature ► commit
//! chunks     content objects of that commit    ┐ several layers ► what the caller keeps: see `Layers`
//! derived    plain file systems                ┘ at once        ► commit of a tree with whiteouts
//! ```
//! Layers that are known to be in the store are not fetched; the others are verified (see `fetch`). At the end
//! everything that the commit names is there, whatever was said of its layers before.
//! Nothing becomes visible: refs and the end of the transaction are the caller's.

use std::collections::HashSet;
use std::iter;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use ostree_format::{CommitId, FileId};

use super::facts::BaseFacts;
use super::fetch::{fetch_chunk, fetch_commit, fetch_plain};
use super::prepare_root::RootKind;
use crate::base::{Ctx, Item, Pool, with_pool};
use crate::container::image::{Error, ImageSource, LayerPlan, PlannedLayer, Result};
use crate::container::store::{Kept, Layers, Origin, Role, TakenLayer, is_whole};
use crate::store::selinux::Policy;
use crate::store::{self, Completeness, Reachable, Txn, Voucher, vouch_stored, walk_commit};
use crate::tar::{LayerOptions, Toplevel, Var, check_complete};

/// Layers that are read at the same time, at most: each needs a few megabytes.
const MAX_PARALLEL_LAYERS: usize = 3;

/// How layers are taken in.
#[derive(Clone, Copy)]
pub(in crate::container) struct Taking<'a> {
    /// Where the layers come from.
    pub(in crate::container) source: &'a dyn ImageSource,
    /// Where they go to.
    pub(in crate::container) txn: &'a dyn Txn,
    /// Decides about the commit; none lets every commit in.
    pub(in crate::container) voucher: Option<&'a dyn Voucher>,
    /// Which of them are there, and what is kept of the others.
    pub(in crate::container) layers: &'a dyn Layers,
    /// What happens to `var` of plain layers.
    pub(in crate::container) var: Var,
}

/// An image whose layers are in the store.
#[derive(Debug, Clone)]
pub(in crate::container) struct Taken {
    /// The commit, if the image has one.
    pub(in crate::container) base: Option<CommitId>,
    /// Every layer, in order.
    pub(in crate::container) layers: Vec<TakenLayer>,
    /// Where the plain ones begin.
    plain: usize,
    /// How files of the plain layers were labeled.
    pub(in crate::container) policy: Option<Arc<Policy>>,
    /// By which rules the plain layers were taken in.
    pub(in crate::container) rules: LayerOptions,
}

/// Takes in all layers.
///
/// # Errors
/// [`store::Error::Refused`] if the commit is not let in; [`Error::Image`] if the image does not hold what it
/// says; whatever is damaged or missing is named.
pub(in crate::container) fn take(plan: &LayerPlan, taking: &Taking<'_>, ctx: &Ctx) -> Result<Taken> {
    let rules = |facts: &BaseFacts| {
        let toplevel = match facts.root {
            RootKind::Writable => Toplevel::Keep,
            RootKind::ReadOnly => Toplevel::LeaveOut,
        };
        LayerOptions { toplevel, var: taking.var }
    };
    let plain = |facts: &BaseFacts| -> Vec<_> {
        plan.derived.iter().map(|layer| (layer, Role::Plain(rules(facts)))).collect()
    };
    let Some(first) = &plan.ostree else {
        let others = Others { expected: &HashSet::new(), taking, ctx };
        let layers = others.take(&plain(&BaseFacts::NO_BASE), &BaseFacts::NO_BASE)?;
        let rules = rules(&BaseFacts::NO_BASE);
        return Ok(Taken { base: None, layers, plain: 0, policy: None, rules });
    };
    let (mut first, expected) = match known_commit(first, plan.commit, taking, ctx)? {
        Some(known) => known,
        None => fetch_commit(first, plan.commit, taking, ctx)?,
    };
    let (base, others) = (first.commit, Others { expected: &expected, taking, ctx });
    let facts = match plan.derived.is_empty() {
        true => Some(BaseFacts::NO_BASE),
        false => BaseFacts::of_commit(taking.txn, &base)?,
    };
    let mut todo: Vec<_> = plan.chunks.iter().map(|layer| (layer, Role::Chunk(base))).collect();
    todo.extend(facts.iter().flat_map(plain));
    let mut layers = others.take(&todo, facts.as_ref().unwrap_or(&BaseFacts::NO_BASE))?;
    others.complete(&mut first, &mut layers[..plan.chunks.len()])?;
    let facts = match facts {
        Some(facts) => facts,
        None => {
            // They depend on a file that came in some chunk.
            let missing = || Error::Image(format!("commit {base}: its configuration is not there"));
            let facts = BaseFacts::of_commit(taking.txn, &base)?.ok_or_else(missing)?;
            layers.extend(others.take(&plain(&facts), &facts)?);
            facts
        }
    };
    layers.insert(0, first);
    let (plain, rules) = (1 + plan.chunks.len(), rules(&facts));
    Ok(Taken { base: Some(base), layers, plain, policy: facts.policy, rules })
}

/// The first layer, if its commit is there with all metadata and is vouched for; with the content objects that the
/// commit names. If it is not vouched for, the layer may bring a signature that the store lacks.
fn known_commit(
    layer: &PlannedLayer,
    promised: Option<CommitId>,
    taking: &Taking<'_>,
    ctx: &Ctx,
) -> Result<Option<(TakenLayer, HashSet<FileId>)>> {
    let Some(role) = promised.map(Role::Commit) else { return Ok(None) };
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

/// Takes in chunks and plain layers.
struct Others<'a> {
    /// The content objects that chunks may hold.
    expected: &'a HashSet<FileId>,
    taking: &'a Taking<'a>,
    ctx: &'a Ctx,
}

impl Others<'_> {
    /// Those of `layers` that are known, and the others, which are fetched; in the same order.
    fn take(&self, layers: &[(&PlannedLayer, Role)], facts: &BaseFacts) -> Result<Vec<TakenLayer>> {
        let mut known = Vec::new();
        for (layer, role) in layers {
            let kept = self.taking.layers.known(layer, *role)?;
            known.push(kept.map(|kept| known_layer(layer, *role, kept, self.taking, self.ctx)).transpose()?);
        }
        let todo: Vec<_> =
            layers.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(layer, _)| *layer).collect();
        let mut fetched = self.fetch(&todo, facts)?.into_iter();
        Ok(known.into_iter().filter_map(|known| known.or_else(|| fetched.next())).collect())
    }

    /// Fetches `layers`, several at once.
    fn fetch(&self, layers: &[(&PlannedLayer, Role)], facts: &BaseFacts) -> Result<Vec<TakenLayer>> {
        let (taking, expected, modifier) = (self.taking, self.expected, &facts.modifier());
        let parallel = self.ctx.jobs.get().min(MAX_PARALLEL_LAYERS).min(layers.len()).max(1);
        let ctx = &with_jobs(self.ctx, self.ctx.jobs.get().div_ceil(parallel));
        let fetched = Mutex::new(vec![None; layers.len()]);
        // Weighed by number: so many are under way, and none waits.
        with_pool(&with_jobs(self.ctx, parallel), parallel as u64, |pool: &Pool<'_, Error>| {
            for (n, (layer, role)) in layers.iter().enumerate() {
                let fetched = &fetched;
                pool.submit(1, move || {
                    let one = match role {
                        Role::Commit(commit) => fetch_commit(layer, Some(*commit), taking, ctx)?.0,
                        Role::Chunk(base) => fetch_chunk(layer, *base, expected, taking, ctx)?,
                        Role::Plain(rules) => fetch_plain(layer, *rules, modifier, taking, ctx)?,
                    };
                    fetched.lock().unwrap_or_else(PoisonError::into_inner)[n] = Some(one);
                    Ok(())
                })?;
            }
            pool.wait()
        })?;
        Ok(fetched.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect())
    }

    /// Everything that the commit names has to be there now. Layers that were said to be there, and lack something,
    /// are fetched after all.
    fn complete(&self, first: &mut TakenLayer, chunks: &mut [TakenLayer]) -> Result<()> {
        let (txn, base) = (self.taking.txn, first.commit);
        if !is_whole(txn, &base)? {
            let doubted: Vec<_> =
                iter::once(first).chain(chunks).filter(|layer| layer.origin != Origin::Fetched).collect();
            let todo: Vec<_> = doubted.iter().map(|layer| (layer.layer.clone(), layer.role)).collect();
            let todo: Vec<_> = todo.iter().map(|(layer, role)| (layer, *role)).collect();
            let fetched = self.fetch(&todo, &BaseFacts::NO_BASE)?;
            doubted.into_iter().zip(fetched).for_each(|(layer, fetched)| *layer = fetched);
            check_complete(txn, &base)?;
        }
        if txn.completeness(&base)? != Completeness::Complete {
            txn.set_partial(&base, Completeness::Complete)?;
        }
        Ok(())
    }
}

impl Taken {
    /// The plain layers, lowest first.
    pub(in crate::container) fn plain(&self) -> &[TakenLayer] {
        &self.layers[self.plain..]
    }

    /// The plain layers, to be changed.
    pub(in crate::container) fn plain_mut(&mut self) -> &mut [TakenLayer] {
        &mut self.layers[self.plain..]
    }
}

/// A layer that is there.
fn known_layer(
    layer: &PlannedLayer,
    role: Role,
    kept: Kept,
    taking: &Taking<'_>,
    ctx: &Ctx,
) -> Result<TakenLayer> {
    ctx.bytes_done(layer.descriptor.size());
    Item::reused(ctx, layer.descriptor.digest().to_string(), layer.descriptor.size());
    let origin = if kept.same_blob { Origin::Kept } else { Origin::Alike };
    let layer = TakenLayer { origin, ..TakenLayer::fetched(layer, role, kept.commit) };
    if layer.is_read() {
        taking.layers.finished(&layer)?;
    }
    Ok(layer)
}

fn with_jobs(ctx: &Ctx, jobs: usize) -> Ctx {
    Ctx { jobs: NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MIN), ..ctx.clone() }
}
