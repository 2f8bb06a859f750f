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
use std::io::{self, Read};
use std::os::fd::AsFd;

use ostree_format::delta::DeltaName;
use ostree_format::variant::{Dict, Value};
use ostree_format::{Checksum, CommitId};
use rustix::fs::FileType;

use super::durable::ChangedDirs;
use super::{Fsync, Repo, sys};
use crate::base::fs;
use crate::base::io::Hashing;
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
    /// The static deltas, sorted: those that have a superblock. Other things that lie there are passed over.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn deltas(&self) -> Result<Vec<DeltaName>> {
        let mut out = Vec::new();
        for first in self.delta_dirs("deltas")? {
            let rest = self.delta_dirs(&format!("deltas/{first}"))?;
            for delta in rest.iter().filter_map(|rest| DeltaName::from_dir(&first, rest)) {
                let path = delta.superblock_path();
                if sys::lstat(&self.root, &path).map_err(|e| self.failed("stat", path, e))?.is_some() {
                    out.push(delta);
                }
            }
        }
        out.sort();
        Ok(out)
    }

    /// The directories in a directory of deltas.
    fn delta_dirs(&self, path: &str) -> Result<Vec<String>> {
        let found = sys::list(&self.root, path).map_err(|e| self.failed("list", path, e))?;
        let dirs = found.into_iter().filter(|(_, kind)| *kind == FileType::Directory);
        Ok(dirs.map(|(name, _)| name).collect())
    }

    /// Opens a file of a static delta; gives its size, too. `None` if it is not there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open_delta(&self, file: &DeltaFile) -> Result<Option<(File, u64)>> {
        let path = file.path();
        let opened = sys::optional(sys::open_nofollow(&self.root, &path));
        let opened = opened.map_err(|e| self.failed("open", path, e))?;
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
            for (name, _) in sys::list(&self.root, &dir).map_err(|e| self.failed("list", &dir, e))? {
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
        let Some((file, _)) = self.open_delta(&DeltaFile::Superblock(*delta))? else { return Ok(None) };
        let mut hashed = Hashing::new(file);
        io::copy(&mut hashed, &mut io::sink())
            .map_err(|e| self.failed("read", delta.superblock_path(), e))?;
        Ok(Some(hashed.finish().1))
    }

    /// Puts a file of a delta into its place, where another one may be; who writes a delta writes its superblock last.
    ///
    /// # Errors
    /// [`Error::Read`] if `content` cannot be read; [`Error::Io`].
    pub fn write_delta(&self, file: &DeltaFile, content: &mut dyn Read) -> Result<()> {
        let path = file.path();
        let dir = &path[..path.rfind('/').unwrap_or(0)];
        sys::mkdir_all(&self.root, dir, 0o775).map_err(|e| self.failed("mkdir", dir, e))?;
        let mut changed = ChangedDirs::default();
        changed.note(&path);
        let mut write = || -> io::Result<()> {
            let new = sys::TempFile::new(self.tmp.as_fd())?;
            io::copy(content, &mut new.file())?;
            sys::set_mode(new.file(), 0o644)?;
            new.replace(self.root.as_fd(), &path, self.fsync != Fsync::Never)
        };
        write().map_err(|e| self.failed("write", &path, e))?;
        self.sync_changed(&changed)
    }

    /// Removes the files of parts that a delta of `parts` parts does not have: those of one that was there before.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn trim_delta(&self, delta: &DeltaName, parts: usize) -> Result<()> {
        let dir = delta.dir();
        for (name, _) in sys::list(&self.root, &dir).map_err(|e| self.failed("list", &dir, e))? {
            if name.parse().is_ok_and(|number: usize| number >= parts) {
                self.remove_file(&format!("{dir}/{name}"))?;
            }
        }
        Ok(())
    }

    /// Writes an index of the deltas to each commit anew, and notes in the config that there are such: who pulls
    /// looks there then, and not into the summary.
    ///
    /// # Errors
    /// As [`Repo::update_config`].
    pub fn reindex_deltas(&mut self) -> Result<()> {
        self.reindex(None)
    }

    /// Writes the index of the deltas to one commit anew, as [`Repo::reindex_deltas`] does it for all.
    ///
    /// # Errors
    /// As [`Repo::update_config`].
    pub fn reindex_deltas_to(&mut self, to: &CommitId) -> Result<()> {
        self.reindex(Some(to))
    }

    fn reindex(&mut self, only: Option<&CommitId>) -> Result<()> {
        if !self.config.indexed_deltas {
            self.update_config(|file| {
                let invalid = |source| Error::Invalid { what: "config".into(), source };
                file.set_raw("core", "indexed-deltas", "true").map_err(invalid)
            })?;
        }
        let is_meant = |to: &CommitId| only.is_none_or(|only| only == to);
        let mut to: BTreeMap<CommitId, Dict> = BTreeMap::new();
        for delta in self.deltas()?.into_iter().filter(|delta| is_meant(&delta.to)) {
            if let Some(digest) = self.delta_digest(&delta)? {
                let digest = Value::Bytes(digest.as_bytes().to_vec());
                to.entry(delta.to).or_default().insert(delta.to_string(), digest);
            }
        }
        for commit in
            self.delta_indexes()?.iter().filter(|commit| is_meant(commit) && !to.contains_key(commit))
        {
            self.remove_file(&DeltaFile::Index { to: *commit }.path())?;
        }
        for (to, deltas) in to {
            let mut index = Dict::new();
            index.insert("ostree.static-deltas", deltas.hash_ordered().to_value());
            self.write_delta(&DeltaFile::Index { to }, &mut &index.to_bytes()[..])?;
        }
        Ok(())
    }

    /// The commits that have an index of the deltas to them, sorted.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn delta_indexes(&self) -> Result<Vec<CommitId>> {
        let list = |path: &str| sys::list(&self.root, path).map_err(|e| self.failed("list", path, e));
        let mut out = Vec::new();
        for first in self.delta_dirs(INDEXES)? {
            for (rest, _) in list(&format!("{INDEXES}/{first}"))? {
                let name =
                    rest.strip_suffix(".index").map(|rest| Checksum::from_base64(&format!("{first}{rest}")));
                out.extend(name.and_then(|name| name.ok()).map(CommitId::new));
            }
        }
        out.sort();
        Ok(out)
    }

    /// Deletes a delta.
    ///
    /// # Errors
    /// [`Error::Io`], if there is no such delta, too.
    pub fn delete_delta(&self, delta: &DeltaName) -> Result<()> {
        let dir = delta.dir();
        fs::remove_all(&self.root, &dir).map_err(|e| self.failed("remove", dir, e))
    }
}
