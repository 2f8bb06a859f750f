//! Objects are deleted, and what is left of a commit: a tombstone.

use ostree_format::{CommitId, ObjectName, ObjectType, commitmeta};

use super::{Repo, object, sys};
use crate::store::{Error, Result};

impl Repo {
    /// Removes an object. With a commit goes its detached metadata, and a tombstone is left if the config
    /// asks for that.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Io`].
    pub fn delete_object(&self, name: &ObjectName) -> Result<()> {
        let is_commit = name.kind == ObjectType::Commit;
        let commit = CommitId::new(name.checksum);
        if is_commit {
            self.unlink_object(&ObjectName::commitmeta(&commit))?;
        }
        if !self.unlink_object(name)? {
            return Err(Error::NotFound(*name));
        }
        if is_commit && self.config.tombstone_commits {
            self.write_tombstone(&commit)?;
        }
        Ok(())
    }

    /// Leaves a tombstone for a commit that is not there, and has the config ask for tombstones from now on.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn add_tombstone(&mut self, commit: &CommitId) -> Result<()> {
        self.enable_tombstones()?;
        self.write_tombstone(commit)
    }

    /// Has every deleted commit leave a tombstone from now on.
    ///
    /// # Errors
    /// As [`Repo::update_config`].
    pub fn enable_tombstones(&mut self) -> Result<()> {
        match self.config.tombstone_commits {
            true => Ok(()),
            false => self.update_config(|file| {
                let invalid = |source| Error::Invalid { what: "config".into(), source };
                file.set_raw("core", "tombstone-commits", "true").map_err(invalid)
            }),
        }
    }

    pub(super) fn write_tombstone(&self, commit: &CommitId) -> Result<()> {
        let name = ObjectName::new(*commit.checksum(), ObjectType::TombstoneCommit);
        object::write_meta(&self.direct_sink(), self.mode(), &name, &commitmeta::tombstone(commit)).map(drop)
    }

    /// Removes the file of an object; says whether it was there.
    pub(super) fn unlink_object(&self, name: &ObjectName) -> Result<bool> {
        let path = name.loose_path(self.mode());
        sys::unlink(&self.objects, &path).map_err(|e| self.objects.failed("unlink", &path, e))
    }
}
