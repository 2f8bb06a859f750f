//! Objects fetched as soon as they are known: no branch of the tree waits for another one.
//!
//! ```text
//!                   ┌─ commits ─┐ trees
//! asked ◄── todo ◄──┤           ├◄────── what came is verified and written: metadata here, content by threads
//!   └── many at once, metadata first ────►
//! ```
//! The caller's thread asks, and looks at metadata, of which there is little; threads of a pool inflate, hash and write
//! content. Objects that are here already are not asked for, so a pull that broke off goes on where it stopped.

mod commits;
mod trees;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ostree_format::{
    Checksum, CommitId, DirMetaId, DirTreeId, FileId, MAX_METADATA_BYTES, MetaKind, ObjectName, ObjectType,
};

use super::content::{ContentWriter, SmallObjects};
use super::error::{Error, Result};
use super::judge::Judge;
use super::options::{RemoteOptions, RemoteStats};
use super::parts::{Part, PartSpill, Parts};
use super::server::{RemoteServer, is_missing};
use crate::base::{Ctx, ErrorKind, Kind, Pool, with_pool};
use crate::net::{self, Downloads, FetchedBody, FetchedFile, HeldBytes};
use crate::store::{self, Completeness, ObjectRead, Sizes, Txn};
use crate::transfer::Filter;
use commits::{CommitState, WantedCommit};

/// The number of content objects that make one job, and the bytes from which fewer do.
const BATCH_FILES: usize = 32;
const BATCH_BYTES: usize = 1024 * 1024;
/// Bytes that wait for the threads.
const WAITING_BYTES: u64 = 8 * 1024 * 1024;
/// Content objects that are known and wait to be asked for: with more, no further dirtrees that are here are looked at.
const MAX_WAITING_FILES: usize = 64 * 1024;

/// An object that was asked for.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Commit(CommitId),
    Detached(CommitId),
    Tombstone(CommitId),
    DirTree(DirTreeId),
    DirMeta(DirMetaId),
    File(FileId),
}

impl Asked {
    fn name(self) -> ObjectName {
        match self {
            Self::Commit(id) => id.into(),
            Self::Detached(id) => ObjectName::commitmeta(&id),
            Self::Tombstone(id) => ObjectName::new(*id.checksum(), ObjectType::TombstoneCommit),
            Self::DirTree(id) => id.into(),
            Self::DirMeta(id) => id.into(),
            Self::File(id) => id.into(),
        }
    }
}

/// What the summary says besides refs.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The sizes of commit objects.
    pub(super) commit_bytes: HashMap<CommitId, u64>,
    /// Whether a deleted commit leaves a tombstone.
    pub(super) has_tombstones: bool,
}

/// Fetches commits with everything that belongs to them into `txn`.
pub(super) fn pull(
    server: &RemoteServer,
    txn: &dyn Txn,
    commits: &[CommitId],
    options: &RemoteOptions<'_>,
    judge: &Judge<'_>,
    told: &Told,
    ctx: &Ctx,
) -> Result<RemoteStats> {
    let (sizes, small, imported) = (Sizes::default(), SmallObjects::new(), AtomicU64::new(0));
    let (again, parts) = (Mutex::default(), options.parts.clone().map(Parts::new));
    let modes = options.file_modes;
    let check = options.archived_check();
    let content = ContentWriter { txn, modes, check, sizes: &sizes, small: &small, imported: &imported, ctx };
    let shared = Shared { server, txn, options, judge, told, ctx, content, again: &again };
    ctx.phase("Receiving objects", None, None);
    let (complete, mut stats) = with_pool(ctx, WAITING_BYTES, |pool| {
        let mut walk = Walk::new(shared, pool, parts.as_ref());
        let wanted = |id: &CommitId| WantedCommit { id: *id, depth: options.depth, is_parent: false };
        walk.wanted.extend(commits.iter().rev().map(wanted));
        walk.run()?;
        Ok::<_, Error>((walk.complete, walk.stats))
    })?;
    for commit in complete {
        txn.set_partial(&commit, Completeness::Complete)?;
    }
    stats.content_imported += imported.load(Ordering::Relaxed);
    Ok(stats)
}

/// What the whole work has in common.
#[derive(Clone, Copy)]
struct Shared<'env> {
    server: &'env RemoteServer,
    txn: &'env dyn Txn,
    options: &'env RemoteOptions<'env>,
    judge: &'env Judge<'env>,
    told: &'env Told,
    ctx: &'env Ctx,
    content: ContentWriter<'env>,
    /// Objects that a part left by an earlier pull did not become.
    again: &'env Mutex<Vec<FileId>>,
}

struct Walk<'env, 'p> {
    shared: Shared<'env>,
    pool: &'p Pool<'env, Error>,
    parts: Option<&'p Parts>,
    downloads: Downloads<Asked>,
    /// Parts of content objects that are under way.
    large: HashMap<FileId, Arc<Part>>,
    /// What is to be asked for: metadata first, which leads to more.
    metadata: VecDeque<Asked>,
    files: VecDeque<FileId>,
    commits: HashMap<CommitId, CommitState>,
    /// Commits that are wanted next: histories may be longer than a thread's stack.
    wanted: Vec<WantedCommit>,
    /// Dirtrees that are here and were not looked at yet.
    trees: Vec<(DirTreeId, Option<Filter<'env>>)>,
    /// Dirtrees that were asked for, and what is wanted of them.
    coming: HashMap<DirTreeId, Vec<Option<Filter<'env>>>>,
    seen_trees: HashSet<DirTreeId>,
    seen_metas: HashSet<DirMetaId>,
    seen_files: HashSet<FileId>,
    /// Content objects that came, and their bytes.
    batch: Vec<(FileId, HeldBytes)>,
    batch_bytes: usize,
    complete: Vec<CommitId>,
    stats: RemoteStats,
}

impl<'env, 'p> Walk<'env, 'p> {
    fn new(shared: Shared<'env>, pool: &'p Pool<'env, Error>, parts: Option<&'p Parts>) -> Self {
        Self {
            shared,
            pool,
            parts,
            downloads: shared.server.downloads(shared.ctx),
            large: HashMap::new(),
            metadata: VecDeque::new(),
            files: VecDeque::new(),
            commits: HashMap::new(),
            wanted: Vec::new(),
            trees: Vec::new(),
            coming: HashMap::new(),
            seen_trees: HashSet::new(),
            seen_metas: HashSet::new(),
            seen_files: HashSet::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            complete: Vec::new(),
            stats: RemoteStats::default(),
        }
    }

    /// Asks and takes until everything is here.
    fn run(&mut self) -> Result<()> {
        loop {
            while let Some(commit) = self.wanted.pop() {
                self.commit(&commit)?;
            }
            self.look_at_trees()?;
            self.ask();
            let Some((asked, came)) = self.downloads.wait()? else {
                if self.trees.is_empty() && self.wanted.is_empty() && self.finish()? {
                    break;
                }
                continue;
            };
            self.take(asked, came)?;
            while let Some((asked, came)) = self.downloads.arrived() {
                self.take(asked, came)?;
            }
            self.submit()?;
        }
        self.stats.moved_bytes = self.downloads.moved_bytes();
        Ok(())
    }

    /// Asks for as much as may be under way.
    fn ask(&mut self) {
        while self.downloads.under_way() < self.shared.options.requests.get() {
            let next = self.metadata.pop_front().or_else(|| self.files.pop_front().map(Asked::File));
            let Some(asked) = next else { return };
            let limit = match asked {
                Asked::File(_) => u64::MAX,
                Asked::Commit(id) => {
                    let told = self.shared.told.commit_bytes.get(&id).copied();
                    told.map_or(MAX_METADATA_BYTES, |told| told.min(MAX_METADATA_BYTES))
                }
                _ => MAX_METADATA_BYTES,
            };
            let mut request = self.shared.server.object(&asked.name(), limit);
            if let (Asked::File(id), Some(parts)) = (asked, self.parts) {
                let part = parts.object(&id);
                request.spill = Some(Box::new(PartSpill(Arc::clone(&part))));
                self.large.insert(id, part);
            }
            self.downloads.ask(asked, request);
        }
    }

    /// Takes what came.
    fn take(&mut self, asked: Asked, came: net::Result<FetchedFile>) -> Result<()> {
        let came = match came {
            Ok(came) => Some(came.body),
            Err(error) if is_missing(&error) && self.may_be_missing(asked) => None,
            Err(error) => return Err(error.into()),
        };
        if came.is_some() {
            match asked {
                Asked::File(_) => self.stats.content_fetched += 1,
                _ => self.stats.metadata_fetched += 1,
            }
        }
        let held = match (asked, came) {
            (Asked::File(id), Some(body)) => return self.take_file(id, body),
            (_, Some(FetchedBody::Held(bytes))) => Some(bytes),
            _ => None,
        };
        match (asked, held) {
            (Asked::Commit(id), bytes) => self.commit_came(id, bytes.map(|bytes| bytes.to_vec())),
            (Asked::Detached(id), bytes) => self.detached_came(id, bytes.as_deref()),
            (Asked::DirTree(id), Some(bytes)) => {
                self.write_meta(asked, MetaKind::DirTree, &bytes)?;
                for filter in self.coming.remove(&id).unwrap_or_default() {
                    self.look_at(id, &bytes, filter.as_ref())?;
                }
                Ok(())
            }
            (Asked::DirMeta(_), Some(bytes)) => self.write_meta(asked, MetaKind::DirMeta, &bytes),
            _ => Ok(()),
        }
    }

    fn take_file(&mut self, id: FileId, body: FetchedBody) -> Result<()> {
        let part = self.large.remove(&id);
        match (body, part) {
            (FetchedBody::Held(bytes), _) => {
                self.batch_bytes += bytes.len();
                self.batch.push((id, bytes));
                match self.batch.len() >= BATCH_FILES || self.batch_bytes >= BATCH_BYTES {
                    true => self.submit(),
                    false => Ok(()),
                }
            }
            (FetchedBody::Spilled, Some(part)) => {
                let (content, again) = (self.shared.content, self.shared.again);
                self.pool.submit(0, move || write_part(content, id, &part, again))
            }
            (FetchedBody::Spilled | FetchedBody::NotModified, _) => {
                Err(store::Error::NotFound(id.into()).into())
            }
        }
    }

    /// Hands the content objects that wait to the pool.
    fn submit(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let (content, files) = (self.shared.content, std::mem::take(&mut self.batch));
        let bytes = std::mem::take(&mut self.batch_bytes) as u64;
        self.pool.submit(bytes, move || Ok(content.write_all(files)?))
    }

    /// Waits for the threads; `false` if something has to be asked for again.
    fn finish(&mut self) -> Result<bool> {
        let content = self.shared.content;
        content.small.finish(self.pool, move |finished| Ok(content.write_hashed(finished)?))?;
        self.pool.wait()?;
        let again = std::mem::take(&mut *self.shared.again.lock().unwrap_or_else(PoisonError::into_inner));
        let is_over = again.is_empty();
        self.files.extend(again);
        Ok(is_over && self.files.is_empty() && self.metadata.is_empty())
    }

    /// Verifies and writes a metadata object.
    fn write_meta(&self, asked: Asked, kind: MetaKind, bytes: &[u8]) -> Result<()> {
        let (expected, actual) = (asked.name(), Checksum::of(bytes));
        if expected.checksum != actual {
            return Err(store::Error::Mismatch { expected, actual }.into());
        }
        self.shared.txn.write_meta(kind, bytes)?;
        self.shared.ctx.object_done(bytes.len() as u64);
        Ok(())
    }

    /// A metadata object that a store of this machine has.
    fn cached_meta(&self, name: &ObjectName) -> Result<Option<Vec<u8>>> {
        for cache in &self.shared.options.local_caches {
            if let Some(bytes) = cache.read_meta(name)? {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// A store of this machine that has a content object.
    fn cached_file(&self, id: &FileId) -> Result<Option<&'env dyn ObjectRead>> {
        for cache in &self.shared.options.local_caches {
            if cache.contains(&(*id).into())? {
                return Ok(Some(*cache));
            }
        }
        Ok(None)
    }
}

/// Writes an object from its file, which is removed then. One that an earlier pull began, and that turns out damaged, is
/// fetched once more, from its start.
fn write_part(content: ContentWriter<'_>, id: FileId, part: &Part, again: &Mutex<Vec<FileId>>) -> Result<()> {
    let opened = part.read().map_err(|source| store::Error::io("open", part.path(), source));
    let written = opened.and_then(|(file, len)| content.write_spilled(&id, file, len));
    match written {
        Ok(()) => part.remove(),
        Err(error) if error.kind() == ErrorKind::Damaged || matches!(error, store::Error::Read { .. }) => {
            part.remove();
            if !part.was_left() || content.ctx.cancel.check().is_err() {
                return Err(error.into());
            }
            again.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
