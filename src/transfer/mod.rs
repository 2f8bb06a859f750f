//! Copies commits and everything that they name from one store into a transaction of another.
//!
//! ```text
//! commit ─ checked, marked partial, written with its detached metadata ─ parents as deep as asked
//!   └ dirtrees, dirmetas missing in the target        verified, by a pool of threads, several at a time: no branch
//!       │                                             of the tree waits for another one
//!       └ content objects missing in the target       hard link where both keep files alike,
//!                                                     else a verified copy, by the same threads
//! all there: marked complete, with the transaction
//! ```
//! What is there already is not read again, so an interrupted copy goes on where it stopped. Semantics as
//! `ostree pull-local`: libostree ostree-repo-pull.c:633-750, 1466-1880; ostree-repo-commit.c:4320-4640.

mod content;
mod metadata;
pub mod pipe;
mod refs;
mod subpath;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use ostree_format::variant::Dict;
use ostree_format::{
    CommitId, CommitRef, DirMetaId, DirTreeId, DirTreeRef, FileId, MetaKind, ObjectName, ObjectType,
};

use crate::base::{Answers, Ctx, Pool, debug_fields, with_pool};
use crate::store::{
    CommitBytes, Completeness, Depth, Error, ObjectRead, Result, Sizes, Txn, Voucher, load_commitmeta,
    require_voucher,
};

use content::{ContentCopy, SmallFiles};
use metadata::MetaCopy;
pub use refs::{CopiedRef, Moves, RefCopy, copy_refs};
pub(crate) use subpath::{Filter, wanted_dirs, wanted_files};

/// The number of content objects that make one job.
const BATCH_FILES: usize = 64;

/// Dirtrees that are loaded ahead of the walk, for each thread.
const DIRTREES_AHEAD: usize = 4;

/// The degree to which the source's objects are believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trust {
    /// Objects are believed to be what the source calls them, as `ostree pull-local` does: no checksum is computed of
    /// anything, linked or copied, so that damage in the source is passed on, for `fsck` to find. A commit is still
    /// shown to the voucher, the structure of commits, dirtrees and dirmetas is looked at, and so is the length of files.
    Source,
    /// Files that can be hard-linked are believed and not read; what is copied, and all metadata, is verified on the way.
    #[default]
    Linked,
    /// Every object is read and its checksum verified.
    Nothing,
}

/// The part of a commit that is copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Extent {
    /// The commit with everything that its tree names.
    #[default]
    Full,
    /// The commit object and its detached metadata. The commit stays marked as partial.
    CommitOnly,
    /// The files and directories below these paths, and the directories on the way there. The commit stays marked as
    /// partial.
    Subpaths(Vec<String>),
}

/// The modes that regular files may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileModes {
    /// All modes.
    #[default]
    Any,
    /// The modes that a bare-user-only repository can keep: no bits but 0775.
    BareUserOnly,
}

/// Options for a copy: which commits and objects, and how far they are believed.
#[derive(Clone)]
pub struct TransferOptions<'a> {
    /// Parents to copy as well. A parent that the source does not have ends the history.
    pub depth: Depth,
    /// The degree to which objects are believed.
    pub trust: Trust,
    /// The part of each commit that is copied.
    pub extent: Extent,
    /// The modes of files that are let through.
    pub file_modes: FileModes,
    /// The voucher that is asked about every commit before anything of it is written; `None` accepts any commit.
    pub voucher: Option<&'a dyn Voucher>,
}

debug_fields!(TransferOptions<'a> { depth, trust, extent, file_modes });

impl Default for TransferOptions<'_> {
    fn default() -> Self {
        Self {
            depth: Depth::Parents(0),
            trust: Trust::default(),
            extent: Extent::default(),
            file_modes: FileModes::default(),
            voucher: None,
        }
    }
}

/// Counts of what was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransferStats {
    /// Commits, dirtrees and dirmetas.
    pub metadata_objects: u64,
    /// Content objects.
    pub content_objects: u64,
    /// Content objects that were hard-linked; they count as content objects too.
    pub linked_objects: u64,
    /// Bytes of the content objects that were copied.
    pub copied_bytes: u64,
}

#[derive(Default)]
struct Counters {
    metadata: AtomicU64,
    content: AtomicU64,
    linked: AtomicU64,
    bytes: AtomicU64,
}

/// Copies `commits` with everything that they name, and as many of their parents as asked, from `from`
/// into `txn`. Refs are left to the caller.
///
/// # Errors
/// [`Error::NotFound`] if `from` lacks an object; [`Error::Mismatch`] or [`Error::Corrupt`] if one is
/// damaged; [`Error::Unsupported`] if the target cannot keep a file, or `options` do not let its mode
/// through; [`Error::Refused`] if nobody vouches for a commit; [`Error::Cancelled`]; what the stores give.
pub fn copy(
    from: &dyn ObjectRead,
    txn: &dyn Txn,
    commits: &[CommitId],
    options: &TransferOptions<'_>,
    ctx: &Ctx,
) -> Result<TransferStats> {
    let (counters, sizes, small) = (Counters::default(), Sizes::default(), SmallFiles::new());
    let (trust, modes) = (options.trust, options.file_modes);
    let content =
        ContentCopy { from, txn, trust, modes, sizes: &sizes, small: &small, counters: &counters, ctx };
    let meta = MetaCopy { from, txn, trust, counters: &counters, ctx };
    ctx.phase("Importing objects", None, None);
    // Jobs hold a buffer each and nothing else, so their number is bound enough.
    let complete = with_pool(ctx, u64::MAX, |pool| {
        let (batch, seen) = (Vec::new(), Seen::default());
        let mut walk = Walk { from, txn, options, ctx, content, meta, pool, batch, seen };
        let complete = walk.commits(commits)?;
        walk.submit()?;
        small.finish(pool, move |finished| content.write(finished))?;
        pool.wait()?;
        Ok::<_, Error>(complete)
    })?;
    for commit in complete {
        txn.set_partial(&commit, Completeness::Complete)?;
    }
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let linked = get(&counters.linked);
    tracing::debug!(linked, trust = ?options.trust, "objects transferred; those that are not linked were copied");
    Ok(TransferStats {
        metadata_objects: get(&counters.metadata),
        content_objects: get(&counters.content),
        linked_objects: get(&counters.linked),
        copied_bytes: get(&counters.bytes),
    })
}

/// What was looked at already.
#[derive(Default)]
struct Seen {
    /// Commits, each with the depth down to which the history behind it was followed.
    commits: HashMap<CommitId, Depth>,
    /// Dirtrees whose whole content was looked at.
    dirtrees: HashSet<DirTreeId>,
    dirmetas: HashSet<DirMetaId>,
    files: HashSet<FileId>,
}

struct Walk<'env, 'p> {
    from: &'env dyn ObjectRead,
    txn: &'env dyn Txn,
    options: &'env TransferOptions<'env>,
    ctx: &'env Ctx,
    content: ContentCopy<'env>,
    meta: MetaCopy<'env>,
    pool: &'p Pool<'env, Error>,
    /// Content objects that wait for more: one alone is quicker copied than handed to a thread.
    batch: Vec<FileId>,
    seen: Seen,
}

impl<'env> Walk<'env, '_> {
    /// Copies commits and their parents; gives back those of which everything is under way.
    fn commits(&mut self, commits: &[CommitId]) -> Result<Vec<CommitId>> {
        let mut todo: Vec<_> = commits.iter().rev().map(|id| (*id, self.options.depth, false)).collect();
        let mut complete = Vec::new();
        while let Some((id, depth, is_parent)) = todo.pop() {
            self.ctx.cancel.check()?;
            let before = self.seen.commits.get(&id).copied();
            if before.is_some_and(|before| before.covers(depth)) {
                continue;
            }
            self.seen.commits.insert(id, depth);
            let Some(bytes) = self.commit(&id, is_parent)? else { continue };
            let commit = CommitRef::parse(&bytes).map_err(Error::corrupt(id))?;
            self.content.sizes.note(&bytes);
            if let (Some(parent), Some(depth)) = (commit.parent, depth.parent()) {
                todo.push((parent, depth, true));
            }
            let is_new = before.is_none() && self.txn.completeness(&id)? != Completeness::Complete;
            let filter = match &self.options.extent {
                Extent::CommitOnly => continue,
                _ if !is_new => continue,
                Extent::Full => None,
                Extent::Subpaths(paths) => Some(Filter::new(paths)),
            };
            if filter.is_none() {
                complete.push(id);
            }
            self.dirmeta(commit.root.meta)?;
            self.tree(commit.root.tree, filter)?;
        }
        Ok(complete)
    }

    /// Makes sure that the target has a commit; gives back its bytes, or nothing for a parent that the
    /// source does not have.
    fn commit(&mut self, id: &CommitId, is_parent: bool) -> Result<Option<Vec<u8>>> {
        let name = ObjectName::from(*id);
        let stored = self.txn.read_meta(&name)?;
        let is_stored = stored.is_some();
        let bytes = match (stored, is_parent) {
            (Some(bytes), _) => bytes,
            (None, false) => self.meta.load(name)?,
            (None, true) => match self.meta.load(name) {
                Err(Error::NotFound(_)) => return self.missing_parent(id),
                loaded => loaded?,
            },
        };
        // New signatures may have come since the commit was copied.
        let detached = load_commitmeta(self.from, id)?;
        let known = load_commitmeta(self.txn, id)?;
        if let Some(voucher) = self.options.voucher {
            let detached = detached.as_ref().or(known.as_ref()).map(Dict::to_bytes);
            require_voucher(voucher, &CommitBytes { id: *id, bytes: &bytes, detached: detached.as_deref() })?;
        }
        if !is_stored {
            self.txn.set_partial(id, Completeness::Partial)?;
        }
        if let Some(detached) = detached.filter(|detached| Some(detached) != known.as_ref()) {
            self.txn.set_detached(id, &detached)?;
        }
        if !is_stored {
            self.meta.write(name, MetaKind::Commit, &bytes)?;
        }
        Ok(Some(bytes))
    }

    /// Takes note of a parent that the source does not have: it may have deleted the commit on purpose.
    fn missing_parent(&self, id: &CommitId) -> Result<Option<Vec<u8>>> {
        if self.from.contains(&ObjectName::new(*id.checksum(), ObjectType::TombstoneCommit))? {
            self.txn.leave_tombstone(id)?;
        }
        Ok(None)
    }

    /// Copies what is below a dirtree, as far as `filter` lets it through.
    fn tree(&mut self, root: DirTreeId, filter: Option<Filter<'env>>) -> Result<()> {
        // A stack of its own: trees from outside may be nested deeper than a thread's stack.
        let (mut todo, mut loaded) = (vec![(root, filter)], Answers::default());
        loop {
            while loaded.awaited() < DIRTREES_AHEAD * self.ctx.jobs.get()
                && let Some((id, filter)) = todo.pop()
            {
                if filter.is_some() || self.seen.dirtrees.insert(id) {
                    let meta = self.meta;
                    let load = move || Ok((id, meta.ensure(id.into(), MetaKind::DirTree)?, filter));
                    loaded.ask(self.pool, 0, load)?;
                }
            }
            let Some((id, bytes, filter)) = loaded.next(self.pool)? else { return Ok(()) };
            self.ctx.cancel.check()?;
            let tree = DirTreeRef::parse(&bytes).map_err(Error::corrupt(id))?;
            self.dirtree(&tree, filter.as_ref(), &mut todo)?;
        }
    }

    /// Copies what a dirtree names, but for further dirtrees: these go to `todo`.
    fn dirtree(
        &mut self,
        tree: &DirTreeRef<'_>,
        filter: Option<&Filter<'env>>,
        todo: &mut Vec<(DirTreeId, Option<Filter<'env>>)>,
    ) -> Result<()> {
        for file in wanted_files(tree, filter) {
            if self.seen.files.insert(file) {
                self.file(file)?;
            }
        }
        for (dir, below) in wanted_dirs(tree, filter) {
            self.dirmeta(dir.meta)?;
            todo.push((dir.tree, below));
        }
        Ok(())
    }

    fn file(&mut self, id: FileId) -> Result<()> {
        if self.txn.contains(&id.into())? || self.content.link_at_once(&id)? {
            return Ok(());
        }
        self.batch.push(id);
        if self.batch.len() == BATCH_FILES { self.submit() } else { Ok(()) }
    }

    /// Hands the files that wait to the pool.
    fn submit(&mut self) -> Result<()> {
        let (content, files) = (self.content, std::mem::take(&mut self.batch));
        self.pool.submit(0, move || content.import_all(&files))
    }

    fn dirmeta(&mut self, id: DirMetaId) -> Result<()> {
        if !self.seen.dirmetas.insert(id) {
            return Ok(());
        }
        let meta = self.meta;
        self.pool.submit(0, move || meta.copy(id.into(), MetaKind::DirMeta))
    }
}
