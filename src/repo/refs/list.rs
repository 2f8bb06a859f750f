//! Lists of refs.

use std::collections::BTreeMap;

use ostree_format::{CollectionId, CommitId, RefName, RefSpec, RemoteName};
use rustix::fs::FileType;

use super::super::{Repo, sys};
use super::{HEADS, MIRRORS, REMOTES, RefFile, is_no_ref, namespace};
use crate::store::Result;

/// A ref of a collection.
pub type CollectionRef = (CollectionId, RefName);

impl Repo {
    /// The local refs that are aliases, and the refs that they stand for.
    ///
    /// # Errors
    /// [`Error::Io`](crate::store::Error::Io).
    pub fn aliases(&self) -> Result<BTreeMap<RefName, RefName>> {
        let mut out = BTreeMap::new();
        self.walk_refs(HEADS, "", &mut |name, kind| {
            if kind == FileType::Symlink {
                let path = format!("{HEADS}/{name}");
                let target =
                    sys::read_link(&self.root, &path).map_err(|e| self.failed("readlink", &path, e))?;
                if let Ok(target) = target.trim_start_matches("../").parse() {
                    out.insert(name, target);
                }
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// The refs at or below `prefix`: with `a/b`, the refs `a/b` and `a/b/c` but not `a/bc`.
    ///
    /// # Errors
    /// As [`Refs::list`](crate::store::Refs::list).
    pub fn list_below(&self, prefix: &RefSpec) -> Result<BTreeMap<RefSpec, CommitId>> {
        let mut out = BTreeMap::new();
        if let Some(id) = self.resolve_here(prefix)? {
            out.insert(prefix.clone(), id);
        }
        self.list_namespace(prefix.remote.as_ref(), prefix.name.as_str(), &mut out)?;
        Ok(out)
    }

    /// The refs of one remote, or the local ones.
    ///
    /// # Errors
    /// As [`Refs::list`](crate::store::Refs::list).
    pub fn list_of(&self, remote: Option<&RemoteName>) -> Result<BTreeMap<RefSpec, CommitId>> {
        let mut out = BTreeMap::new();
        self.list_namespace(remote, "", &mut out)?;
        Ok(out)
    }

    /// The refs of all collections: this repository's own, mirrored ones, and those of remotes whose
    /// config names a collection. What is no collection id is passed over, as in libostree.
    ///
    /// # Errors
    /// As [`Refs::list`](crate::store::Refs::list).
    pub fn collection_refs(&self) -> Result<BTreeMap<CollectionRef, CommitId>> {
        let mut places = Vec::new();
        if let Ok(Some(id)) = self.config.collection_id() {
            places.push((id.clone(), HEADS.to_owned()));
        }
        for dir in self.dirs_in(MIRRORS)? {
            if let Ok(id) = dir.parse() {
                places.push((id, format!("{MIRRORS}/{dir}")));
            }
        }
        for dir in self.dirs_in(REMOTES)? {
            let id = self.config.keyfile().get_raw(&format!("remote \"{dir}\""), "collection-id");
            if let Some(Ok(id)) = id.map(str::parse) {
                places.push((id, format!("{REMOTES}/{dir}")));
            }
        }
        let mut out = BTreeMap::new();
        for (id, path) in places {
            self.walk_refs(&path, "", &mut |name, _| {
                if let Some(commit) = self.require_ref(&format!("{path}/{name}"))? {
                    out.insert((id.clone(), name), commit);
                }
                Ok(())
            })?;
        }
        Ok(out)
    }

    /// Every local ref and every ref of a remote, also those whose file is damaged and names nothing: to show or
    /// delete them.
    ///
    /// # Errors
    /// As [`Refs::list`](crate::store::Refs::list), but for such files.
    pub fn ref_files(&self) -> Result<BTreeMap<RefSpec, Option<CommitId>>> {
        let mut out = BTreeMap::new();
        for remote in self.namespaces()? {
            let namespace = namespace(remote.as_ref());
            self.walk_refs(&namespace, "", &mut |name, _| {
                let named = match self.ref_file(&format!("{namespace}/{name}"))? {
                    None => return Ok(()),
                    Some(RefFile::Names(id)) => Some(id),
                    Some(RefFile::Empty | RefFile::Nowhere | RefFile::Garbage(_)) => None,
                };
                out.insert(RefSpec { remote: remote.clone(), name }, named);
                Ok(())
            })?;
        }
        Ok(out)
    }

    /// No remote, for the local refs, and every remote that has refs.
    pub(super) fn namespaces(&self) -> Result<Vec<Option<RemoteName>>> {
        // Without them, a repository that was damaged would look like one without refs, and lose all that they name.
        for path in [HEADS, REMOTES] {
            sys::open_dir(&self.root, path).map_err(|e| self.failed("Listing refs: opendir", path, e))?;
        }
        let remotes = self.dirs_in(REMOTES)?;
        Ok([None].into_iter().chain(remotes.iter().filter_map(|name| name.parse().ok().map(Some))).collect())
    }

    pub(super) fn list_namespace(
        &self,
        remote: Option<&RemoteName>,
        below: &str,
        out: &mut BTreeMap<RefSpec, CommitId>,
    ) -> Result<()> {
        let namespace = namespace(remote);
        self.walk_refs(&namespace, below, &mut |name, _| {
            if let Some(id) = self.require_ref(&format!("{namespace}/{name}"))? {
                out.insert(RefSpec { remote: remote.cloned(), name }, id);
            }
            Ok(())
        })
    }

    /// Calls `visit` for what lies below `namespace`/`below`, is no directory, and has the name of a ref. Of whatever type
    /// it is: what cannot be read must not look like no ref, or what it named would be deleted.
    pub(super) fn walk_refs(
        &self,
        namespace: &str,
        below: &str,
        visit: &mut dyn FnMut(RefName, FileType) -> Result<()>,
    ) -> Result<()> {
        let mut todo = vec![below.to_owned()];
        while let Some(dir) = todo.pop() {
            let path = format!("{namespace}/{dir}");
            let entries = match sys::list(&self.root, &path) {
                Err(e) if is_no_ref(&e) => continue,
                other => other.map_err(|e| self.failed("list", &path, e))?,
            };
            for (entry, kind) in entries {
                let name = if dir.is_empty() { entry } else { format!("{dir}/{entry}") };
                // Other files lie about there, too: a tool's ".rsync_info" for instance.
                let Ok(parsed) = name.parse() else { continue };
                match kind {
                    FileType::Directory => todo.push(name),
                    other => visit(parsed, other)?,
                }
            }
        }
        Ok(())
    }

    pub(super) fn dirs_in(&self, path: &str) -> Result<Vec<String>> {
        let entries = sys::list(&self.root, path).map_err(|e| self.failed("list", path, e))?;
        let dirs = entries.into_iter().filter(|(_, kind)| *kind == FileType::Directory);
        let mut dirs: Vec<_> = dirs.map(|(name, _)| name).collect();
        dirs.sort();
        Ok(dirs)
    }
}
