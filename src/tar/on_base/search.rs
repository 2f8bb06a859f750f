//! Looks for files of a commit in the layers of a base, one layer after the other.

use std::collections::HashSet;
use std::io::Read;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ostree_format::{FileHeader, FileId, Finished};

use super::super::content::{POOL_BYTES, SMALL_BYTES};
use super::super::entry::{EntryKind, TarEntry};
use super::super::error::{Error, Result};
use super::super::files::{LAYER_DEPTH, cleaned, file_header, names, relative};
use super::super::layout::{REPO, object_of_path};
use super::super::reader::{EndMarker, Reader};
use super::WantedFiles;
use crate::base::io::Cancellable;
use crate::base::{Ctx, Pool, SharedStreams, debug_fields, with_pool};
use crate::store::{self, HashedFile, LoadedFile, ObjectWrite};

/// What a job costs, apart from the content.
const JOB_COST_BYTES: u64 = 512;
/// The number of files that make one job, unless they reach [`BATCH_BYTES`] before.
const BATCH_FILES: usize = 16;
const BATCH_BYTES: u64 = 256 * 1024;
const COPY_BYTES: usize = 128 * 1024;

/// A search for files of a commit.
pub struct BaseSearch<'a> {
    wanted: &'a WantedFiles,
    /// Where objects go that are found; otherwise they are only looked for.
    store: Option<&'a dyn ObjectWrite>,
    entries: AtomicU32,
    seen: Mutex<Seen>,
}

debug_fields!(BaseSearch<'a> {});

#[derive(Default)]
struct Seen {
    objects: HashSet<FileId>,
    entries: HashSet<u32>,
}

/// An entry that may be the object which is wanted at its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseFile {
    /// The object.
    pub id: FileId,
    entry: u32,
}

/// What gets each entry of a layer, with its path, and the object that it may be.
type Visit<'a> = dyn FnMut(&TarEntry, &str, Option<BaseFile>) -> Result<()> + 'a;
type SmallFiles = SharedStreams<BaseFile, LoadedFile>;

impl<'a> BaseSearch<'a> {
    /// Looks for what is `wanted`, and writes it into `store`, if there is one: each object once.
    pub fn new(wanted: &'a WantedFiles, store: Option<&'a dyn ObjectWrite>) -> Self {
        Self { wanted, store, entries: AtomicU32::new(0), seen: Mutex::default() }
    }

    /// Reads a layer. `visit` gets each entry before its content is looked at, with its path: no dots, no slash in
    /// front or at the end.
    ///
    /// # Errors
    /// [`Error::Format`], [`Error::Entry`], [`Error::Read`] for a malformed stream, and paths that are not UTF-8 or
    /// lead out of the root; what `visit` gives; [`Error::Store`] if the store cannot keep what was found.
    pub fn read_layer(&self, input: &mut dyn Read, visit: &mut Visit<'_>, ctx: &Ctx) -> Result<()> {
        let small = SmallFiles::new();
        with_pool(ctx, POOL_BYTES, |pool| {
            let mut reader = Reader::with_end(input, EndMarker::Optional);
            let (batch, batch_bytes) = (Vec::new(), 0);
            let mut layer = LayerSearch { search: self, pool, ctx, small: &small, batch, batch_bytes };
            while let Some(entry) = reader.next_entry()? {
                ctx.cancel.check()?;
                let wrong = |kind| entry.error(kind);
                let path = relative(&entry.path).and_then(cleaned).map_err(wrong)?;
                names(&path, LAYER_DEPTH).map_err(wrong)?;
                let candidate = self.candidate(&entry, &path);
                visit(&entry, &path, candidate)?;
                if let Some(candidate) = candidate {
                    layer.compare(candidate, &entry, &mut reader)?;
                }
            }
            layer.finish()
        })
    }

    /// Whether an object was found.
    pub fn found(&self, id: &FileId) -> bool {
        self.seen().objects.contains(id)
    }

    /// Whether an entry turned out to be the object that was wanted.
    pub fn is_right(&self, candidate: &BaseFile) -> bool {
        self.seen().entries.contains(&candidate.entry)
    }

    fn candidate(&self, entry: &TarEntry, path: &str) -> Option<BaseFile> {
        let is_file = matches!(entry.kind, EntryKind::Regular | EntryKind::Symlink);
        if !is_file {
            return None;
        }
        // In an image of ours, or ostree-ext's, the content lies where objects do, and links lead there.
        let object = || path.strip_prefix(REPO).and_then(object_of_path);
        let object = || object().filter(|id| self.wanted.contains(id));
        let id = self.wanted.at(path).copied().or_else(object)?;
        // What is there already need not be written again.
        let is_needed = self.store.is_none() || !self.found(&id);
        is_needed.then(|| BaseFile { id, entry: self.entries.fetch_add(1, Ordering::Relaxed) })
    }

    /// The header that the entry has as an object, with the xattrs that are wanted; `None` if it cannot be one.
    fn header(&self, id: &FileId, entry: &TarEntry) -> Option<FileHeader> {
        let xattrs = self.wanted.xattrs_of(id).clone();
        Some(FileHeader { xattrs, ..file_header(entry).ok()? })
    }

    fn note(&self, candidate: BaseFile) {
        let mut seen = self.seen();
        seen.objects.insert(candidate.id);
        seen.entries.insert(candidate.entry);
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A small file that was hashed.
    fn settle(&self, finished: Finished<BaseFile, LoadedFile>, ctx: &Ctx) -> Result<()> {
        ctx.cancel.check()?;
        let (candidate, file) = HashedFile::of(finished)?;
        if *file.id() != candidate.id {
            return Ok(());
        }
        if let Some(store) = self.store {
            store.write_hashed(&file)?;
            ctx.object_done(file.content().len() as u64);
        }
        self.note(candidate);
        Ok(())
    }

    /// Whether content is that of the object; then it is written.
    fn is_object(
        &self,
        id: &FileId,
        header: &FileHeader,
        len: u64,
        content: &mut dyn Read,
    ) -> store::Result<bool> {
        let Some(store) = self.store else {
            let mut hasher = header.hasher();
            let mut buffer = vec![0; COPY_BYTES];
            loop {
                match content.read(&mut buffer) {
                    Ok(0) => return Ok(FileId::new(hasher.finish()) == *id),
                    Ok(n) => hasher.update(&buffer[..n]),
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(source) => {
                        return Err(store::Error::Read { what: "file content".into(), source });
                    }
                }
            }
        };
        match store.write_file_as(id, header, len, content) {
            Ok(()) => Ok(true),
            Err(store::Error::Mismatch { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The search in one layer.
struct LayerSearch<'p, 'env> {
    search: &'env BaseSearch<'env>,
    pool: &'p Pool<'env, Error>,
    ctx: &'env Ctx,
    small: &'env SmallFiles,
    /// Small files that wait for more.
    batch: Vec<(BaseFile, u64, LoadedFile)>,
    batch_bytes: u64,
}

impl LayerSearch<'_, '_> {
    /// Finds out whether an entry is the object, now or in the pool.
    fn compare<R: Read>(
        &mut self,
        candidate: BaseFile,
        entry: &TarEntry,
        reader: &mut Reader<R>,
    ) -> Result<()> {
        let Some(header) = self.search.header(&candidate.id, entry) else { return Ok(()) };
        let (ctx, size) = (self.ctx, entry.size);
        if size <= SMALL_BYTES {
            let file = LoadedFile::read(header, size, &mut reader.content());
            reader.take_failure().map_or(Ok(()), Err)?;
            let file = file?;
            let held = file.held_bytes();
            self.batch.push((candidate, held, file));
            self.batch_bytes += held;
            let is_full = self.batch.len() == BATCH_FILES || self.batch_bytes >= BATCH_BYTES;
            return if is_full { self.submit() } else { Ok(()) };
        }
        let mut content = Cancellable::new(reader.content(), &ctx.cancel);
        let is_object = self.search.is_object(&candidate.id, &header, size, &mut content);
        ctx.cancel.check()?;
        // What went wrong with the stream says more than what the store saw of it.
        reader.take_failure().map_or(Ok(()), Err)?;
        if is_object? {
            self.search.note(candidate);
            ctx.object_done(size);
        }
        Ok(())
    }

    /// Hands the files that wait to the pool.
    fn submit(&mut self) -> Result<()> {
        let (batch, bytes) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.batch_bytes));
        let (search, small, ctx) = (self.search, self.small, self.ctx);
        self.pool.submit(bytes + JOB_COST_BYTES, move || {
            small.with(|streams| {
                batch.into_iter().try_for_each(|(candidate, held, file)| {
                    let finished = streams.push(candidate, file, held);
                    finished.map_or(Ok(()), |finished| search.settle(finished, ctx))
                })
            })
        })
    }

    /// After the last entry.
    fn finish(mut self) -> Result<()> {
        self.submit()?;
        let (search, ctx) = (self.search, self.ctx);
        self.small.finish(self.pool, move |finished| search.settle(finished, ctx))?;
        self.pool.wait()
    }
}
