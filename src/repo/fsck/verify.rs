//! Reads and hashes every object that can be reached from some commits.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use ostree_format::{
    CommitId, CommitRef, DirMetaId, DirTreeId, DirTreeRef, FileId, Finished, ObjectName, ObjectType,
    RepoMode, Streams,
};

use super::super::Repo;
use super::{OnCorruption, Problem};
use crate::base::{Ctx, Pool, SharedStreams, with_pool};
use crate::store::{
    Content, Error, FileObject, FramedFile, ObjectRead, Result, SMALL_FILE_BYTES, Sizes, check_hashed,
    verify_meta,
};

/// The number of content objects that make one job.
const BATCH_FILES: usize = 64;

/// What is wrong.
#[derive(Default)]
pub(super) struct Found {
    pub(super) objects: u64,
    pub(super) problems: BTreeMap<ObjectName, Problem>,
}

/// Why the work ends early.
enum Stop {
    /// A corrupt object was noted, and that is to be all.
    Corrupt,
    Error(Error),
}

impl From<Error> for Stop {
    fn from(e: Error) -> Self {
        Self::Error(e)
    }
}

/// Content objects that are being hashed, with their bytes.
type Hashing<'a> = Streams<(FileId, u64), FramedFile<'a>>;

/// What all threads share.
struct Shared<'a> {
    repo: &'a Repo,
    on_corruption: OnCorruption,
    ctx: &'a Ctx,
    sizes: Sizes,
    streams: SharedStreams<(FileId, u64), FramedFile<'a>>,
    objects: AtomicU64,
    problems: Mutex<BTreeMap<ObjectName, Problem>>,
}

/// Checks the objects of `commits`: metadata here, content by a pool of threads.
pub(super) fn verify(
    repo: &Repo,
    commits: &[CommitId],
    on_corruption: OnCorruption,
    ctx: &Ctx,
) -> Result<Found> {
    let (objects, problems) = (AtomicU64::new(0), Mutex::default());
    let (sizes, streams) = (Sizes::default(), SharedStreams::new());
    let shared = Shared { repo, on_corruption, ctx, sizes, streams, objects, problems };
    ctx.phase("fsck objects", None, None);
    // Jobs hold a buffer each and nothing else, so their number is bound enough.
    let result = with_pool(ctx, u64::MAX, |pool| {
        let mut walk = Walk {
            shared: &shared,
            pool,
            dirtrees: HashSet::new(),
            dirmetas: HashSet::new(),
            files: HashSet::new(),
            batch: Vec::new(),
        };
        commits.iter().try_for_each(|commit| walk.commit(commit))?;
        walk.submit()?;
        shared.streams.finish(pool, |finished| shared.hashed(finished))?;
        if repo.mode() == RepoMode::BareSplitXattrs {
            shared.shared_xattrs()?;
        }
        Ok(())
    });
    match result {
        Err(Stop::Error(e)) => Err(e),
        Ok(()) | Err(Stop::Corrupt) => Ok(Found {
            objects: shared.objects.into_inner(),
            problems: shared.problems.into_inner().unwrap_or_else(PoisonError::into_inner),
        }),
    }
}

impl<'a> Shared<'a> {
    /// Notes the result of checking an object; the bytes, if it is intact.
    fn note<T>(&self, name: ObjectName, result: Result<T>) -> Result<Option<T>, Stop> {
        self.objects.fetch_add(1, Ordering::Relaxed);
        let problem = match result {
            Ok(intact) => return Ok(Some(intact)),
            Err(e) => Problem::of(e)?,
        };
        let stops = self.on_corruption == OnCorruption::Stop && matches!(problem, Problem::Corrupt(_));
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).insert(name, problem);
        if stops { Err(Stop::Corrupt) } else { Ok(None) }
    }

    fn meta(&self, name: ObjectName) -> Result<Option<Vec<u8>>, Stop> {
        self.ctx.cancel.check().map_err(Error::from)?;
        let result = self.repo.read_meta(&name).and_then(|bytes| {
            let bytes = bytes.ok_or(Error::NotFound(name))?;
            verify_meta(&name, &bytes)?;
            self.ctx.object_done(bytes.len() as u64);
            Ok(bytes)
        });
        self.note(name, result)
    }

    /// Checks content objects, as many side by side as is fast; some may end with a later job.
    fn files(&self, ids: &[FileId]) -> Result<(), Stop> {
        self.streams.with(|streams| {
            for id in ids {
                self.ctx.cancel.check().map_err(Error::from)?;
                match self.open(id) {
                    Err(e) => self.file(id, Err(e))?,
                    Ok(file) => self.hash(id, file, streams)?,
                }
            }
            Ok(())
        })
    }

    fn hash(&self, id: &FileId, file: FileObject, streams: &mut Hashing<'a>) -> Result<(), Stop> {
        let len = file.len;
        // What is compressed is inflated into memory as a whole: only small files may wait there.
        let waits = len <= SMALL_FILE_BYTES || !matches!(file.content, Content::Stream(_));
        let stream = file.framed(&self.ctx.cancel);
        let finished = streams.push((*id, len), stream, if waits { len } else { u64::MAX });
        finished.map_or(Ok(()), |finished| self.hashed(finished))
    }

    fn open(&self, id: &FileId) -> Result<FileObject> {
        let file = self.repo.open_file(id)?.ok_or(Error::NotFound((*id).into()))?;
        self.sizes.check(id, &file)?;
        Ok(file)
    }

    fn hashed(&self, ((id, len), _, hashed): Finished<(FileId, u64), FramedFile<'_>>) -> Result<(), Stop> {
        self.file(&id, check_hashed(&id, hashed, &self.ctx.cancel).map(|()| len))
    }

    /// Notes the result of checking a content object, and its bytes.
    fn file(&self, id: &FileId, result: Result<u64>) -> Result<(), Stop> {
        if let Ok(bytes) = &result {
            self.ctx.object_done(*bytes);
        }
        self.note((*id).into(), result).map(drop)
    }

    /// Checks the xattrs that files share in mode bare-split-xattrs.
    fn shared_xattrs(&self) -> Result<(), Stop> {
        let mut names = Vec::new();
        self.repo.for_each_object(&mut |name| {
            names.extend((name.kind == ObjectType::FileXattrs).then_some(name));
            Ok(())
        })?;
        names.into_iter().try_for_each(|name| self.meta(name).map(drop))
    }
}

/// Goes from commits to what they name, each object once.
struct Walk<'env, 'a, 'p> {
    shared: &'env Shared<'a>,
    pool: &'p Pool<'env, Stop>,
    dirtrees: HashSet<DirTreeId>,
    dirmetas: HashSet<DirMetaId>,
    files: HashSet<FileId>,
    /// Content objects that wait for more: one alone is quicker checked than handed to a thread.
    batch: Vec<FileId>,
}

impl Walk<'_, '_, '_> {
    fn commit(&mut self, id: &CommitId) -> Result<(), Stop> {
        let Some(bytes) = self.shared.meta((*id).into())? else { return Ok(()) };
        self.shared.sizes.note(&bytes);
        let root = CommitRef::parse(&bytes).map_err(Error::corrupt(*id))?.root;
        self.dirmeta(root.meta)?;
        // A stack of its own: trees from outside may be nested deeper than a thread's stack.
        let mut todo = vec![root.tree];
        while let Some(id) = todo.pop() {
            if self.dirtrees.insert(id)
                && let Some(bytes) = self.shared.meta(id.into())?
            {
                self.dirtree(id, &bytes, &mut todo)?;
            }
        }
        Ok(())
    }

    fn dirtree(&mut self, id: DirTreeId, bytes: &[u8], todo: &mut Vec<DirTreeId>) -> Result<(), Stop> {
        let tree = DirTreeRef::parse(bytes).map_err(Error::corrupt(id))?;
        for (_, file) in tree.files() {
            if self.files.insert(file) {
                self.batch.push(file);
            }
            if self.batch.len() == BATCH_FILES {
                self.submit()?;
            }
        }
        for (_, dir) in tree.dirs() {
            self.dirmeta(dir.meta)?;
            todo.push(dir.tree);
        }
        Ok(())
    }

    /// Hands the files that wait to the pool.
    fn submit(&mut self) -> Result<(), Stop> {
        let (shared, files) = (self.shared, std::mem::take(&mut self.batch));
        self.pool.submit(0, move || shared.files(&files))
    }

    fn dirmeta(&mut self, id: DirMetaId) -> Result<(), Stop> {
        if self.dirmetas.insert(id) {
            self.shared.meta(id.into())?;
        }
        Ok(())
    }
}
