//! Changes that become visible as a whole.

use ostree_format::variant::Dict;
use ostree_format::{CollectionId, CommitId, RefName, RefSpec};

use super::{Error, Hints, ObjectWrite, Refs, Result};

/// A change that becomes visible as a whole or not at all. Who begins it also commits or drops it.
pub trait Txn: ObjectWrite + Refs {
    /// Lets a ref name `target` once the transaction is committed, or deletes it.
    ///
    /// # Errors
    /// [`Error::Usage`] if the ref cannot be written.
    fn set_ref(&self, refspec: &RefSpec, target: Option<CommitId>) -> Result<()>;

    /// Lets a ref of a collection name `target` once the transaction is committed, or deletes it.
    ///
    /// # Errors
    /// [`Error::Usage`] if the ref cannot be written; [`Error::Unsupported`] if the store has no collections.
    fn set_collection_ref(
        &self,
        id: &CollectionId,
        _name: &RefName,
        _target: Option<CommitId>,
    ) -> Result<()> {
        Err(Error::Unsupported(format!("refs of the collection {id} cannot be kept here")))
    }

    /// Replaces the detached metadata of a commit; an empty dictionary removes it.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn set_detached(&self, commit: &CommitId, metadata: &Dict) -> Result<()>;

    /// Notes that a commit was deleted on purpose, where it came from: a store on disk keeps that as a tombstone, one
    /// in memory does not.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn leave_tombstone(&self, _commit: &CommitId) -> Result<()> {
        Ok(())
    }

    /// Notes that objects of a commit are missing, or that all are there.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn set_partial(&self, commit: &CommitId, state: Completeness) -> Result<()>;

    /// The completeness that was noted of a commit, in this transaction or before; complete if nothing was.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn completeness(&self, commit: &CommitId) -> Result<Completeness>;

    /// The hints that the store keeps from one transaction to the next, if it keeps any: one in memory does not.
    fn hints(&self) -> Option<&dyn Hints> {
        None
    }
}

/// Whether all objects of a commit are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// All objects of the commit are there.
    Complete,
    /// Some may be missing: a pull was interrupted or asked for less.
    Partial,
    /// Some are missing since fsck removed what was corrupt.
    PartialByFsck,
}
