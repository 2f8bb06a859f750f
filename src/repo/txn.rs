//! Transactions: objects are staged, then become visible together, and refs come last.
//!
//! ```text
//! begin     .lock shared · staging directory taken over or made
//! write     objects into the staging directory, from many threads
//! commit    file system to disk · objects renamed into place · their directories to disk
//!           · staging directory removed · tmp cleaned · refs written · unlocked
//! drop      the staging directory stays for the next transaction of this boot, nothing is visible
//! ```
//! With `core.fsync=false` or `core.per-object-fsync` objects go into place at once, as in libostree.
//! Source: libostree ostree-repo-commit.c:2289-2357, 1749-1884.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ostree_format::variant::Dict;
use ostree_format::{
    Checksum, CollectionId, CommitId, FileHeader, FileId, MAX_METADATA_BYTES, MetaKind, ObjectName,
    ObjectType, RefName, RefSpec,
};

use super::config::Fsync;
use super::dir::ObjectDir;
use super::lock::Lock;
use super::object::{self, Links, ObjectSync, Regular, SMALL_BYTES, Sink, Source};
use super::space::Space;
use super::staging::Staging;
use super::sys::{self, Linked};
use super::{Repo, loose_in, read_meta_in, refs, tmp};
use crate::base::Ctx;
use crate::store::{
    Completeness, Error, FileObject, LooseFile, ObjectRead, ObjectWrite, Refs, Result, Txn, validate_meta,
};

/// A change of a repository that becomes visible as a whole or not at all.
#[derive(Debug)]
#[must_use = "dropped, it is rolled back"]
pub struct Transaction<'r> {
    repo: &'r Repo,
    /// Taken out by commit and drop only.
    staging: Option<Staging>,
    place: Place,
    written: Names,
    space: Space,
    out_of_space: AtomicBool,
    pending: Mutex<Pending>,
    counters: Counters,
    _lock: Lock,
}

/// Where objects get their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Staged,
    Direct(ObjectSync),
}

/// What becomes true with the commit, apart from objects.
#[derive(Debug, Default)]
struct Pending {
    refs: BTreeMap<RefSpec, Option<CommitId>>,
    collection_refs: BTreeMap<(CollectionId, RefName), Option<CommitId>>,
    complete: BTreeSet<CommitId>,
}

/// What a transaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransactionStats {
    /// Metadata objects that were to be written.
    pub metadata_total: u64,
    /// Of these, the ones that were new.
    pub metadata_written: u64,
    /// Content objects that were to be written.
    pub content_total: u64,
    /// Of these, the ones that were new.
    pub content_written: u64,
    /// Bytes of content in these.
    pub content_bytes_written: u64,
}

#[derive(Debug, Default)]
struct Counters {
    metadata_total: AtomicU64,
    metadata_written: AtomicU64,
    content_total: AtomicU64,
    content_written: AtomicU64,
    content_bytes_written: AtomicU64,
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

/// The objects that this transaction has written or found staged: asking costs no system call. Some 40
/// bytes for each.
#[derive(Debug)]
struct Names([Mutex<HashSet<ObjectName>>; 16]);

impl Names {
    fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    fn shard(&self, name: &ObjectName) -> MutexGuard<'_, HashSet<ObjectName>> {
        let shard = usize::from(name.checksum.as_bytes()[0] & 15);
        self.0[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contains(&self, name: &ObjectName) -> bool {
        self.shard(name).contains(name)
    }

    fn insert(&self, name: ObjectName) {
        self.shard(&name).insert(name);
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).is_empty())
    }

    /// The first bytes of all checksums: the directories in which the objects lie.
    fn dirs(&self) -> BTreeSet<u8> {
        let mut out = BTreeSet::new();
        for shard in &self.0 {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            out.extend(shard.iter().map(|name| name.checksum.as_bytes()[0]));
        }
        out
    }
}

impl<'r> Transaction<'r> {
    pub(super) fn begin(repo: &'r Repo, ctx: &Ctx) -> Result<Self> {
        let lock = repo.lock_shared(ctx)?;
        let staging = Staging::take(repo.tmp.as_fd(), &repo.boot_id)?;
        let written = Names::new();
        if staging.resumed {
            staging.objects.for_each(repo.mode(), &mut |name| {
                written.insert(name);
                Ok(())
            })?;
        }
        let place = match repo.config.fsync {
            Fsync::Transaction => Place::Staged,
            Fsync::Object => Place::Direct(ObjectSync::Each),
            Fsync::Never => Place::Direct(ObjectSync::Later),
        };
        Ok(Self {
            repo,
            staging: Some(staging),
            place,
            written,
            space: Space::new(&repo.root, repo.config.min_free_space)?,
            out_of_space: AtomicBool::new(false),
            pending: Mutex::default(),
            counters: Counters::default(),
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

    /// How many bytes the file of an object has.
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
        if repo.config.fsync != Fsync::Never && !self.written.is_empty() {
            sys::sync_filesystem(&repo.root).map_err(|e| Error::io("syncfs", ".", e))?;
        }
        if let Some(staging) = &self.staging {
            self.publish(&staging.objects)?;
        }
        if repo.config.fsync != Fsync::Never {
            self.sync_dirs()?;
        }
        if let Some(staging) = self.staging.take() {
            staging.remove(repo.tmp.as_fd())?;
        }
        tmp::clean(repo.tmp.as_fd(), &repo.boot_id, repo.config.tmp_expiry_secs)?;
        let pending = std::mem::take(&mut *self.pending());
        for commit in &pending.complete {
            repo.set_partial(commit, Completeness::Complete)?;
        }
        self.write_refs(&pending)?;
        // Older versions of libostree left it.
        sys::unlink(&repo.root, "transaction").map_err(|e| Error::io("unlink", "transaction", e))?;
        Ok(self.stats())
    }

    /// What was done so far.
    pub fn stats(&self) -> TransactionStats {
        let c = &self.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TransactionStats {
            metadata_total: get(&c.metadata_total),
            metadata_written: get(&c.metadata_written),
            content_total: get(&c.content_total),
            content_written: get(&c.content_written),
            content_bytes_written: get(&c.content_bytes_written),
        }
    }

    /// Renames the staged objects into place: what is named before what names it, commits last.
    fn publish(&self, staged: &ObjectDir) -> Result<()> {
        let (objects, mode) = (&self.repo.objects, self.repo.mode());
        let mut names = Vec::new();
        staged.for_each(mode, &mut |name| {
            names.push(name);
            Ok(())
        })?;
        names.sort_unstable_by_key(|name| (rank(name.kind), name.checksum));
        for name in names {
            objects.ensure_parent(&name)?;
            let path = name.loose_path(mode);
            let (from, to) = (staged.as_fd(), objects.as_fd());
            let moved = match name.kind {
                // Its name is the commit's, so another one may be there.
                ObjectType::CommitMeta => sys::rename(from, &path, to, &path).map(|()| true),
                _ => sys::rename_new(from, &path, to, &path),
            };
            moved.map_err(|e| objects.failed("rename", &path, e))?;
        }
        Ok(())
    }

    /// Makes the new names in `objects` reach the disk.
    fn sync_dirs(&self) -> Result<()> {
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

    fn write_refs(&self, pending: &Pending) -> Result<()> {
        for (refspec, target) in &pending.refs {
            self.repo.write_ref(refspec, *target)?;
        }
        for ((id, name), target) in &pending.collection_refs {
            self.repo.write_collection_ref(id, name, *target)?;
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
        let committed = &self.repo.objects;
        let tmp = staging.objects.as_fd();
        Ok(match self.place {
            Place::Staged => Sink { tmp, objects: &staging.objects, committed, sync: ObjectSync::Later },
            Place::Direct(sync) => Sink { tmp, objects: committed, committed, sync },
        })
    }

    /// Takes the room for a content object.
    fn reserve(&self, bytes: u64) -> Result<()> {
        self.space.reserve(bytes).inspect_err(|_| self.out_of_space.store(true, Ordering::Relaxed))
    }

    /// Notes that a content object was written, or was there at last.
    fn wrote_file(&self, id: FileId, len: u64, linked: Linked) {
        self.written.insert(id.into());
        match linked {
            Linked::Existed => self.space.release(len),
            Linked::New => {
                add(&self.counters.content_written, 1);
                add(&self.counters.content_bytes_written, len);
            }
        }
    }

    /// Writes a content object that is in memory and not stored.
    fn write_known(&self, header: &FileHeader, id: FileId, bytes: &[u8]) -> Result<()> {
        let sink = self.sink()?;
        let format = &*self.repo.format;
        let len = bytes.len() as u64;
        self.reserve(len)?;
        let linked = match header.symlink_target().filter(|_| format.links() == Links::AsLinks) {
            Some(target) => object::write_link(&sink, format, &id, header, target).map(|()| Linked::New)?,
            None => {
                let content = Regular::Known(id, bytes);
                object::write_regular(&sink, format, header, content, &|_| Ok(false))?.1
            }
        };
        self.wrote_file(id, len, linked);
        Ok(())
    }

    /// Writes a content object that is too large for memory.
    fn write_stream(
        &self,
        expected: Option<&FileId>,
        header: &FileHeader,
        len: u64,
        content: &mut dyn Read,
    ) -> Result<FileId> {
        let sink = self.sink()?;
        self.reserve(len)?;
        let source = Regular::Unknown(Source::new(header, len, content));
        let is_there = |id: &FileId| {
            check_id(expected, id)?;
            self.is_stored(&(*id).into())
        };
        let written = object::write_regular(&sink, &*self.repo.format, header, source, &is_there);
        let (id, linked) = written.inspect_err(|_| self.space.release(len))?;
        self.wrote_file(id, len, linked);
        Ok(id)
    }
}

/// Checks the id of content against the one that was announced.
fn check_id(expected: Option<&FileId>, id: &FileId) -> Result<()> {
    match expected {
        Some(expected) if expected != id => {
            Err(Error::Mismatch { expected: (*expected).into(), actual: *id.checksum() })
        }
        _ => Ok(()),
    }
}

/// The order in which objects become visible: what an object names is there before it.
const fn rank(kind: ObjectType) -> u8 {
    match kind {
        ObjectType::FileXattrs => 0,
        ObjectType::FileXattrsLink => 1,
        ObjectType::File | ObjectType::PayloadLink => 2,
        ObjectType::DirMeta => 3,
        ObjectType::DirTree => 4,
        ObjectType::CommitMeta | ObjectType::TombstoneCommit => 5,
        ObjectType::Commit => 6,
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // Errors have nowhere to go, and what stays behind harms nobody.
        let tmp = self.repo.tmp.as_fd();
        match self.staging.take() {
            Some(staging) if *self.out_of_space.get_mut() => drop(staging.remove(tmp)),
            Some(staging) => staging.leave(tmp),
            None => return,
        }
        let _ = tmp::clean(tmp, &self.repo.boot_id, self.repo.config.tmp_expiry_secs);
    }
}

impl ObjectRead for Transaction<'_> {
    fn contains(&self, name: &ObjectName) -> Result<bool> {
        Ok(self.written.contains(name) || self.repo.contains(name)?)
    }

    fn read_meta(&self, name: &ObjectName) -> Result<Option<Vec<u8>>> {
        if let Some(staged) = self.staged(name)
            && let Some(bytes) = read_meta_in(staged, name, self.repo.mode())?
        {
            return Ok(Some(bytes));
        }
        self.repo.read_meta(name)
    }

    fn open_file(&self, id: &FileId) -> Result<Option<FileObject>> {
        if let Some(staged) = self.staged(&(*id).into())
            && let Some(file) = self.repo.format.open(staged, id)?
        {
            return Ok(Some(file));
        }
        self.repo.open_file(id)
    }

    fn loose_file(&self, id: &FileId) -> Option<LooseFile<'_>> {
        match (self.staged(&(*id).into()), self.place) {
            (Some(staged), Place::Staged) => Some(loose_in(staged, id, self.repo.mode())),
            _ => self.repo.loose_file(id),
        }
    }
}

impl ObjectWrite for Transaction<'_> {
    fn write_meta(&self, kind: MetaKind, bytes: &[u8]) -> Result<Checksum> {
        add(&self.counters.metadata_total, 1);
        let checksum = Checksum::of(bytes);
        let name = ObjectName::new(checksum, kind.into());
        if self.is_stored(&name)? {
            return Ok(checksum);
        }
        if bytes.len() as u64 > MAX_METADATA_BYTES {
            return Err(Error::Unsupported(format!("{name} is larger than {MAX_METADATA_BYTES} bytes")));
        }
        validate_meta(kind, &name, bytes)?;
        if object::write_meta(&self.sink()?, self.repo.mode(), &name, bytes)? == Linked::New {
            add(&self.counters.metadata_written, 1);
        }
        self.written.insert(name);
        if kind == MetaKind::Commit {
            // It lives again.
            self.repo.unlink_object(&ObjectName::new(checksum, ObjectType::TombstoneCommit))?;
        }
        Ok(checksum)
    }

    fn write_file(&self, header: &FileHeader, len: u64, content: &mut dyn Read) -> Result<FileId> {
        self.write_checked(None, header, len, content)
    }

    fn write_file_as(
        &self,
        id: &FileId,
        header: &FileHeader,
        len: u64,
        content: &mut dyn Read,
    ) -> Result<()> {
        self.write_checked(Some(id), header, len, content).map(drop)
    }

    fn link_file(&self, id: &FileId, from: &LooseFile<'_>) -> Result<bool> {
        let name = ObjectName::from(*id);
        if from.mode != self.repo.mode() {
            return Ok(false);
        }
        if self.is_stored(&name)? {
            add(&self.counters.content_total, 1);
            return Ok(true);
        }
        if !object::link_loose(&self.sink()?, &*self.repo.format, id, from)? {
            return Ok(false);
        }
        add(&self.counters.content_total, 1);
        add(&self.counters.content_written, 1);
        self.written.insert(name);
        Ok(true)
    }
}

impl Transaction<'_> {
    fn write_checked(
        &self,
        expected: Option<&FileId>,
        header: &FileHeader,
        len: u64,
        content: &mut dyn Read,
    ) -> Result<FileId> {
        add(&self.counters.content_total, 1);
        if len > SMALL_BYTES {
            return self.write_stream(expected, header, len, content);
        }
        let (id, bytes) = Source::new(header, len, content).read_all()?;
        check_id(expected, &id)?;
        if !self.is_stored(&id.into())? {
            self.write_known(header, id, &bytes)?;
        }
        Ok(id)
    }
}

impl Refs for Transaction<'_> {
    fn resolve(&self, refspec: &RefSpec) -> Result<Option<CommitId>> {
        let pending = self.pending().refs.get(refspec).copied();
        pending.map_or_else(|| self.repo.resolve(refspec), Ok)
    }

    fn resolve_exact(&self, refspec: &RefSpec) -> Result<Option<CommitId>> {
        let pending = self.pending().refs.get(refspec).copied();
        pending.map_or_else(|| self.repo.resolve_exact(refspec), Ok)
    }

    fn list(&self) -> Result<BTreeMap<RefSpec, CommitId>> {
        let mut out = self.repo.list()?;
        for (refspec, target) in &self.pending().refs {
            match target {
                Some(id) => out.insert(refspec.clone(), *id),
                None => out.remove(refspec),
            };
        }
        Ok(out)
    }

    fn commits_with_prefix(&self, digits: &str) -> Result<Vec<CommitId>> {
        let mut out = self.repo.commits_with_prefix(digits)?;
        if let Some(staging) = &self.staging {
            out.extend(refs::commits_in(&staging.objects, self.repo.mode(), digits)?);
        }
        out.sort_unstable();
        out.dedup();
        Ok(out)
    }
}

impl Txn for Transaction<'_> {
    fn set_ref(&self, refspec: &RefSpec, target: Option<CommitId>) -> Result<()> {
        if target.is_some() && refspec.name.as_str().parse::<Checksum>().is_ok() {
            return Err(Error::Usage(format!("Rev name '{}' looks like a checksum", refspec.name)));
        }
        self.pending().refs.insert(refspec.clone(), target);
        Ok(())
    }

    fn set_detached(&self, commit: &CommitId, metadata: &Dict) -> Result<()> {
        let name = ObjectName::commitmeta(commit);
        let staging = self.staging.as_ref().ok_or_else(|| Error::Usage("the transaction is over".into()))?;
        // Always staged: it may replace one that is visible now.
        let sink = Sink { objects: &staging.objects, ..self.sink()? };
        object::replace_meta(&sink, self.repo.mode(), &name, &metadata.to_bytes())?;
        self.written.insert(name);
        Ok(())
    }

    fn set_partial(&self, commit: &CommitId, state: Completeness) -> Result<()> {
        if state == Completeness::Complete {
            self.pending().complete.insert(*commit);
            return Ok(());
        }
        self.pending().complete.remove(commit);
        self.repo.set_partial(commit, state)
    }

    fn completeness(&self, commit: &CommitId) -> Result<Completeness> {
        match self.pending().complete.contains(commit) {
            true => Ok(Completeness::Complete),
            false => self.repo.completeness(commit),
        }
    }
}
