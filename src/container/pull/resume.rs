//! Layers that an interrupted pull had finished: their objects are staged, and the next pull need not fetch them.
//!
//! ```text
//! begun\n                              in the transaction's journal, before the first layer
//! KIND ROLE… DIGEST DIFFID COMMIT\n    as soon as a layer is in
//! ```
//! KIND says who keeps layers, ROLE what the layer was taken in as: a line is believed by a pull that would do the
//! same with the same blob, and if all that it names is there.

use std::collections::{BTreeSet, HashMap};

use ostree_format::{CommitId, FileId};

use crate::container::image::{ImageLayer, Result};
use crate::container::store::{KeptLayer, LayerRole, Layers, TakenLayer, is_whole, record};
use crate::store::{Hints, Txn};

/// What `layers` knows, and what an interrupted pull has finished.
pub(in crate::container) struct Resuming<'a> {
    layers: &'a dyn Layers,
    txn: &'a dyn Txn,
    /// Commits by what stands before them in the line.
    finished: HashMap<String, CommitId>,
}

impl<'a> Resuming<'a> {
    pub(in crate::container) fn new(layers: &'a dyn Layers, txn: &'a dyn Txn) -> Self {
        let journal = txn.hints().map(Hints::journal).unwrap_or_default();
        let lines = std::str::from_utf8(&journal).unwrap_or_default().lines();
        let finished = lines
            .filter_map(|line| {
                let (key, commit) = line.rsplit_once(' ')?;
                Some((key.to_owned(), commit.parse().ok()?))
            })
            .collect();
        Self { layers, txn, finished }
    }

    /// What the line of a layer begins with.
    fn key(&self, layer: &ImageLayer, role: LayerRole) -> String {
        let role = match role {
            LayerRole::Commit(commit) => format!("commit {commit}"),
            LayerRole::Chunk(base) => format!("chunk {base}"),
            LayerRole::Plain(rules) => format!("plain {}", record::words(rules)),
        };
        format!("{} {role} {} {}", self.layers.kind(), layer.descriptor.digest(), layer.diff_id)
    }
}

impl Layers for Resuming<'_> {
    fn kind(&self) -> &'static str {
        self.layers.kind()
    }

    fn known(&self, layer: &ImageLayer, role: LayerRole) -> Result<Option<KeptLayer>> {
        if let Some(kept) = self.layers.known(layer, role)? {
            return Ok(Some(kept));
        }
        let Some(commit) = self.finished.get(&self.key(layer, role)).copied() else { return Ok(None) };
        let is_there = match role {
            // Its content, and that of a chunk that the commit itself keeps, is looked for at the end.
            LayerRole::Commit(_) => self.txn.contains(&commit.into())?,
            LayerRole::Chunk(base) if base == commit => self.txn.contains(&commit.into())?,
            LayerRole::Chunk(_) | LayerRole::Plain(_) => is_whole(self.txn, &commit)?,
        };
        Ok(is_there.then_some(KeptLayer { commit, same_blob: true }))
    }

    fn keep_chunk(&self, layer: &ImageLayer, base: CommitId, objects: &BTreeSet<FileId>) -> Result<CommitId> {
        self.layers.keep_chunk(layer, base, objects)
    }

    fn finished(&self, layer: &TakenLayer) -> Result<()> {
        self.layers.finished(layer)?;
        if layer.is_fetched() {
            let key = self.key(&layer.layer, layer.role);
            self.txn
                .hints()
                .iter()
                .for_each(|hints| hints.add_to_journal(&format!("{key} {}\n", layer.commit)));
        }
        Ok(())
    }
}
