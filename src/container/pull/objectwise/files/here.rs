//! Which content is in the store, found by the names of files and made sure of by its digest.
//!
//! ```text
//! commits of images, commits that refs name ► name without its directory ► objects      once in a pull
//! a file of the table ► objects of that name ► of that size ► SHA-256 ► the one that is it
//! ```
//! An object is not named by the SHA-256 of its content, which stands in no commit either. But a file that did not change
//! has the name that it had, wherever its directory has gone.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ostree_format::{CommitId, DirTreeRef, FileId, FileKind};

use super::regions::TableFile;
use crate::base::io::{Cancellable, Hashing};
use crate::base::{Ctx, ErrorKind, Kind, with_pool};
use crate::container::image::{Error, Result};
use crate::container::pull::by_delta::PulledImages;
use crate::store::{self, Reachable, Txn, load_commit};

/// The names that are kept in memory, of 40 bytes each.
const MAX_NAMES: usize = 256 * 1024;
/// The objects of one name, and of the size of a file, that are read to find the file.
const MAX_TRIES: usize = 8;

/// The names in a store, once somebody has asked for them.
#[derive(Debug, Default)]
pub(in crate::container) struct Here(Mutex<Option<Arc<Names>>>);

/// Names of files, each as a hash, in order.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<(u64, FileId)>);

impl Here {
    /// The names of all files of images that were pulled, and of commits that refs name.
    pub(super) fn names(&self, txn: &dyn Txn, ctx: &Ctx) -> Result<Arc<Names>> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = &*names {
            return Ok(Arc::clone(names));
        }
        let images = PulledImages::read(txn).usable(txn)?;
        let commits = images.into_iter().map(|image| image.commit).chain(txn.list()?.into_values());
        let mut walk = Walk { txn, ctx, seen: Reachable::default(), names: Vec::new() };
        for commit in commits {
            walk.commit(&commit)?;
        }
        let mut found = walk.names;
        found.sort_unstable();
        found.dedup();
        Ok(Arc::clone(names.insert(Arc::new(Names(found)))))
    }
}

/// A walk over trees, whose parts are looked at once.
struct Walk<'a> {
    txn: &'a dyn Txn,
    ctx: &'a Ctx,
    seen: Reachable,
    names: Vec<(u64, FileId)>,
}

impl Walk<'_> {
    /// What cannot be read of a commit is of no use here, and nothing else.
    fn commit(&mut self, commit: &CommitId) -> Result<()> {
        let Ok(commit) = load_commit(self.txn, commit) else { return Ok(()) };
        let mut todo = vec![commit.root.tree];
        while let Some(id) = todo.pop() {
            self.ctx.cancel.check()?;
            if self.names.len() >= MAX_NAMES || !self.seen.dirtrees.insert(id) {
                continue;
            }
            let Some(bytes) = self.txn.read_meta(&id.into())? else { continue };
            let Ok(tree) = DirTreeRef::parse(&bytes) else { continue };
            self.names.extend(tree.files().map(|(name, file)| (hash(name), file)));
            todo.extend(tree.dirs().map(|(_, dir)| dir.tree));
        }
        Ok(())
    }
}

/// The name of a file, without its directory, as a number.
pub(super) fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

impl Names {
    fn candidates(&self, file: &TableFile) -> impl Iterator<Item = FileId> {
        let [name, moved] = file.names;
        let moved = (moved != name).then_some(moved);
        [Some(name), moved].into_iter().flatten().flat_map(|name| {
            let first = self.0.partition_point(|(other, _)| *other < name);
            self.0[first..].iter().take_while(move |(other, _)| *other == name).map(|(_, id)| *id)
        })
    }

    /// Whether there is a file of this name.
    pub(super) fn knows(&self, file: &TableFile) -> bool {
        self.candidates(file).next().is_some()
    }

    /// The object that holds each of these files, if there is one: each was read, and has the digest.
    pub(super) fn find(&self, files: &[TableFile], txn: &dyn Txn, ctx: &Ctx) -> Result<Vec<Option<FileId>>> {
        let found: Vec<OnceLock<FileId>> = files.iter().map(|_| OnceLock::new()).collect();
        with_pool(ctx, u64::MAX, |pool| {
            for (file, found) in files.iter().zip(&found).filter(|(file, _)| self.knows(file)) {
                pool.submit(0, move || {
                    if let Some(id) = self.find_one(file, txn, ctx)? {
                        let _ = found.set(id);
                    }
                    Ok::<_, Error>(())
                })?;
            }
            pool.wait()
        })?;
        Ok(found.into_iter().map(OnceLock::into_inner).collect())
    }

    fn find_one(&self, file: &TableFile, txn: &dyn Txn, ctx: &Ctx) -> Result<Option<FileId>> {
        let mut tries = 0;
        for id in self.candidates(file) {
            match holds(&id, file, txn, ctx) {
                Ok(Some(true)) => return Ok(Some(id)),
                Ok(Some(false)) => tries += 1,
                Ok(None) => {}
                // What is damaged or gone here is fetched.
                Err(error) if !matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Exhausted) => {}
                Err(error) => return Err(error.into()),
            }
            if tries >= MAX_TRIES {
                break;
            }
        }
        Ok(None)
    }
}

/// Whether an object holds the content of a file; `None` if that could be told without reading it.
fn holds(id: &FileId, file: &TableFile, txn: &dyn Txn, ctx: &Ctx) -> store::Result<Option<bool>> {
    let Some(object) = txn.open_file(id)? else { return Ok(None) };
    if object.header.kind != FileKind::Regular || object.len != file.bytes {
        return Ok(None);
    }
    let mut hashing = Hashing::new(io::sink());
    let copied = io::copy(&mut Cancellable::new(object, &ctx.cancel), &mut hashing);
    ctx.cancel.check()?;
    let read = |source| store::Error::Read { what: id.to_string(), source };
    copied.map_err(read)?;
    Ok(Some(hashing.finish().1 == file.digest))
}
