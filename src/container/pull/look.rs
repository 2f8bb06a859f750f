//! A look at what a pull would fetch, before it does.

use super::facts::BaseFacts;
use super::options::PullOptions;
use super::pulled_layers::PulledLayers;
use super::resume::Resuming;
use super::take::rules;
use crate::base::Ctx;
use crate::container::image::{Digest, ImageLayer, LayerKind, PlannedLayer, Result};
use crate::container::store::{LayerRole, Layers, is_whole};
use crate::container::trust::Admitted;
use crate::store::{Begin, Txn};
use ostree_format::CommitId;

/// What a pull of an image would do.
#[derive(Debug, Clone)]
pub struct PullPlan {
    /// The digest of the image's manifest.
    pub manifest: Digest,
    /// The commit in the image, if its labels tell.
    pub commit: Option<CommitId>,
    /// Every layer, lowest first.
    pub layers: Vec<LayerToPull>,
}

/// A layer, and whether it has to be fetched.
#[derive(Debug, Clone)]
pub struct LayerToPull {
    /// The layer.
    pub layer: ImageLayer,
    /// What is in it.
    pub kind: LayerKind,
    /// Whether what is in it is here already.
    pub presence: Presence,
}

/// Whether a layer is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// An earlier pull brought it, or one that was interrupted had finished it.
    Here,
    /// The layer would be fetched; or it is plain, and only the commit below it, which is not here, tells how it is kept.
    ToFetch,
}

impl PullPlan {
    /// The layers that would be fetched.
    pub fn to_fetch(&self) -> impl Iterator<Item = &LayerToPull> {
        self.layers.iter().filter(|layer| layer.presence == Presence::ToFetch)
    }

    /// The bytes of the layers that would be fetched, compressed. A pull that fetches only the objects that are missing,
    /// or a delta, takes less: how much less only the layers' tables of contents tell, and the place of the image.
    pub fn fetch_bytes(&self) -> u64 {
        self.to_fetch().map(|layer| layer.layer.descriptor.size()).sum()
    }
}

/// Looks what [`pull`](super::pull) would fetch of an image; nothing is fetched but its configuration, and nothing
/// changes. The pull may fetch more, should a layer that was here be gone or damaged.
///
/// # Errors
/// What the store and the source of the image say; [`Error::Image`](crate::container::image::Error::Image) if the
/// image's documents contradict themselves.
pub fn plan_pull(
    image: &Admitted<'_>,
    store: &dyn Begin,
    options: &PullOptions<'_>,
    ctx: &Ctx,
) -> Result<PullPlan> {
    let txn = store.resume(ctx)?;
    let plan = look(image, &*txn, options);
    // What an interrupted pull had finished waits on.
    txn.suspend();
    plan
}

fn look(image: &Admitted<'_>, txn: &dyn Txn, options: &PullOptions<'_>) -> Result<PullPlan> {
    let manifest = image.raw_manifest().digest;
    let without_server = image.image()?.without_server();
    if let Some(on_base) = without_server.on_base()? {
        // Whether layers of the base are needed only the layer on top of them tells.
        let is_here = is_whole(txn, &on_base.commit)?;
        let presence = if is_here { Presence::Here } else { Presence::ToFetch };
        let layer = |kind| move |layer| LayerToPull { layer, kind, presence };
        let base = on_base.base.into_iter().map(layer(LayerKind::Plain));
        let layers = base.chain(std::iter::once(on_base.top).map(layer(LayerKind::Commit))).collect();
        return Ok(PullPlan { manifest, commit: Some(on_base.commit), layers });
    }
    let plan = without_server.plan()?;
    let before = PulledLayers::read(txn).reusable(&plan, txn)?;
    let known = Resuming::new(&before, txn);
    let commit = plan.commit;
    let facts = match commit {
        Some(commit) if txn.contains(&commit.into())? => BaseFacts::of_commit(txn, &commit)?,
        Some(_) => None,
        None => Some(BaseFacts::NO_BASE),
    };
    let role = |kind| match kind {
        LayerKind::Commit => commit.map(LayerRole::Commit),
        LayerKind::Chunk => commit.map(LayerRole::Chunk),
        LayerKind::Plain => facts.as_ref().map(|facts| LayerRole::Plain(rules(facts, options.var))),
    };
    let mut layers = Vec::new();
    for PlannedLayer { layer, kind } in plan.layers {
        let kept = role(kind).map(|role| known.known(&layer, role)).transpose()?.flatten();
        let presence = if kept.is_some() { Presence::Here } else { Presence::ToFetch };
        layers.push(LayerToPull { layer, kind, presence });
    }
    Ok(PullPlan { manifest, commit, layers })
}
