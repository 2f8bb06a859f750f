//! Moves objects from the staging directory into `objects`.

use std::os::fd::AsFd;

use ostree_format::{CommitId, ObjectName, ObjectType};

use super::super::staging::Staging;
use super::super::sys;
use super::{Pending, Transaction};
use crate::store::Result;

impl Transaction<'_> {
    /// Renames the staged objects into place, commits last: whole directories where there are none yet, and
    /// else one by one, what is named before what names it.
    pub(super) fn publish(&self, staging: &Staging<'_>, pending: &Pending) -> Result<()> {
        let (objects, staged, mode) = (&self.repo.objects, &staging.objects, self.repo.mode());
        // A directory is moved only if `objects` would have made the same: not one that somebody else made,
        // with other permissions perhaps.
        let alike = !staging.resumed
            && sys::inherit_alike(staged, objects).map_err(|e| objects.failed("stat", "", e))?;
        let mut names = Vec::new();
        for dir in staged.dirs()? {
            let found = staged.names_in(&dir, mode)?;
            let no_commit = |name: &Option<ObjectName>| name.is_some_and(|name| rank(name.kind) < COMMITS);
            let whole = alike && found.iter().all(no_commit);
            // Whatever keeps a directory from being moved, its objects are moved or say why not.
            if !whole || !matches!(sys::rename_new(staged.as_fd(), &dir, objects.as_fd(), &dir), Ok(true)) {
                names.extend(found.into_iter().flatten());
            }
        }
        names.sort_unstable_by_key(|name| (rank(name.kind), name.checksum));
        for name in names {
            objects.ensure_parent(&name)?;
            let path = name.loose_path(mode);
            let (from, to) = (staged.as_fd(), objects.as_fd());
            let moved = match name.kind {
                // Its name is the commit's, so another one may be there: the newer one counts.
                ObjectType::CommitMeta if pending.detached.contains(&CommitId::new(name.checksum)) => {
                    sys::rename(from, &path, to, &path).map(|()| true)
                }
                _ => sys::rename_new(from, &path, to, &path),
            };
            moved.map_err(|e| objects.failed("rename", &path, e))?;
        }
        Ok(())
    }

    /// Makes the new names in `objects` reach the disk.
    pub(super) fn sync_dirs(&self) -> Result<()> {
        let objects = &self.repo.objects;
        let dirs = self.written.dirs();
        if dirs.is_empty() {
            return Ok(());
        }
        for first in dirs {
            let dir = format!("{first:02x}");
            // Not there if nothing but an object that already lay in a parent's place was announced.
            let Some(fd) =
                sys::optional(sys::open_dir(objects, &dir)).map_err(|e| objects.failed("open", &dir, e))?
            else {
                continue;
            };
            sys::sync_file(&fd).map_err(|e| objects.failed("fsync", &dir, e))?;
        }
        sys::sync_file(objects).map_err(|e| objects.failed("fsync", "", e))
    }
}

/// The [`rank`] of what makes a commit visible.
const COMMITS: u8 = 5;

/// The order in which objects become visible: what an object names is there before it.
const fn rank(kind: ObjectType) -> u8 {
    match kind {
        ObjectType::FileXattrs => 0,
        ObjectType::FileXattrsLink => 1,
        ObjectType::File | ObjectType::PayloadLink => 2,
        ObjectType::DirMeta => 3,
        ObjectType::DirTree => 4,
        ObjectType::CommitMeta | ObjectType::TombstoneCommit => COMMITS,
        ObjectType::Commit => COMMITS + 1,
    }
}
