//! The layers that earlier pulls brought: a hint, so that they are not fetched again.
//!
//! ```text
//! COMMIT LAYER0 CHUNK …     the commit in an image, and the diffids of its layers
//! ```
//! A line is believed only if the store has that commit with all its objects, and speaks of content objects alone, which
//! are what their checksums say. So nothing has to be kept for the hint's sake: no refs, no objects. Layers of images that
//! the image store keeps are there, too.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use ostree_format::{Checksum, CommitId, FileId};

use super::hint::{OfPull, Pulls, is_marked_complete};
use crate::container::image::{DiffId, ImageLayer, LayerKind, LayerPlan, Result};
use crate::container::store::{KeptLayer, LayerRole, Layers, StoredLayers, TakenLayer, is_whole};
use crate::store::Txn;

/// What the store remembers of pulls.
pub(in crate::container) struct PulledLayers(Pulls<Record>);

/// The layers of one pull.
#[derive(Clone, PartialEq)]
struct Record {
    commit: CommitId,
    /// The layer that holds the commit.
    first: DiffId,
    chunks: Vec<DiffId>,
}

/// Layers that need not be fetched, each with a commit that keeps what is in it.
pub(in crate::container) struct Reusable<'a> {
    /// The commit of the image, and its first layer.
    first: Option<(DiffId, CommitId)>,
    chunks: BTreeMap<DiffId, CommitId>,
    stored: StoredLayers<'a>,
}

impl PulledLayers {
    /// What the store remembers; nothing, if the file is not exactly as one is written.
    pub(in crate::container) fn read(txn: &dyn Txn) -> Self {
        Self(Pulls::read(txn))
    }

    /// The layers of an image that need not be fetched.
    pub(in crate::container) fn reusable<'a>(
        &self,
        plan: &LayerPlan,
        txn: &'a dyn Txn,
    ) -> Result<Reusable<'a>> {
        let mut wanted: BTreeSet<_> = plan.of_kind(LayerKind::Chunk).map(|layer| layer.diff_id).collect();
        let mut found = Reusable { first: None, chunks: BTreeMap::new(), stored: StoredLayers::read(txn)? };
        for Record { commit, first, chunks } in &self.0.0 {
            // No other commit is in that layer.
            let is_first = plan.commit.as_ref() == Some(commit)
                && plan.commit_layer().is_some_and(|layer| layer.diff_id == *first);
            let chunks: Vec<_> = chunks.iter().filter(|id| wanted.contains(id)).copied().collect();
            if (!is_first && chunks.is_empty()) || !is_complete(txn, commit) {
                continue;
            }
            found.first = found.first.or(is_first.then_some((*first, *commit)));
            for id in chunks {
                wanted.remove(&id);
                found.chunks.insert(id, *commit);
            }
        }
        Ok(found)
    }

    /// Notes that `commit` was pulled, with all layers that the plan has of it.
    pub(in crate::container) fn note(&self, plan: &LayerPlan, commit: CommitId, txn: &dyn Txn) {
        let Some(first) = plan.commit_layer() else { return };
        let chunks = plan.of_kind(LayerKind::Chunk).map(|layer| layer.diff_id).collect();
        let record = Record { commit, first: first.diff_id, chunks };
        self.0.remember(record, |other| other.commit == commit, txn);
    }
}

impl OfPull for Record {
    const FILE: &'static str = "ostree-rs-layers";

    fn commit(&self) -> CommitId {
        self.commit
    }

    fn of_line(line: &[Checksum]) -> Option<Self> {
        let [commit, first, chunks @ ..] = line else { return None };
        let chunks = chunks.iter().copied().map(DiffId::new).collect();
        Some(Self { commit: CommitId::new(*commit), first: DiffId::new(*first), chunks })
    }

    fn line(&self) -> impl Iterator<Item = Checksum> {
        let layers = iter::once(&self.first).chain(&self.chunks).map(|layer| *layer.checksum());
        iter::once(*self.commit.checksum()).chain(layers)
    }
}

/// Whether the store has a commit with all its objects.
fn is_complete(txn: &dyn Txn, commit: &CommitId) -> bool {
    is_marked_complete(txn, commit) && matches!(is_whole(txn, commit), Ok(true))
}

/// Nothing is kept but the commit itself.
impl Layers for Reusable<'_> {
    fn kind(&self) -> &'static str {
        "commit"
    }

    fn known(&self, layer: &ImageLayer, role: LayerRole) -> Result<Option<KeptLayer>> {
        let commit = match role {
            LayerRole::Commit(promised) => {
                self.first.filter(|first| *first == (layer.diff_id, promised)).map(|(_, commit)| commit)
            }
            LayerRole::Chunk(_) => self.chunks.get(&layer.diff_id).copied(),
            LayerRole::Plain(_) => return Ok(None),
        };
        match commit {
            Some(commit) => Ok(Some(KeptLayer { commit, same_blob: false })),
            None => self.stored.known(layer, role),
        }
    }

    fn keep_chunk(&self, _: &ImageLayer, base: CommitId, _: &BTreeSet<FileId>) -> Result<CommitId> {
        Ok(base)
    }

    fn finished(&self, _: &TakenLayer) -> Result<()> {
        Ok(())
    }
}
