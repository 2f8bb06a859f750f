//! Deletes what nothing leads to any more.
//!
//! ```text
//! roots      refs and refs of collections, or every commit object; each with its depth
//!   └ reachable    commits as deep as asked, and all that they name
//! delete     everything else: commits first, so that what remains is never a commit without its objects
//! and        detached metadata, tombstones, xattrs and static deltas of what is not there
//! ```
//! The lock is held alone. Source: libostree ostree-repo-prune.c, ot-builtin-prune.c. There, a commit that
//! was reached before ends the walk even if it was reached with less depth
//! (<https://github.com/ostreedev/ostree/issues/2338>); here, each gets the largest depth asked for.

mod keep;

use std::collections::{BTreeMap, BTreeSet};

use ostree_format::{CommitId, DirMetaId, DirTreeId, FileId, ObjectName, ObjectType, RefSpec};

use super::{Repo, sys};
use crate::base::Ctx;
use crate::store::{Completeness, Depth, Error, ObjectRead, Refs, Result};
use keep::KeptObjects;

/// Options for deleting what is not needed.
#[derive(Debug, Clone, Default)]
pub struct PruneOptions {
    /// The commits and refs from which everything that is kept can be reached.
    pub roots: Roots,
    /// The kinds of objects that are looked at.
    pub scope: Scope,
    /// Whether to delete, or only to count.
    pub action: Action,
}

/// The commits and refs at which the walk over what to keep starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Roots {
    /// Every commit that is there: only what belongs to none is deleted.
    #[default]
    Commits,
    /// Every ref, each with the same depth.
    Refs(Depth),
    /// Every ref, each by its own rule.
    Rules(RefRules),
}

/// Rules that say how much is kept of each ref's history. By default that is all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefRules {
    /// Refs that are kept with this depth, whatever the other rules say. (libostree's program takes a depth of 0 as if
    /// there were no rule for the ref, and keeps more.)
    pub retain: BTreeMap<RefSpec, Depth>,
    /// The only refs whose history is cut, unless this is empty: all others are kept with their whole history.
    pub only: BTreeSet<RefSpec>,
    /// The rule for the rest: the first commit of a ref is always kept, and those behind it by this rule.
    pub others: Keep,
}

/// The part of a ref's history that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The commits up to this depth.
    Depth(Depth),
    /// The commits that are not older than a time.
    YoungerThan {
        /// The oldest timestamp that is kept, in seconds since 1970.
        secs: i64,
    },
}

impl Default for Keep {
    /// All commits.
    fn default() -> Self {
        Self::Depth(Depth::All)
    }
}

/// The kinds of objects that are looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// All objects.
    #[default]
    Everything,
    /// Commits only.
    CommitsOnly,
}

/// A choice between deleting and only counting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Action {
    /// Objects are deleted.
    #[default]
    Delete,
    /// Objects are counted.
    Count,
}

/// Counts of what was deleted, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PruneStats {
    /// Objects that were looked at: commits, dirtrees, dirmetas, files, payload links.
    pub objects: u64,
    /// Objects that were deleted, or would be.
    pub deleted_objects: u64,
    /// Files that went with the objects: detached metadata, tombstones, xattrs.
    pub deleted_companions: u64,
    /// Bytes of all deleted files.
    pub freed_bytes: u64,
}

impl Repo {
    /// Deletes what is not kept.
    ///
    /// # Errors
    /// [`Error::RefNotFound`] for a ref in [`RefRules::only`]; [`Error::Locked`]; [`Error::NotFound`] and
    /// [`Error::Corrupt`] if a commit that is kept misses objects it should have, and then nothing is
    /// deleted; [`Error::Cancelled`], [`Error::Io`].
    pub fn prune(&self, options: &PruneOptions, ctx: &Ctx) -> Result<PruneStats> {
        let _lock = self.lock_exclusive(ctx)?;
        ctx.phase("Finding objects to keep", None, None);
        let kept = self.find_kept(options, ctx)?;
        let (unneeded, mut stats) = self.find_unneeded(&kept, options.scope)?;
        ctx.phase("Deleting objects", Some(unneeded.len() as u64), None);
        for name in &unneeded {
            ctx.cancel.check()?;
            let bytes = match name.kind {
                // Another name of what is counted as `.file-xattrs`.
                ObjectType::FileXattrsLink => 0,
                _ => self.object_bytes(name)?,
            };
            stats.freed_bytes += bytes;
            match is_counted(name.kind) {
                true => stats.deleted_objects += 1,
                false => stats.deleted_companions += 1,
            }
            if options.action == Action::Delete {
                self.delete_unneeded(name)?;
            }
            ctx.object_done(bytes);
        }
        if options.action == Action::Delete {
            if options.scope == Scope::Everything {
                self.delete_unlinked_xattrs(&mut stats)?;
            }
            self.delete_deltas(&|to| Ok(!self.contains(&to.into())?))?;
        }
        Ok(stats)
    }

    /// Deletes a commit that no ref points to and leaves a tombstone; its objects stay until
    /// [`Repo::prune`].
    ///
    /// # Errors
    /// [`Error::Usage`] if a ref points to it; [`Error::NotFound`]; [`Error::Locked`], [`Error::Io`].
    pub fn delete_commit(&mut self, commit: &CommitId, ctx: &Ctx) -> Result<()> {
        let _lock = self.lock_exclusive(ctx)?;
        let referenced = |by: String| Err(Error::Usage(format!("Commit '{commit}' is referenced by {by}")));
        for (refspec, target) in self.list()? {
            if target == *commit {
                return referenced(format!("'{refspec}'"));
            }
        }
        for ((collection, name), target) in self.collection_refs()? {
            if target == *commit {
                return referenced(format!("({collection}, {name})"));
            }
        }
        self.enable_tombstones()?;
        self.delete_object(&(*commit).into())
    }

    /// Deletes the static deltas that lead to a commit.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Io`].
    pub fn delete_deltas_to(&self, commit: &CommitId, ctx: &Ctx) -> Result<()> {
        let _lock = self.lock_exclusive(ctx)?;
        self.delete_deltas(&|to| Ok(to == *commit))
    }

    /// The objects to delete, commits first; and how many objects there are.
    fn find_unneeded(&self, kept: &KeptObjects, scope: Scope) -> Result<(Vec<ObjectName>, PruneStats)> {
        let mut unneeded = Vec::new();
        let mut stats = PruneStats::default();
        self.for_each_object(&mut |name| {
            if scope == Scope::CommitsOnly && name.kind != ObjectType::Commit {
                return Ok(());
            }
            stats.objects += u64::from(is_counted(name.kind));
            unneeded.extend((!self.is_needed(&name, kept)?).then_some(name));
            Ok(())
        })?;
        unneeded.sort_unstable_by_key(|name| (rank(name.kind), name.checksum));
        Ok((unneeded, stats))
    }

    fn is_needed(&self, name: &ObjectName, kept: &KeptObjects) -> Result<bool> {
        let commit = CommitId::new(name.checksum);
        let file = FileId::new(name.checksum);
        Ok(match name.kind {
            ObjectType::Commit => kept.commits.contains_key(&commit),
            ObjectType::DirTree => kept.objects.dirtrees.contains(&DirTreeId::new(name.checksum)),
            ObjectType::DirMeta => kept.objects.dirmetas.contains(&DirMetaId::new(name.checksum)),
            ObjectType::File | ObjectType::FileXattrsLink => kept.objects.files.contains(&file),
            // Goes with its commit, so here are only those that lost it otherwise.
            ObjectType::CommitMeta => self.contains(&commit.into())?,
            ObjectType::TombstoneCommit => !self.contains(&commit.into())?,
            ObjectType::PayloadLink => self.payload(name)?.is_some_and(|id| kept.objects.files.contains(&id)),
            // Known by its links, at the end.
            ObjectType::FileXattrs => true,
        })
    }

    /// The file that a payload link leads to: `../ab/cdef….file`.
    fn payload(&self, name: &ObjectName) -> Result<Option<FileId>> {
        let path = name.loose_path(self.mode());
        let target =
            sys::read_link(&self.objects, &path).map_err(|e| self.objects.failed("readlink", &path, e))?;
        let parts = target.strip_prefix("../").and_then(|rest| rest.split_once('/'));
        let file = parts.and_then(|(dir, file)| ObjectName::from_loose_path(dir, file, self.mode()));
        Ok(file.map(|name| FileId::new(name.checksum)))
    }

    fn delete_unneeded(&self, name: &ObjectName) -> Result<()> {
        if name.kind == ObjectType::Commit {
            self.set_partial(&CommitId::new(name.checksum), Completeness::Complete)?;
        }
        match self.delete_object(name) {
            // Detached metadata went with its commit.
            Err(Error::NotFound(_)) if name.kind == ObjectType::CommitMeta => Ok(()),
            other => other,
        }
    }

    /// Deletes the xattrs that no file has a link to any more.
    fn delete_unlinked_xattrs(&self, stats: &mut PruneStats) -> Result<()> {
        let mut unlinked = Vec::new();
        self.for_each_object(&mut |name| {
            if name.kind == ObjectType::FileXattrs {
                let path = name.loose_path(self.mode());
                let stat = sys::lstat(&self.objects, &path);
                let stat = stat.map_err(|e| self.objects.failed("stat", &path, e))?;
                unlinked.extend(stat.filter(|stat| stat.st_nlink == 1).map(|_| name));
            }
            Ok(())
        })?;
        for name in unlinked {
            stats.freed_bytes += self.object_bytes(&name)?;
            stats.deleted_companions += 1;
            self.delete_object(&name)?;
        }
        Ok(())
    }

    /// Deletes the static deltas to commits of which `unneeded` says so.
    fn delete_deltas(&self, unneeded: &dyn Fn(CommitId) -> Result<bool>) -> Result<()> {
        for delta in self.deltas()? {
            if unneeded(delta.to)? {
                self.delete_delta(&delta)?;
            }
        }
        Ok(())
    }
}

/// Whether libostree counts objects of this type.
const fn is_counted(kind: ObjectType) -> bool {
    matches!(
        kind,
        ObjectType::Commit
            | ObjectType::DirTree
            | ObjectType::DirMeta
            | ObjectType::File
            | ObjectType::PayloadLink
    )
}

/// The order of deletion: what names others goes before them.
const fn rank(kind: ObjectType) -> u8 {
    match kind {
        ObjectType::Commit | ObjectType::CommitMeta | ObjectType::TombstoneCommit => 0,
        ObjectType::DirTree => 1,
        ObjectType::DirMeta | ObjectType::PayloadLink => 2,
        ObjectType::File => 3,
        ObjectType::FileXattrsLink => 4,
        ObjectType::FileXattrs => 5,
    }
}
