//! Layers that an interrupted pull had finished: their objects are staged, and the next pull need not fetch them.
//!
//! ```text
//! KIND MANIFEST VAR DIFFID COMMIT\n     in the transaction's journal, as soon as the layer is in
//! ```
//! Only a pull of the same image for the same purpose believes a line, and every pull looks at its end whether it
//! has everything.

use std::collections::{BTreeMap, BTreeSet};

use ostree_format::{CommitId, FileId};

use super::digest::DiffId;
use super::error::{Error, Result};
use super::import::{Layers, TakenLayer};
use super::plan::{Image, LayerPlan, PlannedLayer};
use crate::store::{self, Txn};
use crate::tar::{self, ContentErrorKind, Var};

/// What `layers` knows, and what an interrupted pull has finished.
pub(super) struct Resuming<'a> {
    layers: &'a dyn Layers,
    txn: &'a dyn Txn,
    /// What the lines of this pull start with.
    key: String,
    finished: BTreeMap<DiffId, CommitId>,
}

impl<'a> Resuming<'a> {
    pub(super) fn new(
        layers: &'a dyn Layers,
        txn: &'a dyn Txn,
        image: &Image,
        plan: &LayerPlan,
        var: Var,
    ) -> Self {
        let var = match var {
            Var::Factory => "factory",
            Var::Keep => "keep",
        };
        let key = format!("{} {} {var} ", layers.kind(), image.digest);
        let journal = txn.journal();
        let lines = std::str::from_utf8(&journal).unwrap_or_default().lines();
        let mut finished: BTreeMap<_, _> =
            lines.filter_map(|line| layer_and_commit(line.strip_prefix(&key)?)).collect();
        // As a plain layer the same stream stands for other files.
        if plan.derived.iter().any(|layer| plan.chunks.iter().any(|chunk| chunk.diff_id == layer.diff_id)) {
            finished.clear();
        }
        Self { layers, txn, key, finished }
    }

    /// The same as if nothing had been finished.
    pub(super) fn anew(self) -> Self {
        Self { finished: BTreeMap::new(), ..self }
    }

    /// Whether a pull that failed so may succeed anew.
    pub(super) fn may_have_caused(&self, error: &Error) -> bool {
        !self.finished.is_empty()
            && (is_missing(error) || matches!(error, Error::Tar(tar::Error::Refused(_))))
    }
}

/// Whether something that was relied on is not there.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(
        error,
        Error::Store(store::Error::NotFound(_))
            | Error::Tar(
                tar::Error::Store(store::Error::NotFound(_))
                    | tar::Error::Content(ContentErrorKind::Incomplete(..)),
            )
    )
}

fn layer_and_commit(text: &str) -> Option<(DiffId, CommitId)> {
    let (diff_id, commit) = text.split_once(' ')?;
    Some((diff_id.parse().ok()?, commit.parse().ok()?))
}

impl Layers for Resuming<'_> {
    fn kind(&self) -> &'static str {
        self.layers.kind()
    }

    fn known(&self, layer: &PlannedLayer) -> Result<Option<CommitId>> {
        if let Some(commit) = self.layers.known(layer)? {
            return Ok(Some(commit));
        }
        let Some(commit) = self.finished.get(&layer.diff_id) else { return Ok(None) };
        Ok(self.txn.contains(&(*commit).into())?.then_some(*commit))
    }

    fn keep_chunk(&self, base: CommitId, objects: &BTreeSet<FileId>) -> Result<CommitId> {
        self.layers.keep_chunk(base, objects)
    }

    fn finished(&self, layer: &TakenLayer) -> Result<()> {
        self.layers.finished(layer)?;
        if layer.fetched {
            self.txn.add_to_journal(&format!("{}{} {}\n", self.key, layer.layer.diff_id, layer.commit));
        }
        Ok(())
    }
}
