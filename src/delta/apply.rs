//! Applies a static delta: the objects that it holds or makes of old ones are written to a transaction.
//!
//! ```text
//! superblock ─ commit: checksum, voucher ─► written, marked partial
//! part 0, 1, … of which objects are missing ─ verified, decompressed ─► objects, by a pool of threads
//!                                             while the next part is decompressed
//! nothing left to fetch: the tree is walked, all of it is there ─► marked complete
//! ```
//! Source: libostree ostree-repo-static-delta-core.c:340-560.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ostree_format::delta::{DeltaFallback, DeltaPartEntry, Superblock};
use ostree_format::variant::Dict;
use ostree_format::{CommitId, MetaKind, ObjectName};

use super::content::OldObjects;
use super::head::Head;
use super::objects::{Work, submit};
use super::part::read_part;
use crate::base::io::Spool;
use crate::base::{Ctx, debug_fields, with_pool};
use crate::store::{
    CommitBytes, Completeness, Error, ObjectRead, Reachable, Result, Txn, Voucher, require_voucher,
    verify_meta, walk_commit,
};

/// What a delta is applied with.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// Gives the file of a part by its number, from its first byte; its checksum is verified here. Called in order, for
    /// parts that do not lie in the superblock and of which objects are missing, once for each.
    pub part: &'a dyn Fn(usize) -> Result<Box<dyn Read>>,
    /// The store with the objects of the commit that the delta starts from: the transaction itself, mostly.
    pub old: &'a dyn ObjectRead,
    /// The judge of the new commit, asked before anything of it is written; `None` accepts any.
    pub voucher: Option<&'a dyn Voucher>,
    /// Makes the files in which a part lies while it is applied, decompressed: at most two at a time.
    pub spool: &'a Spool<'a>,
}

debug_fields!(Sources<'a> {});

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The new commit, which is in the transaction.
    pub commit: CommitId,
    /// The objects that the delta leaves to be fetched one by one, and which are not there yet. If there are any, the
    /// commit is still marked as partial: [`complete_commit`] ends that once they are there.
    pub missing: Vec<DeltaFallback>,
    /// Bytes of the content of the files that the delta made.
    pub content_bytes: u64,
}

/// The numbers of the parts of which `store` lacks objects: those that [`Sources::part`] is asked for, for whoever wants to
/// fetch them ahead.
///
/// # Errors
/// What the store gives.
pub fn needed_parts(block: &Superblock, store: &dyn ObjectRead) -> Result<Vec<usize>> {
    let mut needed = Vec::new();
    for (number, entry) in block.parts.iter().enumerate() {
        if !has_all(entry, store)? && block.inline_part(number).is_none() {
            needed.push(number);
        }
    }
    Ok(needed)
}

fn has_all(entry: &DeltaPartEntry, store: &dyn ObjectRead) -> Result<bool> {
    for object in &entry.objects {
        if !store.contains(object)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes the commit and the objects that a delta with this head tells of to `txn`. Refs are left to the caller.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Read`] if the delta is damaged; [`Error::Mismatch`], [`Error::Corrupt`] if an object that
/// comes out of it is not the one that it should be; [`Error::NotFound`] if the old commit or an object of it is missing, or
/// the delta does not make all that the new commit needs; [`Error::Refused`] if nobody vouches for the new commit;
/// [`Error::Unsupported`] if the target cannot keep an object, or the delta is of a later version; [`Error::Cancelled`];
/// what the stores give.
pub fn apply(head: &Head, from: &Sources<'_>, txn: &dyn Txn, ctx: &Ctx) -> Result<Applied> {
    let block = &head.superblock;
    if let Some(old) = block.from.filter(|old| !matches!(from.old.contains(&(*old).into()), Ok(true))) {
        from.old.contains(&old.into())?;
        return Err(Error::Usage(format!("Commit {old}, which is the delta source, is not in repository")));
    }
    if let Some(entry) = block.parts.iter().find(|entry| entry.version != 0) {
        return Err(Error::Unsupported(format!("Delta part has too new version {}", entry.version)));
    }
    write_commit(block, from.voucher, txn)?;
    let objects = block.parts.iter().map(|entry| entry.objects.len() as u64).sum();
    ctx.phase("Applying static delta", Some(objects), None);
    let content_bytes = AtomicU64::new(0);
    let made = &content_bytes;
    with_pool(ctx, u64::MAX, |pool| {
        for (number, entry) in block.parts.iter().enumerate() {
            if has_all(entry, txn)? {
                ctx_done(ctx, entry.objects.len());
                continue;
            }
            let mut file: Box<dyn Read + '_> = match head.inline_part(number) {
                Some(file) => Box::new(file),
                None => (from.part)(number)?,
            };
            let part = read_part(&mut *file, Some(&entry.checksum), from.spool, &ctx.cancel);
            let part = Arc::new(part.map_err(|error| of_part(block, number, error))?);
            // The one before has to be gone from the disk before a third one comes.
            pool.wait()?;
            let old = OldObjects { store: from.old, spool: from.spool, cancel: &ctx.cancel };
            submit(pool, Work { part, objects: &entry.objects, old, txn, content_bytes: made, ctx })
                .map_err(|error| of_part(block, number, error))?;
        }
        pool.wait()
    })?;
    let mut missing = Vec::new();
    for fallback in &block.fallbacks {
        if !txn.contains(&fallback.object)? {
            missing.push(fallback.clone());
        }
    }
    if missing.is_empty() {
        complete_commit(txn, &block.to, ctx)?;
    }
    Ok(Applied { commit: block.to, missing, content_bytes: content_bytes.into_inner() })
}

/// The error with the part that is damaged.
fn of_part(block: &Superblock, number: usize, error: Error) -> Error {
    let part = format!("part {number} of the static delta to {}", block.to);
    match error {
        Error::Read { source, .. } => Error::Read { what: part, source },
        Error::Invalid { what, source } => Error::Invalid { what: format!("{part}: {what}"), source },
        other => other,
    }
}

fn ctx_done(ctx: &Ctx, objects: usize) {
    (0..objects).for_each(|_| ctx.object_done(0));
}

/// Writes the commit, marked as partial, with the detached metadata that the superblock carries.
fn write_commit(block: &Superblock, voucher: Option<&dyn Voucher>, txn: &dyn Txn) -> Result<()> {
    let (id, name) = (block.to, ObjectName::from(block.to));
    verify_meta(&name, &block.commit)?;
    let is_there = txn.contains(&name)?;
    let invalid = |source| Error::Invalid { what: "static delta".into(), source };
    let detached = block.commitmeta().map_err(invalid)?;
    if let Some(voucher) = voucher {
        let known = txn.read_meta(&ObjectName::commitmeta(&id))?.filter(|_| is_there && detached.is_none());
        let bytes = detached.as_ref().map(Dict::to_bytes).or(known);
        require_voucher(voucher, &CommitBytes { id, bytes: &block.commit, detached: bytes.as_deref() })?;
    }
    if is_there {
        return Ok(());
    }
    txn.set_partial(&id, Completeness::Partial)?;
    if let Some(detached) = detached {
        txn.set_detached(&id, &detached)?;
    }
    txn.write_meta(MetaKind::Commit, &block.commit).map(drop)
}

/// Checks that everything a commit names is there, and marks it as complete.
///
/// # Errors
/// [`Error::NotFound`] if something is missing; what the transaction gives.
pub fn complete_commit(txn: &dyn Txn, commit: &CommitId, ctx: &Ctx) -> Result<()> {
    walk_commit(txn, commit, &mut Reachable::default(), &mut |name| {
        ctx.cancel.check()?;
        match txn.contains(&name)? {
            true => Ok(()),
            false => Err(Error::NotFound(name)),
        }
    })?;
    txn.set_partial(commit, Completeness::Complete)
}
