//! Transactions: objects are staged, then become visible together, and refs come last.
//!
//! ```text
//! begin     .lock shared · staging directory taken over, its objects verified, or made
//! write     objects into the staging directory, from many threads; now and then what is there to disk
//! commit    file system to disk · objects renamed into place · their directories to disk
//!           · refs and hints written, to disk · staging directory removed · tmp cleaned · unlocked
//! drop      staging directory removed: nothing happened
//! suspend   staging directory left to the next transaction of this boot, as by a killed process; so does
//!           a drop after the work was cancelled, since it will likely be tried again, after a commit that failed
//!           when all was on the disk, and of a directory that was taken over; not once a syncfs has failed
//! ```
//! Unlike in libostree, objects are staged also with `core.fsync=false` and `core.per-object-fsync`, so that
//! a transaction that fails leaves no object behind. Source: libostree ostree-repo-commit.c:2289-2357,
//! 1749-1884.

mod names;
mod publish;
mod takeover;
mod traits;
mod write;
mod writeback;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use ostree_format::{CollectionId, CommitId, ObjectName, RefName, RefSpec, RepoMode};

use super::dir::ObjectDir;
use super::durable::ChangedDirs;
use super::fsync::Fsync;
use super::lock::Lock;
use super::object::{ObjectSync, Sink};
use super::space::Space;
use super::staging::{Staging, Takeover};
use super::{Repo, state, sys, tmp};
use crate::base::{Cancel, Ctx};
use crate::store::{Completeness, Error, Result};
use names::{Counters, Names};
use writeback::Writeback;

pub use names::TransactionStats;

/// A change of a repository that becomes visible as a whole or not at all.
#[derive(Debug)]
#[must_use = "dropped, it is rolled back"]
pub struct Transaction<'r> {
    repo: &'r Repo,
    cancel: Cancel,
    /// Taken out by commit and drop only.
    staging: Option<Staging<'r>>,
    written: Names,
    space: Space,
    /// None if objects are synced one by one or never.
    writeback: Option<Writeback>,
    pending: Mutex<Pending>,
    counters: Counters,
    /// Whether files here can share blocks, once that was tried.
    shares_blocks: OnceLock<bool>,
    /// The user who owns `objects`.
    owner_uid: u32,
    /// What becomes of the staging directory if this is dropped.
    at_end: AtEnd,
    _lock: Lock,
}

/// What becomes of a staging directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtEnd {
    /// The directory is removed, unless it was taken over or the work was cancelled.
    Remove,
    /// The directory is left to the next transaction.
    Leave,
    /// The directory is removed, also if an earlier transaction began it: its files may not have reached the disk,
    /// and a transaction that took it over would not learn of that, since the system reports it once.
    Discard,
}

/// What becomes true with the commit, apart from objects.
#[derive(Debug, Default)]
struct Pending {
    refs: BTreeMap<RefSpec, Option<CommitId>>,
    collection_refs: BTreeMap<(CollectionId, RefName), Option<CommitId>>,
    complete: BTreeSet<CommitId>,
    /// Commits whose detached metadata this transaction has written.
    detached: BTreeSet<CommitId>,
    /// Commits that this transaction was the first to mark as partial.
    newly_partial: BTreeSet<CommitId>,
    /// Files of the cache.
    cached: BTreeMap<&'static str, Vec<u8>>,
}

impl<'r> Transaction<'r> {
    pub(super) fn begin(repo: &'r Repo, takeover: Takeover, ctx: &Ctx) -> Result<Self> {
        repo.require_writable()?;
        let lock = repo.lock_shared(ctx)?;
        let writeback = match repo.fsync {
            Fsync::Transaction => Some(Writeback::new(&repo.root)?),
            Fsync::Object | Fsync::Never => None,
        };
        let owner =
            rustix::fs::fstat(&repo.objects).map_err(|e| repo.objects.failed("stat", "", e.into()))?;
        let space = Space::new(&repo.root, repo.config.min_free_space)?;
        // Last: from here on the directory is either removed or left to the next transaction.
        let staging = Staging::take(repo.tmp.as_fd(), &repo.boot_id, takeover)?;
        let written = match staging.resumed {
            true => takeover::take_staged(repo, &staging, ctx)?,
            false => Names::new(),
        };
        Ok(Self {
            repo,
            cancel: ctx.cancel.clone(),
            staging: Some(staging),
            written,
            space,
            writeback,
            pending: Mutex::default(),
            counters: Counters::default(),
            shares_blocks: OnceLock::new(),
            owner_uid: owner.st_uid,
            at_end: AtEnd::Remove,
            _lock: lock,
        })
    }

    /// The repository.
    pub fn repo(&self) -> &'r Repo {
        self.repo
    }

    /// Whether an earlier transaction left staged objects that this one goes on from.
    pub fn is_resumed(&self) -> bool {
        self.staging.as_ref().is_some_and(|staging| staging.resumed)
    }

    /// Lets a ref of a collection name `target` once the transaction is committed, or deletes it.
    ///
    /// # Errors
    /// None so far: what cannot be written fails at the commit.
    pub fn set_collection_ref(
        &self,
        id: &CollectionId,
        name: &RefName,
        target: Option<CommitId>,
    ) -> Result<()> {
        self.pending().collection_refs.insert((id.clone(), name.clone()), target);
        Ok(())
    }

    /// The size of the file of an object, in bytes.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Io`].
    pub fn object_bytes(&self, name: &ObjectName) -> Result<u64> {
        if let Some(staged) = self.staged(name)
            && let Some(bytes) = self.repo.size_in(staged, name)?
        {
            return Ok(bytes);
        }
        self.repo.object_bytes(name)
    }

    /// Makes everything visible.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Usage`] if a ref cannot be written; [`Error::Cancelled`] if that was asked
    /// for before it began: then, and if objects could not be made to reach the disk, nothing is visible.
    pub fn commit(mut self, ctx: &Ctx) -> Result<TransactionStats> {
        ctx.cancel.check()?;
        let repo = self.repo;
        let synced = |result: io::Result<()>| result.map_err(|e| repo.failed("syncfs", ".", e));
        self.at_end = AtEnd::Discard;
        self.writeback.as_ref().map_or(Ok(()), |writeback| synced(writeback.wait()))?;
        if repo.fsync != Fsync::Never && !self.written.is_empty() {
            synced(sys::sync_filesystem(&repo.root))?;
        }
        self.at_end = AtEnd::Leave;
        let pending = std::mem::take(&mut *self.pending());
        if let Some(staging) = &self.staging {
            self.publish(staging, &pending)?;
            match repo.fsync {
                Fsync::Never => {}
                // Who was interrupted may have moved some of the objects: which, nobody knows.
                _ if staging.resumed => synced(sys::sync_filesystem(&repo.root))?,
                _ => self.sync_dirs()?,
            }
        }
        let mut changed = ChangedDirs::default();
        // Without a journal, a name that is still there on disk lays claim to what now has its inode.
        changed.note("tmp/staging");
        for commit in &pending.complete {
            state::set_completeness(repo.root.as_fd(), commit, Completeness::Complete)?;
            changed.note(&state::path(commit));
        }
        self.write_refs(&pending, &mut changed)?;
        for (name, bytes) in &pending.cached {
            repo.write_cached(name, bytes);
        }
        repo.sync_changed(&changed)?;
        if let Some(staging) = self.staging.take() {
            // What cannot be removed is taken over by the next one.
            let _ = staging.remove();
        }
        tmp::clean(repo.tmp.as_fd(), &repo.boot_id, repo.config.tmp_expiry_secs);
        // Older versions of libostree left it.
        sys::unlink(&repo.root, "transaction").map_err(|e| repo.failed("unlink", "transaction", e))?;
        Ok(self.stats())
    }

    /// Ends the transaction without making anything visible, but leaves what was staged to the next one of
    /// this boot: for work that was interrupted and will be tried again. As when it is dropped, what was
    /// already sent to the disk is waited for.
    pub fn suspend(mut self) {
        self.at_end = AtEnd::Leave;
    }

    /// Whether what was sent to the disk early has got there, as far as is known: see [`AtEnd::Discard`].
    fn reached_disk(&self) -> bool {
        self.writeback.as_ref().is_none_or(|writeback| writeback.wait().is_ok())
    }

    /// Counts of what was written so far.
    pub fn stats(&self) -> TransactionStats {
        self.counters.stats()
    }

    fn write_refs(&self, pending: &Pending, changed: &mut ChangedDirs) -> Result<()> {
        // Deleted ones first: a new one may need the name as a directory.
        for deleted in [true, false] {
            for (refspec, target) in pending.refs.iter().filter(|(_, target)| target.is_none() == deleted) {
                self.repo.write_ref(refspec, *target, changed)?;
            }
            let refs = pending.collection_refs.iter().filter(|(_, target)| target.is_none() == deleted);
            for ((id, name), target) in refs {
                self.repo.write_collection_ref(id, name, *target, changed)?;
            }
        }
        match pending.refs.is_empty() && pending.collection_refs.is_empty() {
            true => Ok(()),
            false => self.repo.refs_changed(),
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The staging directory, if the object is known to be in it.
    fn staged(&self, name: &ObjectName) -> Option<&ObjectDir> {
        let staging = self.staging.as_ref().filter(|_| self.written.contains(name))?;
        Some(&staging.objects)
    }

    /// Whether the object is in this repository, apart from its parent.
    fn is_stored(&self, name: &ObjectName) -> Result<bool> {
        Ok(self.written.contains(name) || self.repo.objects.contains(name, self.repo.mode())?)
    }

    fn sink(&self) -> Result<Sink<'_>> {
        let staging = self.staging.as_ref();
        let staging = staging.ok_or_else(|| Error::Usage("the transaction is over".into()))?;
        let sync = match self.repo.fsync {
            Fsync::Object => ObjectSync::Each,
            Fsync::Transaction | Fsync::Never => ObjectSync::Later,
        };
        let objects = &staging.objects;
        let payload_links_from = self.repo.config.payload_link_threshold_bytes;
        let payload_links_from = payload_links_from.filter(|_| self.keeps_payloads() && self.shares_blocks());
        let (tmp, committed, verity) = (objects.as_fd(), &self.repo.objects, &self.repo.verity);
        Ok(Sink { tmp, objects, committed, sync, payload_links_from, verity })
    }

    /// Whether the mode is one whose objects get payload links.
    fn keeps_payloads(&self) -> bool {
        matches!(self.repo.mode(), RepoMode::Bare | RepoMode::BareUser | RepoMode::BareUserOnly)
    }

    /// Whether files of the repository's file system can share blocks; tried once.
    fn shares_blocks(&self) -> bool {
        *self.shares_blocks.get_or_init(|| {
            let staging = self.staging.as_ref().map(|staging| staging.objects.as_fd());
            let file = staging.and_then(|tmp| sys::TempFile::new(tmp).ok());
            let config = sys::open_nofollow(&self.repo.root, "config").ok();
            file.zip(config).is_some_and(|(file, (config, _))| sys::share_blocks(file.file(), &config))
        })
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // Errors have nowhere to go, and what stays behind harms nobody.
        let Some(staging) = self.staging.take() else { return };
        let is_left = match self.at_end {
            AtEnd::Leave => true,
            AtEnd::Remove => staging.resumed || self.cancel.check().is_err(),
            AtEnd::Discard => false,
        };
        if is_left && self.reached_disk() {
            return staging.leave();
        }
        let _ = staging.remove();
        let pending = self.pending.get_mut().unwrap_or_else(PoisonError::into_inner);
        for commit in &pending.newly_partial {
            let _ = self.repo.set_partial(commit, Completeness::Complete);
        }
        tmp::clean(self.repo.tmp.as_fd(), &self.repo.boot_id, self.repo.config.tmp_expiry_secs);
    }
}
