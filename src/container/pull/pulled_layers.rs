//! The layers that earlier pulls brought: a hint in the store's cache, so that they are not fetched again.
//!
//! ```text
//! COMMIT LAYER0 CHUNK …\n     the commit in an image, and the diffids of its layers; the newest pull first
//! ```
//! Each is 64 hexadecimal digits. A line is believed only if the store has that commit with all its objects, and
//! speaks of content objects alone, which are what their checksums say. So nothing has to be kept for the hint's
//! sake: no refs, no objects. Layers of images that the image store keeps are there, too.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use ostree_format::{Checksum, CommitId, FileId};

use super::hint::{self, is_marked_complete};
use crate::container::image::{DiffId, ImageLayer, LayerKind, LayerPlan, Result};
use crate::container::store::{KeptLayer, LayerRole, Layers, StoredLayers, TakenLayer, is_whole};
use crate::store::Txn;

/// The file in the cache.
const FILE: &str = "ostree-rs-layers";
/// The number of pulls that are remembered.
const MAX_COMMITS: usize = 64;

/// What the file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::container) struct PulledLayers(Vec<Record>);

/// One pull.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        hint::read(txn, FILE).and_then(|text| Self::parse(&text)).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        hint::parse(text, MAX_COMMITS, Record::parse).map(Self)
    }

    /// Newer pulls have precedence over older ones if the file cannot hold all.
    fn to_text(&self) -> String {
        hint::to_text(self.0.iter().map(Record::checksums))
    }

    /// The layers of an image that need not be fetched.
    pub(in crate::container) fn reusable<'a>(
        &self,
        plan: &LayerPlan,
        txn: &'a dyn Txn,
    ) -> Result<Reusable<'a>> {
        let mut wanted: BTreeSet<_> = plan.of_kind(LayerKind::Chunk).map(|layer| layer.diff_id).collect();
        let mut found = Reusable { first: None, chunks: BTreeMap::new(), stored: StoredLayers::read(txn)? };
        for Record { commit, first, chunks } in &self.0 {
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

    /// Notes that `commit` was pulled, with all layers that the plan has of it. Commits that are not there any
    /// more are forgotten.
    pub(in crate::container) fn note(&self, plan: &LayerPlan, commit: CommitId, txn: &dyn Txn) {
        let Some(first) = plan.commit_layer() else { return };
        let chunks = plan.of_kind(LayerKind::Chunk).map(|layer| layer.diff_id).collect();
        let record = Record { commit, first: first.diff_id, chunks };
        let others = self.0.iter().filter(|r| r.commit != commit && is_marked_complete(txn, &r.commit));
        let new = Self(iter::once(&record).chain(others).take(MAX_COMMITS).cloned().collect());
        if new != *self {
            txn.hints().iter().for_each(|hints| hints.set_cached(FILE, new.to_text().into_bytes()));
        }
    }
}

impl Record {
    fn parse(line: &[Checksum]) -> Option<Self> {
        let [commit, first, chunks @ ..] = line else { return None };
        let chunks = chunks.iter().copied().map(DiffId::new).collect();
        Some(Self { commit: CommitId::new(*commit), first: DiffId::new(*first), chunks })
    }

    fn checksums(&self) -> impl Iterator<Item = Checksum> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MAX_CACHED_BYTES;

    fn hex(digit: char) -> String {
        String::from(digit).repeat(64)
    }

    #[test]
    fn text_and_back() {
        let text = format!("{} {}\n{} {} {}\n", hex('a'), hex('0'), hex('b'), hex('1'), hex('0'));
        let layers = PulledLayers::parse(&text).unwrap();
        assert_eq!(layers.0.iter().map(|r| r.chunks.len()).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(layers.to_text(), text);
        assert_eq!(PulledLayers::parse(""), Some(PulledLayers::default()));
    }

    #[test]
    fn what_is_not_exactly_right_says_nothing() {
        let line = format!("{} {}\n", hex('a'), hex('0'));
        for text in [
            "\n".to_owned(),
            line.trim_end().to_owned(),
            line.replace(' ', "  "),
            line.replace('\n', " \n"),
            line.replace('\n', "\r\n"),
            line.replace('a', "A"),
            line[1..].to_owned(),
            format!("{}\n", hex('a')),
            format!("{line}\n"),
            format!("\n{line}"),
            line.repeat(MAX_COMMITS + 1),
        ] {
            assert_eq!(PulledLayers::parse(&text), None, "{text:?}");
        }
    }

    #[test]
    fn only_what_fits_is_written() {
        let id = || DiffId::new(Checksum::of(b""));
        let record = |chunks: usize| Record {
            commit: CommitId::new(Checksum::of(b"")),
            first: id(),
            chunks: iter::repeat_with(id).take(chunks).collect(),
        };
        let layers = PulledLayers(vec![record(1), record(20_000), record(16_000), record(200)]);
        let text = layers.to_text();
        assert!(text.len() as u64 <= MAX_CACHED_BYTES);
        let read = PulledLayers::parse(&text).unwrap();
        assert_eq!(read.0.iter().map(|r| r.chunks.len()).collect::<Vec<_>>(), [1, 16_000]);
    }
}
