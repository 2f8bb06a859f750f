//! Refs are written, at once or by a transaction.

use std::io;

use ostree_format::{Checksum, CollectionId, CommitId, RefName, RefSpec};
use rustix::fs::FileType;

use super::super::durable::ChangedDirs;
use super::super::{Repo, sys};
use super::{HEADS, MIRRORS, is_no_ref, namespace};
use crate::base::fs;
use crate::store::{Error, Result, check_new_ref};

impl Repo {
    /// Lets a ref name `target` at once, outside of a transaction, or deletes it.
    ///
    /// # Errors
    /// [`Error::Usage`] if the name is taken by a directory of refs, or looks like a checksum;
    /// [`Error::Io`], also if the ref is written, and it is not certain that it has reached the disk.
    pub fn set_ref(&self, refspec: &RefSpec, target: Option<CommitId>) -> Result<()> {
        let mut changed = ChangedDirs::default();
        self.write_ref(refspec, target, &mut changed)?;
        self.refs_changed()?;
        self.sync_changed(&changed)
    }

    /// Lets a ref of a collection name `target` at once, or deletes it: in `refs/heads` if the collection is this
    /// repository's own, else in `refs/mirrors`.
    ///
    /// # Errors
    /// As [`Repo::set_ref`].
    pub fn set_collection_ref(
        &self,
        id: &CollectionId,
        name: &RefName,
        target: Option<CommitId>,
    ) -> Result<()> {
        let mut changed = ChangedDirs::default();
        self.write_collection_ref(id, name, target, &mut changed)?;
        self.refs_changed()?;
        self.sync_changed(&changed)
    }

    /// Makes `alias` another name of the ref `target` of the same namespace.
    ///
    /// # Errors
    /// As [`Repo::set_ref`].
    pub fn set_alias(&self, alias: &RefSpec, target: &RefName) -> Result<()> {
        check_new_ref(alias)?;
        let name = alias.name.as_str();
        let path = format!("{}/{name}", namespace(alias.remote.as_ref()));
        let up = "../".repeat(name.matches('/').count());
        let failed = |e| self.failed("symlink", &path, e);
        self.make_parents(&path)?;
        let link = sys::temporary_symlink(&self.tmp, &format!("{up}{target}"), "tmplink.").map_err(failed)?;
        sys::rename(&self.tmp, &link, &self.root, &path).map_err(|e| {
            let _ = sys::unlink(&self.tmp, &link);
            failed(e)
        })?;
        let mut changed = ChangedDirs::default();
        changed.note(&path);
        self.refs_changed()?;
        self.sync_changed(&changed)
    }

    /// Writes or deletes the file of a ref.
    pub(in crate::repo) fn write_ref(
        &self,
        refspec: &RefSpec,
        target: Option<CommitId>,
        changed: &mut ChangedDirs,
    ) -> Result<()> {
        self.write_ref_in(&namespace(refspec.remote.as_ref()), &refspec.name, target, changed)
    }

    /// Writes or deletes the file of a collection's ref.
    pub(in crate::repo) fn write_collection_ref(
        &self,
        id: &CollectionId,
        name: &RefName,
        target: Option<CommitId>,
        changed: &mut ChangedDirs,
    ) -> Result<()> {
        match self.config.collection_id() == Ok(Some(id)) {
            true => self.write_ref_in(HEADS, name, target, changed),
            false => self.write_ref_in(&format!("{MIRRORS}/{id}"), name, target, changed),
        }
    }

    fn write_ref_in(
        &self,
        namespace: &str,
        name: &RefName,
        target: Option<CommitId>,
        changed: &mut ChangedDirs,
    ) -> Result<()> {
        let path = format!("{namespace}/{name}");
        changed.note(&path);
        let Some(target) = target else {
            return match sys::unlink(&self.root, &path) {
                Err(e) if !is_no_ref(&e) => Err(self.failed("unlink", path, e)),
                _ => Ok(()),
            };
        };
        if name.as_str().parse::<Checksum>().is_ok() {
            return Err(Error::Usage(format!("Rev name '{name}' looks like a checksum")));
        }
        self.make_parents(&path)?;
        let content = format!("{target}\n");
        match self.replace_file_at(&path, content.as_bytes()) {
            Err(e) if e.kind() == io::ErrorKind::IsADirectory => {
                self.remove_empty_dirs(namespace, name)?;
                self.replace_file_at(&path, content.as_bytes())
            }
            other => other,
        }
        .map_err(|e| self.failed("write", path, e))
    }

    /// Makes the directories that a ref lies in.
    fn make_parents(&self, path: &str) -> Result<()> {
        let Some((parent, _)) = path.rsplit_once('/') else { return Ok(()) };
        let made = sys::mkdir_all(&self.root, parent, 0o777);
        let is_dir = |stat: rustix::fs::Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        match made.and_then(|()| sys::lstat(&self.root, parent)) {
            Ok(Some(stat)) if is_dir(stat) => Ok(()),
            Err(e) if e.kind() != io::ErrorKind::NotADirectory => Err(self.failed("mkdir", parent, e)),
            _ => Err(Error::Usage(format!("Conflict: a part of {path} is a ref"))),
        }
    }

    /// Removes directories that deleted refs left where a ref `name` is to be written.
    fn remove_empty_dirs(&self, namespace: &str, name: &RefName) -> Result<()> {
        self.walk_refs(namespace, name.as_str(), &mut |below, _| {
            Err(Error::Usage(format!("Conflict: {below} exists under {name} when attempting write")))
        })?;
        let path = format!("{namespace}/{name}");
        fs::remove_all(&self.root, &path).map_err(|e| self.failed("remove", path, e))
    }

    /// Lets others see by the repository's time that refs have changed.
    pub(in crate::repo) fn refs_changed(&self) -> Result<()> {
        sys::touch(&self.root).map_err(|e| self.failed("utimens", ".", e))?;
        self.auto_update_summary()
    }
}
