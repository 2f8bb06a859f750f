//! Commits: each with its detached metadata, judged, marked as partial, written, and followed to its parents.

use ostree_format::variant::Dict;
use ostree_format::{CommitId, CommitRef, MetaKind, ObjectName};

use super::{Asked, Walk};
use crate::base::WithCauses;
use crate::remote::error::Result;
use crate::store::{self, CommitBytes, Completeness, Depth, load_commitmeta, require_voucher};
use crate::transfer::{Extent, Filter};

/// A commit that is wanted, and how far its history is.
pub(super) struct WantedCommit {
    pub(super) id: CommitId,
    pub(super) depth: Depth,
    /// Whether it is wanted as somebody's parent only.
    pub(super) is_parent: bool,
}

/// A commit that is on its way.
pub(super) struct CommitState {
    /// How far its history is wanted.
    depth: Depth,
    /// Whether it is wanted as somebody's parent only.
    is_parent: bool,
    /// The object, once it is here.
    bytes: Option<Vec<u8>>,
    /// The detached metadata, once it is not waited for any more; `Some(None)` if there is none.
    detached: Option<Option<Dict>>,
    is_stored: bool,
    /// Whether it was judged and written.
    is_done: bool,
}

impl<'env> Walk<'env, '_> {
    /// Begins with a commit, or goes deeper into its history.
    pub(super) fn commit(&mut self, wanted: &WantedCommit) -> Result<()> {
        let WantedCommit { id, depth, is_parent } = *wanted;
        if let Some(state) = self.commits.get_mut(&id) {
            state.is_parent &= is_parent;
            if state.depth.covers(depth) {
                return Ok(());
            }
            state.depth = depth;
            return if state.is_done { self.parent_of(id) } else { Ok(()) };
        }
        let name = ObjectName::from(id);
        let stored = self.shared.txn.read_meta(&name)?;
        let mut state = CommitState {
            depth,
            is_parent,
            is_stored: stored.is_some(),
            bytes: stored,
            detached: None,
            is_done: false,
        };
        if state.bytes.is_none()
            && let Some(bytes) = self.cached_meta(&name)?
        {
            let detached = self.cached_meta(&ObjectName::commitmeta(&id))?;
            state.detached = Some(detached.as_deref().map(|bytes| parse_detached(id, bytes)).transpose()?);
            state.bytes = Some(bytes);
            self.stats.metadata_imported += 1;
        }
        // Of a commit that is here, too: new signatures may have come.
        if state.detached.is_none() {
            self.metadata.push_back(Asked::Detached(id));
        }
        if state.bytes.is_none() {
            self.metadata.push_back(Asked::Commit(id));
        }
        self.commits.insert(id, state);
        self.go_on(id)
    }

    /// Whether the pull goes on if the remote does not have the object.
    pub(super) fn may_be_missing(&self, asked: Asked) -> bool {
        match asked {
            Asked::Detached(_) => true,
            Asked::Commit(id) => self.commits.get(&id).is_some_and(|state| state.is_parent),
            _ => false,
        }
    }

    /// A commit came, or the remote does not have it and need not.
    pub(super) fn commit_came(&mut self, id: CommitId, bytes: Option<Vec<u8>>) -> Result<()> {
        match (bytes, self.commits.get_mut(&id)) {
            (Some(bytes), Some(state)) => state.bytes = Some(bytes),
            // Where deleted commits leave a tombstone, one without was lost.
            (None, _) if self.shared.told.has_tombstones => self.metadata.push_back(Asked::Tombstone(id)),
            (None, _) | (Some(_), None) => {}
        }
        self.go_on(id)
    }

    /// The detached metadata of a commit came, or there are none.
    pub(super) fn detached_came(&mut self, id: CommitId, bytes: Option<&[u8]>) -> Result<()> {
        let detached = match bytes.map(|bytes| parse_detached(id, bytes)).transpose() {
            // Where nobody asks for signatures, damaged ones do no harm.
            Err(error) if self.shared.options.voucher.is_none() => {
                self.shared.ctx.warn(&WithCauses(&error).to_string());
                None
            }
            detached => detached?,
        };
        if let Some(state) = self.commits.get_mut(&id) {
            state.detached = Some(detached);
        }
        self.go_on(id)
    }

    /// Goes on with a commit once all of it is here.
    fn go_on(&mut self, id: CommitId) -> Result<()> {
        let Some(state) = self.commits.get_mut(&id) else { return Ok(()) };
        let (Some(bytes), Some(detached)) = (&state.bytes, &state.detached) else { return Ok(()) };
        let (bytes, detached, is_stored) = (bytes.clone(), detached.clone(), state.is_stored);
        state.is_done = true;
        self.judge(id, &bytes, detached, is_stored)?;
        self.parent_of(id)?;
        self.content_of(id, &bytes)
    }

    /// Judges and writes a commit.
    fn judge(&self, id: CommitId, bytes: &[u8], detached: Option<Dict>, is_stored: bool) -> Result<()> {
        let txn = self.shared.txn;
        let actual = ostree_format::Checksum::of(bytes);
        if actual != *id.checksum() {
            return Err(store::Error::Mismatch { expected: id.into(), actual }.into());
        }
        let known = load_commitmeta(txn, &id)?;
        let signatures = detached.as_ref().or(known.as_ref()).map(Dict::to_bytes);
        let commit = CommitBytes { id, bytes, detached: signatures.as_deref() };
        require_voucher(self.shared.judge, &commit)?;
        if !is_stored {
            txn.set_partial(&id, Completeness::Partial)?;
        }
        if let Some(detached) = detached.filter(|detached| Some(detached) != known.as_ref()) {
            txn.set_detached(&id, &detached)?;
        }
        match is_stored {
            true => Ok(()),
            false => self.write_meta(Asked::Commit(id), MetaKind::Commit, bytes),
        }
    }

    /// Wants the parent of a commit that is here, as deep as the history is wanted.
    fn parent_of(&mut self, id: CommitId) -> Result<()> {
        let Some(CommitState { bytes: Some(bytes), depth, .. }) = self.commits.get(&id) else {
            return Ok(());
        };
        let parent = CommitRef::parse(bytes).map_err(store::Error::corrupt(id))?.parent;
        if let (Some(id), Some(depth)) = (parent, depth.parent()) {
            self.wanted.push(WantedCommit { id, depth, is_parent: true });
        }
        Ok(())
    }

    /// Wants what is in a commit.
    fn content_of(&mut self, id: CommitId, bytes: &[u8]) -> Result<()> {
        let commit = CommitRef::parse(bytes).map_err(store::Error::corrupt(id))?;
        self.shared.content.sizes.note(bytes);
        let filter = match &self.shared.options.extent {
            Extent::CommitOnly => return Ok(()),
            _ if self.shared.txn.completeness(&id)? == Completeness::Complete => return Ok(()),
            Extent::Full => None,
            Extent::Subpaths(paths) => Some(Filter::new(paths)),
        };
        if filter.is_none() {
            self.complete.push(id);
        }
        self.dirmeta(commit.root.meta)?;
        self.tree(commit.root.tree, filter)
    }
}

fn parse_detached(id: CommitId, bytes: &[u8]) -> Result<Dict> {
    let name = ObjectName::commitmeta(&id);
    Ok(Dict::parse(bytes).map_err(store::Error::corrupt(name))?)
}
