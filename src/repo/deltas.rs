//! Static deltas, as far as the repository itself has to know of them: which there are, and their files.
//!
//! ```text
//! deltas/AB/CDEF…/superblock         from nothing to ABCDEF…, a checksum in base64
//! deltas/AB/CDEF…-TO/superblock      from ABCDEF… to TO
//! delta-indexes/AB/CDEF….index       a{sv}: the deltas that lead to ABCDEF…, with the checksums of their superblocks
//! ```
//! Source: libostree ostree-repo-static-delta-core.c.

use std::collections::BTreeMap;
use std::fs::File;

use ostree_format::delta::DeltaName;
use ostree_format::variant::{Dict, Value};
use ostree_format::{Checksum, CommitId, MAX_METADATA_BYTES};

use super::{Repo, sys};
use crate::base::fs;
use crate::store::{Error, Result};

const INDEXES: &str = "delta-indexes";

/// A file of a static delta, or the list of the deltas to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeltaFile {
    /// `delta-indexes/AB/….index`: a list of the deltas that lead to `to`.
    Index {
        /// The commit that all of them lead to.
        to: CommitId,
    },
    /// `superblock`: what a delta consists of.
    Superblock(DeltaName),
    /// `0`, `1` …: a part of a delta.
    Part(DeltaName, usize),
}

impl DeltaFile {
    /// The path of the file from the root of a repository.
    pub fn path(&self) -> String {
        match self {
            Self::Index { to } => {
                let name = to.checksum().to_base64();
                format!("{INDEXES}/{}/{}.index", &name[..2], &name[2..])
            }
            Self::Superblock(delta) => delta.superblock_path(),
            Self::Part(delta, number) => delta.part_path(*number),
        }
    }
}

impl Repo {
    /// The static deltas, sorted. Other things that lie there are passed over.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn deltas(&self) -> Result<Vec<DeltaName>> {
        let list = |path: &str| sys::list(&self.root, path).map_err(|e| Error::io("list", path, e));
        let mut out = Vec::new();
        for (first, _) in list("deltas")? {
            let rest = list(&format!("deltas/{first}"))?;
            out.extend(rest.into_iter().filter_map(|(rest, _)| DeltaName::from_dir(&first, &rest)));
        }
        out.sort();
        Ok(out)
    }

    /// The superblock of a delta; `None` if there is no such delta.
    ///
    /// # Errors
    /// [`Error::Io`]; it is one if the file has more than [`MAX_METADATA_BYTES`].
    pub fn delta_superblock(&self, delta: &DeltaName) -> Result<Option<Vec<u8>>> {
        self.read_delta(&DeltaFile::Superblock(*delta))
    }

    /// A part of a delta, as its file holds it; `None` if there is no such file.
    ///
    /// # Errors
    /// [`Error::Io`]; it is one if the file has more than [`MAX_METADATA_BYTES`].
    pub fn delta_part(&self, delta: &DeltaName, number: usize) -> Result<Option<Vec<u8>>> {
        self.read_delta(&DeltaFile::Part(*delta, number))
    }

    fn read_delta(&self, file: &DeltaFile) -> Result<Option<Vec<u8>>> {
        let path = file.path();
        sys::read_file(&self.root, &path, MAX_METADATA_BYTES).map_err(|e| Error::io("read", path, e))
    }

    /// Opens a file of a static delta; gives its size, too. `None` if it is not there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open_delta(&self, file: &DeltaFile) -> Result<Option<(File, u64)>> {
        let path = file.path();
        let opened = sys::optional(sys::open_nofollow(&self.root, &path));
        let opened = opened.map_err(|e| Error::io("open", path, e))?;
        Ok(opened.map(|(file, stat)| (file, stat.st_size.max(0).unsigned_abs())))
    }

    /// The files of all static deltas, and the lists of them.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn delta_files(&self) -> Result<Vec<DeltaFile>> {
        let mut all = Vec::new();
        for delta in self.deltas()? {
            let (dir, to) = (delta.dir(), delta.to);
            for (name, _) in sys::list(&self.root, &dir).map_err(|e| Error::io("list", &dir, e))? {
                all.extend(name.parse().ok().map(|number| DeltaFile::Part(delta, number)));
            }
            all.push(DeltaFile::Superblock(delta));
            let index = DeltaFile::Index { to };
            if !all.contains(&index) && self.open_delta(&index)?.is_some() {
                all.push(index);
            }
        }
        Ok(all)
    }

    /// The checksum of a delta's superblock; none if it has none.
    pub(super) fn delta_digest(&self, delta: &DeltaName) -> Result<Option<Checksum>> {
        Ok(self.delta_superblock(delta)?.map(|bytes| Checksum::of(&bytes)))
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
        for delta in self.deltas()? {
            if let Some(digest) = self.delta_digest(&delta)? {
                let path = DeltaFile::Index { to: delta.to }.path();
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
    ///
    /// # Errors
    /// [`Error::Io`], if there is no such delta, too.
    pub fn delete_delta(&self, delta: &DeltaName) -> Result<()> {
        let dir = delta.dir();
        fs::remove_all(&self.root, &dir).map_err(|e| Error::io("remove", dir, e))
    }
}
