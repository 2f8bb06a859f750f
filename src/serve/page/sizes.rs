//! How large commits are, which takes a walk through all of their trees.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ostree_format::{CommitId, FileId, ObjectType};

use crate::repo::Repo;
use crate::store::{ObjectRead, Reachable, Result, walk_commit};

/// Sizes that are remembered, at most.
const MAX_REMEMBERED: usize = 256;

/// The objects of a commit, or of what one commit has and another has not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Content objects.
    pub(super) files: u64,
    /// Bytes of their content, uncompressed.
    pub(super) bytes: u64,
    /// All other objects.
    pub(super) metadata: u64,
}

/// Sizes that were asked for.
#[derive(Debug, Default)]
pub(in crate::serve) struct Sizes(Mutex<HashMap<(Option<CommitId>, CommitId), Size>>);

impl Sizes {
    /// What `commit` has and `without` has not.
    pub(super) fn of(&self, repo: &Repo, without: Option<&CommitId>, commit: &CommitId) -> Result<Size> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (without.copied(), *commit);
        if let Some(size) = known().get(&key) {
            return Ok(*size);
        }
        let mut seen = Reachable::default();
        if let Some(without) = without {
            walk_commit(repo, without, &mut seen, &mut |_| Ok(()))?;
        }
        let mut size = Size::default();
        walk_commit(repo, commit, &mut seen, &mut |name| {
            if name.kind != ObjectType::File {
                size.metadata += 1;
                return Ok(());
            }
            size.files += 1;
            // One that is missing counts, but for its bytes.
            size.bytes += repo.stat_file(&FileId::new(name.checksum))?.map_or(0, |(_, len)| len);
            Ok(())
        })?;
        let mut known = known();
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(key, size);
        Ok(size)
    }
}
