//! Refs copied together with their commits.

use ostree_format::{CommitId, CommitRef, RefName};

use super::{TransferOptions, TransferStats, copy};
use crate::base::Ctx;
use crate::store::{Error, ObjectRead, Refs, Result, Txn, local_ref};

/// A ref of the source, and the one that shall name its commit in the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefCopy {
    /// The local ref of the source.
    pub from: RefName,
    /// The local ref of the target.
    pub to: RefName,
}

/// The changes that a ref of the target may see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Moves {
    /// From a commit to one of its descendants only, so that nothing that the ref led to is lost.
    #[default]
    Forward,
    /// From any commit to any other.
    Anywhere,
}

/// A ref of the target whose commit is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedRef {
    /// The ref of the target.
    pub name: RefName,
    /// The commit that it named before.
    pub before: Option<CommitId>,
    /// The commit that it names now.
    pub now: CommitId,
}

/// Copies the commits that `refs` name in `from`, with everything that belongs to them, and lets the refs of the target
/// name them.
///
/// # Errors
/// [`Error::RefNotFound`] if the source lacks a ref; [`Error::NotForward`] if a ref of the target would lose its commit and
/// `moves` does not allow that; nothing is copied then. What [`copy`] gives.
pub fn copy_refs(
    from: &(impl ObjectRead + Refs),
    txn: &dyn Txn,
    refs: &[RefCopy],
    moves: Moves,
    options: &TransferOptions<'_>,
    ctx: &Ctx,
) -> Result<(Vec<CopiedRef>, TransferStats)> {
    let mut copied = Vec::with_capacity(refs.len());
    for RefCopy { from: source, to } in refs {
        let refspec = local_ref(source.clone());
        let now = from.resolve_exact(&refspec)?.ok_or(Error::RefNotFound(refspec))?;
        let before = txn.resolve_exact(&local_ref(to.clone()))?;
        if let (Some(before), Moves::Forward) = (before, moves)
            && !descends(from, now, before)?
        {
            return Err(Error::NotForward { name: to.clone(), before, now });
        }
        copied.push(CopiedRef { name: to.clone(), before, now });
    }
    let commits: Vec<CommitId> = copied.iter().map(|copied| copied.now).collect();
    let stats = copy(from, txn, &commits, options, ctx)?;
    for CopiedRef { name, now, .. } in &copied {
        txn.set_ref(&local_ref(name.clone()), Some(*now))?;
    }
    Ok((copied, stats))
}

/// Whether `commit` is `ancestor`, or comes after it as far as the store has the history.
pub(super) fn descends(store: &dyn ObjectRead, commit: CommitId, ancestor: CommitId) -> Result<bool> {
    let mut next = Some(commit);
    while let Some(id) = next {
        if id == ancestor {
            return Ok(true);
        }
        let Some(bytes) = store.read_meta(&id.into())? else { break };
        next = CommitRef::parse(&bytes).map_err(Error::corrupt(id))?.parent;
    }
    Ok(false)
}
