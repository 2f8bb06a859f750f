//! Static deltas, as far as the repository itself has to know of them: which there are.
//!
//! ```text
//! deltas/AB/CDEF…/superblock         from nothing to ABCDEF…, a checksum in base64
//! deltas/AB/CDEF…-TO/superblock      from ABCDEF… to TO
//! delta-indexes/AB/CDEF….index       a{sv}: the deltas that lead to ABCDEF…, with the checksums of their superblocks
//! ```
//! Source: libostree ostree-repo-static-delta-core.c.

use std::collections::BTreeMap;
use std::fmt;

use ostree_format::variant::{Dict, Value};
use ostree_format::{Checksum, CommitId, MAX_METADATA_BYTES};

use super::{Repo, sys};
use crate::base::fs;
use crate::store::{Error, Result};

pub(super) const INDEXES: &str = "delta-indexes";

/// A static delta of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeltaDir {
    /// The commit that the delta starts from; `None` if it needs nothing.
    pub(super) from: Option<CommitId>,
    /// The commit that the delta leads to.
    pub(super) to: CommitId,
    /// The directory of the delta, from the root of the repository.
    path: String,
}

impl fmt::Display for DeltaDir {
    /// Writes the name that the delta has in summaries: `FROM-TO` or `TO`.
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

    /// Writes an index of the deltas to each commit anew, and notes in the config that there are such: who pulls
    /// looks there then, and not into the summary.
    ///
    /// # Errors
    /// As [`Repo::update_config`].
    pub fn reindex_deltas(&mut self) -> Result<()> {
        if !self.config.indexed_deltas {
            self.update_config(|file| {
                let invalid = |source| Error::Invalid { what: "config".into(), source };
                file.set_raw("core", "indexed-deltas", "true").map_err(invalid)
            })?;
        }
        let mut to: BTreeMap<String, Dict> = BTreeMap::new();
        for delta in self.delta_dirs()? {
            if let Some(digest) = self.delta_digest(&delta)? {
                let name = delta.to.checksum().to_base64();
                let path = format!("{INDEXES}/{}/{}.index", &name[..2], &name[2..]);
                let digest = Value::Bytes(digest.as_bytes().to_vec());
                to.entry(path).or_default().insert(delta.to_string(), digest);
            }
        }
        self.remove_indexes(&|path| !to.contains_key(path))?;
        for (path, deltas) in to {
            let mut index = Dict::new();
            index.insert("ostree.static-deltas", deltas.hash_ordered().to_value());
            let dir = &path[..path.rfind('/').unwrap_or(0)];
            sys::mkdir_all(&self.root, dir, 0o775).map_err(|e| Error::io("mkdir", dir, e))?;
            self.replace_file(&path, &index.to_bytes())?;
        }
        Ok(())
    }

    fn remove_indexes(&self, unneeded: &dyn Fn(&str) -> bool) -> Result<()> {
        let list = |path: &str| sys::list(&self.root, path).map_err(|e| Error::io("list", path, e));
        for (first, _) in list(INDEXES)? {
            let dir = format!("{INDEXES}/{first}");
            for (rest, _) in list(&dir)? {
                let path = format!("{dir}/{rest}");
                if unneeded(&path) {
                    self.remove_file(&path)?;
                }
            }
        }
        Ok(())
    }

    /// Deletes a delta.
    pub(super) fn delete_delta(&self, delta: &DeltaDir) -> Result<()> {
        fs::remove_all(&self.root, &delta.path).map_err(|e| Error::io("remove", &delta.path, e))
    }
}
