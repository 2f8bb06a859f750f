//! Static deltas, as far as the repository itself has to know of them: which there are.
//!
//! ```text
//! deltas/AB/CDEF…/superblock         from nothing to ABCDEF…, a checksum in base64
//! deltas/AB/CDEF…-TO/superblock      from ABCDEF… to TO
//! ```

use std::fmt;

use ostree_format::{Checksum, CommitId, MAX_METADATA_BYTES};

use super::{Repo, sys};
use crate::store::{Error, Result};

/// A static delta of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeltaDir {
    /// Where it starts; none if at nothing.
    pub(super) from: Option<CommitId>,
    /// Where it leads.
    pub(super) to: CommitId,
    /// Its directory, from the root of the repository.
    path: String,
}

impl fmt::Display for DeltaDir {
    /// As summaries name it: `FROM-TO` or `TO`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            Some(from) => write!(f, "{from}-{}", self.to),
            None => write!(f, "{}", self.to),
        }
    }
}

impl Repo {
    /// The static deltas. Other things that lie there are passed over.
    pub(super) fn delta_dirs(&self) -> Result<Vec<DeltaDir>> {
        let list = |path: &str| sys::list(&self.root, path).map_err(|e| Error::io("list", path, e));
        let mut out = Vec::new();
        for (first, _) in list("deltas")? {
            let dir = format!("deltas/{first}");
            for (rest, _) in list(&dir)? {
                let name = format!("{first}{rest}");
                let commit = |text| Checksum::from_base64(text).ok().map(CommitId::new);
                let (from, to) = match name.split_once('-') {
                    Some((from, to)) => (commit(from).map(Some), commit(to)),
                    None => (Some(None), commit(&name)),
                };
                if let (Some(from), Some(to)) = (from, to) {
                    out.push(DeltaDir { from, to, path: format!("{dir}/{rest}") });
                }
            }
        }
        Ok(out)
    }

    /// The checksum of a delta's superblock; none if it has none.
    pub(super) fn delta_digest(&self, delta: &DeltaDir) -> Result<Option<Checksum>> {
        let path = format!("{}/superblock", delta.path);
        let bytes = sys::read_file(&self.root, &path, MAX_METADATA_BYTES);
        Ok(bytes.map_err(|e| Error::io("read", path, e))?.map(|bytes| Checksum::of(&bytes)))
    }

    /// Deletes a delta.
    pub(super) fn delete_delta(&self, delta: &DeltaDir) -> Result<()> {
        sys::remove_all(&self.root, &delta.path).map_err(|e| Error::io("remove", &delta.path, e))
    }
}
