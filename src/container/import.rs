//! Takes the layers of an image into a store.
//!
//! ```text
//! layer 0    the commit with its metadata        ► signature ► commit
//! chunks     content objects of that commit      ┐ several layers ► what the caller keeps: see `Layers`
//! derived    plain file systems                  ┘ at once        ► commit of a tree with whiteouts
//! ```
//! Every layer's digest and diffid are verified. Layers that are known to be in the store are not fetched.
//! Nothing becomes visible: refs and the end of the transaction are the caller's.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use ostree_format::variant::{Dict, Value};
use ostree_format::{Commit, CommitId, FileId, MetaKind, ObjectName};

use super::decompress::read_layer;
use super::error::{Error, Result};
use super::facts::BaseFacts;
use super::image::ImageSource;
use super::plan::{LayerPlan, PlannedLayer};
use super::prepare_root::RootKind;
use crate::base::{Ctx, Event, Item, Pool, Progress, with_pool};
use crate::store::selinux::Policy;
use crate::store::{self, Completeness, Modifier, ObjectRead, Reachable, Txn, walk_commit};
use crate::tar::{
    self, ImportOptions, LayerOptions, LayerTree, Toplevel, Var, VerifyCommit, check_complete,
    import_commit_layer, import_layer, import_objects,
};

/// Layers that are read at the same time, at most: each needs a few megabytes.
const MAX_PARALLEL_LAYERS: usize = 3;
/// Directories that are in the tree of a plain layer, but that the layer does not list: `as`.
pub(super) const IMPLIED: &str = "ostree-rs.implied-directories";
/// Hard links of a plain layer to files of lower layers: `as`, each path followed by its target.
pub(super) const LOWER_LINKS: &str = "ostree-rs.lower-links";
/// Who took the layer in, as ostree-ext notes it.
pub(super) const IMPORTER: &str = "ostree.importer.version";

/// What is known of layers before, and kept of them after they were taken in.
pub(super) trait Layers: Sync {
    /// What it keeps, in one word: layers that others keep are something else.
    fn kind(&self) -> &'static str;

    /// The commit that keeps a layer in the store, if it is there.
    fn known(&self, layer: &PlannedLayer) -> Result<Option<CommitId>>;

    /// The commit that keeps the objects of a chunk of the commit `base` from now on.
    fn keep_chunk(&self, base: CommitId, objects: &BTreeSet<FileId>) -> Result<CommitId>;

    /// Told of every layer that is in the store now, from any thread.
    fn finished(&self, layer: &TakenLayer) -> Result<()>;
}

/// How layers are taken in.
#[derive(Clone, Copy)]
pub(super) struct Taking<'a> {
    /// Where the layers come from.
    pub(super) source: &'a dyn ImageSource,
    /// Where they go to.
    pub(super) txn: &'a dyn Txn,
    /// Decides about the commit; none lets every commit in.
    pub(super) verify: Option<&'a VerifyCommit<'a>>,
    /// Which of them are there, and what is kept of the others.
    pub(super) layers: &'a dyn Layers,
    /// What happens to `var` of plain layers.
    pub(super) var: Var,
}

/// An image whose layers are in the store.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    /// The commit, if the image has one.
    pub(super) base: Option<CommitId>,
    /// Every layer, in order.
    pub(super) layers: Vec<TakenLayer>,
    /// Where the plain ones begin.
    plain: usize,
    /// How files of the plain layers were labeled.
    pub(super) policy: Option<Arc<Policy>>,
    /// What became of the plain layers' paths.
    pub(super) options: LayerOptions,
}

/// A layer that is in the store.
#[derive(Debug, Clone)]
pub(super) struct TakenLayer {
    /// The layer.
    pub(super) layer: PlannedLayer,
    /// The commit that it is there, or that keeps it.
    pub(super) commit: CommitId,
    /// Whether it had to be fetched.
    pub(super) fetched: bool,
    /// Entries of a plain layer that were left out, by their first directory or their kind.
    pub(super) left_out: BTreeMap<String, u64>,
}

/// What a layer that is not the first is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Of this commit.
    Chunk(CommitId),
    Plain,
}

/// Takes in all layers.
///
/// # Errors
/// [`tar::Error::Refused`] if the commit is not let in; [`Error::Image`] if the image does not hold what it
/// says; whatever is damaged or missing is named.
pub(super) fn take(plan: &LayerPlan, taking: &Taking<'_>, ctx: &Ctx) -> Result<Taken> {
    let (mut taken, mut expected, mut base) = (Vec::new(), HashSet::new(), None);
    if let Some(layer) = &plan.ostree {
        let commit;
        (commit, expected) = take_commit(layer, plan.commit, taking, ctx)?;
        taking.layers.finished(&commit)?;
        base = Some(commit.commit);
        taken.push(commit);
    }
    let chunk = |base| plan.chunks.iter().map(move |layer| (layer, Kind::Chunk(base)));
    let chunks = base.into_iter().flat_map(chunk);
    let derived = plan.derived.iter().map(|layer| (layer, Kind::Plain));
    let known = match &base {
        Some(base) if !plan.derived.is_empty() => BaseFacts::of_commit(taking.txn, base)?,
        _ => Some(BaseFacts::NO_BASE),
    };
    let facts = match (known, &base) {
        (None, Some(base)) => {
            // They depend on a file in some chunk.
            let chunks: Vec<_> = chunks.collect();
            taken.extend(take_others(&chunks, &expected, &BaseFacts::NO_BASE, taking, ctx)?);
            check_base(base, taking)?;
            let missing = || Error::Image(format!("commit {base}: its configuration is not there"));
            let facts = BaseFacts::of_commit(taking.txn, base)?.ok_or_else(missing)?;
            taken.extend(take_others(&derived.collect::<Vec<_>>(), &expected, &facts, taking, ctx)?);
            facts
        }
        (known, base) => {
            let facts = known.unwrap_or(BaseFacts::NO_BASE);
            let layers: Vec<_> = chunks.chain(derived).collect();
            taken.extend(take_others(&layers, &expected, &facts, taking, ctx)?);
            base.as_ref().map_or(Ok(()), |base| check_base(base, taking))?;
            facts
        }
    };
    let plain = taken.len() - plan.derived.len();
    let options = layer_options(&facts, taking);
    Ok(Taken { base, layers: taken, plain, policy: facts.policy, options })
}

fn layer_options(facts: &BaseFacts, taking: &Taking<'_>) -> LayerOptions {
    let toplevel = match facts.root {
        RootKind::Writable => Toplevel::Keep,
        RootKind::ReadOnly => Toplevel::LeaveOut,
    };
    LayerOptions { toplevel, var: taking.var }
}

/// Everything that the commit names has to be there now.
fn check_base(base: &CommitId, taking: &Taking<'_>) -> Result<()> {
    check_complete(taking.txn, base)?;
    if taking.txn.completeness(base)? != Completeness::Complete {
        taking.txn.set_partial(base, Completeness::Complete)?;
    }
    Ok(())
}

/// Takes in the first layer; also returns the content objects that chunks may hold.
fn take_commit(
    layer: &PlannedLayer,
    promised: Option<CommitId>,
    taking: &Taking<'_>,
    ctx: &Ctx,
) -> Result<(TakenLayer, HashSet<FileId>)> {
    let promised_by = |commit: CommitId| match promised.filter(|promised| *promised != commit) {
        None => Ok(commit),
        Some(promised) => {
            Err(Error::Image(format!("the labels promise commit {promised}, the image holds {commit}")))
        }
    };
    if let Some(commit) = taking.layers.known(layer)? {
        let commit = promised_by(commit)?;
        reused(layer, ctx);
        taking.verify.map_or(Ok(()), |verify| verify_stored(taking.txn, &commit, verify))?;
        let mut reachable = Reachable::default();
        walk_commit(taking.txn, &commit, &mut reachable, &mut |_| Ok(()))?;
        return Ok((TakenLayer::of(layer, commit, false), reachable.files));
    }
    let import = ImportOptions { verify: taking.verify };
    let objects = objects_only(ctx);
    let imported = read_layer(taking.source, &layer.descriptor, &layer.diff_id, ctx, |stream| {
        import_commit_layer(stream, taking.txn, &import, &objects).map_err(Error::from)
    })?;
    let commit = promised_by(imported.commit)?;
    // Chunks may bring copies of what the first layer has.
    Ok((TakenLayer::of(layer, commit, true), imported.files))
}

/// Asks who has to vouch for it about a commit that was taken in before.
pub(super) fn verify_stored(
    store: &(impl ObjectRead + ?Sized),
    commit: &CommitId,
    verify: &VerifyCommit<'_>,
) -> Result<()> {
    let bytes = store.read_meta(&(*commit).into())?.ok_or(store::Error::NotFound((*commit).into()))?;
    let detached = store.read_meta(&ObjectName::commitmeta(commit))?;
    Ok(verify(commit, &bytes, detached.as_deref()).map_err(tar::Error::Refused)?)
}

/// Takes in chunks and plain layers, several at once.
fn take_others(
    layers: &[(&PlannedLayer, Kind)],
    expected: &HashSet<FileId>,
    facts: &BaseFacts,
    taking: &Taking<'_>,
    ctx: &Ctx,
) -> Result<Vec<TakenLayer>> {
    let (mut taken, mut todo) = (vec![None; layers.len()], Vec::new());
    for (n, (layer, kind)) in layers.iter().enumerate() {
        match taking.layers.known(layer)? {
            Some(commit) => {
                reused(layer, ctx);
                let layer = TakenLayer::of(layer, commit, false);
                taking.layers.finished(&layer)?;
                taken[n] = Some(layer);
            }
            None => todo.push((n, *layer, *kind)),
        }
    }
    let (options, modifier) = (layer_options(facts, taking), facts.modifier());
    let parallel = ctx.jobs.get().min(MAX_PARALLEL_LAYERS).min(todo.len()).max(1);
    let layer_ctx = with_jobs(ctx, ctx.jobs.get().div_ceil(parallel));
    let taken = Mutex::new(taken);
    let (source, txn, keeper) = (taking.source, taking.txn, taking.layers);
    // Weighed by number: so many are under way, and none waits.
    with_pool(&with_jobs(ctx, parallel), parallel as u64, |pool: &Pool<'_, Error>| {
        for (n, layer, kind) in todo {
            let (taken, modifier, ctx) = (&taken, &modifier, &layer_ctx);
            pool.submit(1, move || {
                let one = match kind {
                    Kind::Chunk(base) => {
                        let objects = take_chunk(layer, expected, source, txn, ctx)?;
                        TakenLayer::of(layer, keeper.keep_chunk(base, &objects)?, true)
                    }
                    Kind::Plain => take_plain(layer, options, modifier, source, txn, ctx)?,
                };
                keeper.finished(&one)?;
                taken.lock().unwrap_or_else(PoisonError::into_inner)[n] = Some(one);
                Ok(())
            })?;
        }
        pool.wait()
    })?;
    Ok(taken.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect())
}

fn take_chunk(
    layer: &PlannedLayer,
    expected: &HashSet<FileId>,
    source: &dyn ImageSource,
    txn: &dyn Txn,
    ctx: &Ctx,
) -> Result<BTreeSet<FileId>> {
    let objects_ctx = objects_only(ctx);
    read_layer(source, &layer.descriptor, &layer.diff_id, ctx, |stream| {
        import_objects(stream, txn, Some(expected), &objects_ctx).map_err(Error::from)
    })
}

fn take_plain(
    layer: &PlannedLayer,
    options: LayerOptions,
    modifier: &Modifier,
    source: &dyn ImageSource,
    txn: &dyn Txn,
    ctx: &Ctx,
) -> Result<TakenLayer> {
    let objects_ctx = objects_only(ctx);
    let read = |wanted: &BTreeSet<String>| {
        read_layer(source, &layer.descriptor, &layer.diff_id, ctx, |stream| {
            import_layer(stream, txn, options, wanted, modifier, &objects_ctx).map_err(Error::from)
        })
    };
    let mut tree = read(&BTreeSet::new())?;
    if !tree.wanted.is_empty() {
        // Hard links name files that are left out: what these hold is known only now to be needed.
        tree = read(&tree.wanted)?;
    }
    let commit = Commit {
        metadata: plain_metadata(&tree),
        parent: None,
        related: Vec::new(),
        subject: String::new(),
        body: String::new(),
        // The same layer is the same commit, whenever it was pulled.
        timestamp: 0,
        root: tree.root,
    };
    let commit = CommitId::new(txn.write_meta(MetaKind::Commit, &commit.to_bytes())?);
    Ok(TakenLayer { left_out: tree.left_out, ..TakenLayer::of(layer, commit, true) })
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

/// Who took a layer or image in.
pub(super) fn importer_version() -> String {
    format!("ostree-rs {}", env!("CARGO_PKG_VERSION"))
}

impl Taken {
    /// The plain layers, lowest first.
    pub(super) fn plain(&self) -> &[TakenLayer] {
        &self.layers[self.plain..]
    }

    /// The same.
    pub(super) fn plain_mut(&mut self) -> &mut [TakenLayer] {
        &mut self.layers[self.plain..]
    }
}

impl TakenLayer {
    fn of(layer: &PlannedLayer, commit: CommitId, fetched: bool) -> Self {
        Self { layer: layer.clone(), commit, fetched, left_out: BTreeMap::new() }
    }
}

fn reused(layer: &PlannedLayer, ctx: &Ctx) {
    Item::reused(ctx, layer.descriptor.digest().to_string(), layer.descriptor.size());
}

fn with_jobs(ctx: &Ctx, jobs: usize) -> Ctx {
    Ctx { jobs: NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MIN), ..ctx.clone() }
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

fn objects_only(ctx: &Ctx) -> Ctx {
    Ctx { progress: Arc::new(ObjectsOnly(Arc::clone(&ctx.progress))), ..ctx.clone() }
}
