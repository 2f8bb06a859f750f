//! Objects as they come: each is verified and stored, and what it names is wanted next.

use std::collections::HashMap;
use std::io::{Read, Write};

use ostree_format::variant::Dict;
use ostree_format::{Checksum, CommitId, CommitRef, DirMetaId, DirTreeId, MetaKind, ObjectName};

use super::files::Files;
use super::frame::{self, Tag};
use super::message;
use super::wanted::{Asked, CommitWanted, Wanted};
use super::{Error, Result};
use crate::base::Ctx;
use crate::store::{self, CommitBytes, Completeness, Depth, Txn, Voucher, load_commitmeta, require_voucher};

/// What an answer may be that is no file.
const NO_META: &str = "it sends something else than the object that it was asked for";

/// Receives commits with everything that they name.
pub(super) struct Arrivals<'env, 'p> {
    pub(super) txn: &'env dyn Txn,
    pub(super) voucher: Option<&'env dyn Voucher>,
    pub(super) ctx: &'env Ctx,
    pub(super) files: Files<'env, 'p>,
    pub(super) wanted: Wanted,
    /// Commits that were looked at, each with the depth down to which its history was followed.
    seen: HashMap<CommitId, Depth>,
    /// The detached metadata of the commit that comes next.
    detached: Option<Vec<u8>>,
    /// Commits of which everything is there in the end.
    complete: Vec<CommitId>,
}

impl<'env, 'p> Arrivals<'env, 'p> {
    pub(super) fn new(
        txn: &'env dyn Txn,
        voucher: Option<&'env dyn Voucher>,
        files: Files<'env, 'p>,
        ctx: &'env Ctx,
    ) -> Self {
        let (wanted, seen) = (Wanted::default(), HashMap::new());
        Self { txn, voucher, ctx, files, wanted, seen, detached: None, complete: Vec::new() }
    }

    /// A commit is wanted, with so much of its history.
    pub(super) fn commit(&mut self, id: CommitId, depth: Depth, is_parent: bool) {
        if self.seen.get(&id).is_none_or(|before| !before.covers(depth)) {
            self.wanted.commits.push(CommitWanted { id, depth, is_parent });
        }
    }

    /// Asks for objects and takes them, until nothing is missing; gives the commits that are complete then.
    pub(super) fn run(mut self, from: &mut dyn Read, to: &mut dyn Write) -> Result<Vec<CommitId>> {
        let taken = self.take_all(from, to);
        // What came before it broke off is kept, too.
        let finished = self.files.finish();
        taken.and(finished).map(|()| self.complete)
    }

    fn take_all(&mut self, from: &mut dyn Read, to: &mut dyn Write) -> Result<()> {
        loop {
            let names = self.wanted.next(self.txn, &self.ctx.cancel)?;
            if !names.is_empty() {
                frame::write(to, Tag::Want, &[&message::want(names.iter())])?;
                to.flush().map_err(Error::stream)?;
            }
            let Some(asked) = self.wanted.answered() else { return Ok(()) };
            self.ctx.cancel.check()?;
            self.take(asked, from)?;
        }
    }

    fn take(&mut self, asked: Asked, from: &mut dyn Read) -> Result<()> {
        let answer = frame::read(from)?.or_failure()?;
        let missing = || store::Error::NotFound(asked.name());
        match (asked, answer.tag) {
            (Asked::Detached(commit), Tag::Meta) => self.take_detached(commit, Some(answer.bytes)),
            (Asked::Detached(commit), Tag::Missing) => self.take_detached(commit, None),
            // The sender's history ends here.
            (Asked::Commit(CommitWanted { is_parent: true, .. }), Tag::Missing) => Ok(()),
            (_, Tag::Missing) => Err(missing().into()),
            (Asked::Commit(commit), Tag::Meta) => {
                let name = verified(asked.name(), &answer.bytes)?;
                self.take_commit(commit, &answer.bytes, Some(name))
            }
            (Asked::DirTree(id), Tag::Meta) => self.take_dirtree(id, &answer.bytes),
            (Asked::DirMeta(id), Tag::Meta) => self.take_dirmeta(id, &answer.bytes),
            (Asked::File(id), Tag::File) => self.files.take(id, message::parse_file(&answer.bytes)?, from),
            _ => Err(Error::Protocol(NO_META)),
        }
    }

    fn take_detached(&mut self, commit: CommitWanted, detached: Option<Vec<u8>>) -> Result<()> {
        // An empty file says that there are none.
        self.detached = detached.filter(|bytes| !bytes.is_empty());
        match self.txn.read_meta(&commit.id.into())? {
            Some(bytes) => self.take_commit(commit, &bytes, None),
            None => Ok(()),
        }
    }

    /// Takes a commit whose detached metadata came before; `new` is the name of one that is not stored yet.
    fn take_commit(&mut self, wanted: CommitWanted, bytes: &[u8], new: Option<ObjectName>) -> Result<()> {
        let id = wanted.id;
        let commit = CommitRef::parse(bytes).map_err(store::Error::corrupt(id))?;
        let detached = self.detached.take();
        let detached = detached.as_deref().map(Dict::parse).transpose();
        let detached = detached.map_err(store::Error::corrupt(ObjectName::commitmeta(&id)))?;
        let known = load_commitmeta(self.txn, &id)?;
        if let Some(voucher) = self.voucher {
            let detached = detached.as_ref().or(known.as_ref()).map(Dict::to_bytes);
            require_voucher(voucher, &CommitBytes { id, bytes, detached: detached.as_deref() })?;
        }
        if new.is_some() {
            self.txn.set_partial(&id, Completeness::Partial)?;
        }
        if let Some(detached) = detached.filter(|detached| Some(detached) != known.as_ref()) {
            self.txn.set_detached(&id, &detached)?;
        }
        if new.is_some() {
            self.write_meta(MetaKind::Commit, bytes)?;
        }
        self.files.note(bytes);
        let before = self.seen.insert(id, wanted.depth);
        if let (Some(parent), Some(depth)) = (commit.parent, wanted.depth.parent()) {
            self.commit(parent, depth, true);
        }
        if before.is_none() && self.txn.completeness(&id)? != Completeness::Complete {
            self.complete.push(id);
            self.wanted.dirmeta(self.txn, commit.root.meta)?;
            self.wanted.dirtree(commit.root.tree);
        }
        Ok(())
    }

    fn take_dirtree(&mut self, id: DirTreeId, bytes: &[u8]) -> Result<()> {
        verified(id.into(), bytes)?;
        self.write_meta(MetaKind::DirTree, bytes)?;
        Ok(self.wanted.below(self.txn, id, bytes)?)
    }

    fn take_dirmeta(&mut self, id: DirMetaId, bytes: &[u8]) -> Result<()> {
        verified(id.into(), bytes)?;
        self.write_meta(MetaKind::DirMeta, bytes)
    }

    fn write_meta(&mut self, kind: MetaKind, bytes: &[u8]) -> Result<()> {
        self.txn.write_meta(kind, bytes)?;
        self.ctx.object_done(bytes.len() as u64);
        Ok(())
    }
}

/// The name of an object whose bytes have its checksum.
fn verified(name: ObjectName, bytes: &[u8]) -> Result<ObjectName> {
    let actual = Checksum::of(bytes);
    match actual == name.checksum {
        true => Ok(name),
        false => Err(store::Error::Mismatch { expected: name, actual }.into()),
    }
}
