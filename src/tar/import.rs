//! Reads commits and content objects from streams of ostree-ext's format, versions 0 and 1.
//!
//! ```text
//! entry ──▶ Place ──┬─ commit, commitmeta   kept; the caller's hook decides before anything is written
//!                   ├─ dirtree, dirmeta     expected, since a parent named it; it names others
//!                   ├─ file                 expected, its xattrs came directly before it
//!                   └─ all else             its path is checked, nothing else
//! ```
//! Every object's checksum is verified. What no object before it named is refused, so that only what the
//! commit reaches is written. The commit itself is written last. If anything fails, the caller drops the
//! transaction. Memory: some 40 bytes for each object, and what the limits on metadata and xattrs allow.

mod commit;
mod named;

use std::collections::{BTreeSet, HashSet};
use std::io::Read;

use ostree_format::variant::Dict;
use ostree_format::{Commit, CommitId, DirMeta, DirTree, FileId, FileName, RootDir, Xattrs};

use super::clones::Clones;
use super::content::{ContentWriter, POOL_BYTES, SmallFiles};
use super::error::{ContentErrorKind, EntryErrorKind, Error, Result};
use super::layout::EntryRole;
use super::on_base::XattrsOf;
use super::reader::Reader;
use crate::base::{Ctx, debug_fields, with_pool};
use crate::store::{self, Completeness, ObjectRead, ObjectWrite, Reachable, Txn, Voucher, walk_commit};
use commit::read_commit;

/// Options for taking in a commit.
#[derive(Default, Clone, Copy)]
pub struct ImportOptions<'a> {
    /// The voucher that is asked about the commit before anything is written; `None` accepts any commit.
    pub voucher: Option<&'a dyn Voucher>,
    /// What the stream holds of the commit.
    pub holds: StreamHolds,
    /// Content that need not be written.
    pub clones: Option<&'a Clones<'a>>,
}

debug_fields!(ImportOptions<'a> { holds });

/// What a stream holds of a commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StreamHolds {
    /// The metadata, and content: an object comes behind one in the stream that names it.
    #[default]
    Everything,
    /// What the store lacks: metadata that is there names objects of the stream, too.
    WhatIsMissing,
    /// The metadata, the content that a base lacks, and the xattrs of all other that has any.
    WhatIsNotInBase,
}

/// A commit whose content may partly lie in other streams.
#[derive(Debug)]
pub struct ImportedCommit {
    /// The commit.
    pub commit: CommitId,
    /// Content objects that it reaches.
    pub files: HashSet<FileId>,
    /// Content objects that the commit reaches and that were not in this stream.
    pub elsewhere: HashSet<FileId>,
    /// Xattrs of content that is in a base: see [`StreamHolds::WhatIsNotInBase`].
    pub xattrs: XattrsOf,
}

/// Imports a stream that holds a whole commit. Objects that are not in the stream have to be in the store.
///
/// # Errors
/// [`Error::Format`], [`Error::Entry`], [`Error::Read`] for a malformed stream; [`Error::Content`] if it
/// holds no commit or not all of it; [`Error::Store`] with [`store::Error::Refused`] if nobody vouches for it, and for
/// what the store says.
pub fn import_commit(
    input: &mut dyn Read,
    txn: &dyn Txn,
    options: &ImportOptions<'_>,
    ctx: &Ctx,
) -> Result<CommitId> {
    let imported = read_commit(input, txn, options, ctx)?;
    let mut missing = Vec::new();
    for id in &imported.elsewhere {
        if !txn.contains(&(*id).into())? {
            missing.push(*id);
        }
    }
    if let Some(first) = missing.iter().min() {
        return Err(Error::Content(ContentErrorKind::Incomplete((*first).into(), missing.len())));
    }
    // An interrupted pull may have left its mark.
    if txn.completeness(&imported.commit)? != Completeness::Complete {
        txn.set_partial(&imported.commit, Completeness::Complete)?;
    }
    Ok(imported.commit)
}

/// Imports the first layer of an image: a commit with all its metadata and some of its content. The commit
/// is marked as partial if content is missing, unless all of it was in the store before; that mark is the
/// caller's to take away.
///
/// # Errors
/// As [`import_commit`]; missing content is not an error.
pub fn import_commit_layer(
    input: &mut dyn Read,
    txn: &dyn Txn,
    options: &ImportOptions<'_>,
    ctx: &Ctx,
) -> Result<ImportedCommit> {
    read_commit(input, txn, options, ctx)
}

/// Imports a layer that holds content objects and nothing else; returns them. Others than those in
/// `expected` are refused; `None` lets all in. `clones` has content that need not be written.
///
/// # Errors
/// As [`import_commit`].
pub fn import_objects(
    input: &mut dyn Read,
    store: &dyn ObjectWrite,
    expected: Option<&HashSet<FileId>>,
    clones: Option<&Clones<'_>>,
    ctx: &Ctx,
) -> Result<BTreeSet<FileId>> {
    let small = SmallFiles::new();
    with_pool(ctx, POOL_BYTES, |pool| {
        let mut reader = Reader::new(input);
        let mut content = ContentWriter::new(store, pool, &small, clones, ctx);
        let mut seen = BTreeSet::new();
        while let Some(entry) = reader.next_entry()? {
            ctx.cancel.check()?;
            match EntryRole::of(&entry)? {
                EntryRole::Ignored => {}
                EntryRole::Meta(_) => return Err(entry.error(EntryErrorKind::Unexpected)),
                EntryRole::Xattrs(checksum) => content.xattrs(checksum, &entry, &mut reader)?,
                EntryRole::XattrsOf(id) => content.xattrs_of(id, &entry, &mut reader)?,
                EntryRole::File(id) => {
                    if expected.is_some_and(|expected| !expected.contains(&id)) {
                        return Err(entry.error(EntryErrorKind::Unexpected));
                    }
                    if !seen.insert(id) {
                        return Err(entry.error(EntryErrorKind::Duplicate));
                    }
                    content.file(id, &entry, &mut reader)?;
                }
            }
        }
        content.finish()?;
        Ok(seen)
    })
}

/// Checks that everything a commit reaches is in the store. Nothing is verified: who wrote it has.
///
/// # Errors
/// [`Error::Content`] names one missing object and says how many there are.
pub fn check_complete(store: &dyn ObjectRead, commit: &CommitId) -> Result<()> {
    let mut missing = Vec::new();
    let walked = walk_commit(store, commit, &mut Reachable::default(), &mut |name| {
        if !store.contains(&name)? {
            missing.push(name);
        }
        Ok(())
    });
    if let Err(store::Error::NotFound(name)) = walked {
        return Err(Error::Content(ContentErrorKind::Incomplete(name, missing.len() + 1)));
    }
    walked?;
    match missing.first() {
        None => Ok(()),
        Some(first) => Err(Error::Content(ContentErrorKind::Incomplete(*first, missing.len()))),
    }
}

/// The commit with which ostree-ext keeps the objects of a layer: a flat directory that names each by its
/// checksum. It is the same for the same objects and `metadata`. Source: ostree-ext tar/import.rs:757-795.
///
/// # Errors
/// [`Error::Store`].
pub fn write_object_set(
    store: &dyn ObjectWrite,
    objects: &BTreeSet<FileId>,
    metadata: Dict,
) -> Result<CommitId> {
    let meta = DirMeta::new(0, 0, 0o755, Xattrs::EMPTY);
    let meta = store.write_dirmeta(&meta)?;
    let mut tree = DirTree::default();
    for id in objects {
        let name = FileName::new(id.checksum().hex().as_str()).map_err(store::Error::corrupt(*id))?;
        tree.files.insert(name, *id);
    }
    let tree = store.write_dirtree(&tree)?;
    let commit = Commit {
        metadata,
        parent: None,
        related: Vec::new(),
        subject: String::new(),
        body: String::new(),
        timestamp: 0,
        root: RootDir { tree, meta },
    };
    Ok(store.write_commit(&commit)?)
}
