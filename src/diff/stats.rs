//! Counts of the objects that two commits share.

use ostree_format::{CommitId, ObjectName, ObjectType, Rev};
use serde::Serialize;

use crate::base::Ctx;
use crate::store::{Error, ObjectRead, Reachable, Refs, Result, resolve_rev, walk_commit};

/// The counts that `ostree diff --stats` prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DiffStats {
    /// Objects of the first commit, itself included.
    pub from_objects: u64,
    /// Objects of the second commit.
    pub to_objects: u64,
    /// Objects of both.
    pub common_objects: u64,
    /// Bytes that those take in the store.
    pub common_bytes: u64,
}

/// Counts the objects of two commits and those that they share; `stored_bytes` says what an object takes
/// in the store.
///
/// # Errors
/// What the store and `stored_bytes` give.
pub fn stats<S: ObjectRead + Refs>(
    repo: &S,
    from: &Rev,
    to: &Rev,
    stored_bytes: &mut dyn FnMut(&ObjectName) -> Result<u64>,
    ctx: &Ctx,
) -> Result<DiffStats> {
    let (from, to) = (resolve_rev(repo, from)?, resolve_rev(repo, to)?);
    let (a, b) = (reachable(repo, &from, ctx)?, reachable(repo, &to, ctx)?);
    let mut out = DiffStats { from_objects: count(&a), to_objects: count(&b), ..DiffStats::default() };
    let mut common = |name: ObjectName| {
        out.common_objects += 1;
        out.common_bytes += stored_bytes(&name)?;
        Ok::<(), Error>(())
    };
    if from == to {
        common(from.into())?;
    }
    a.dirtrees.intersection(&b.dirtrees).try_for_each(|id| common((*id).into()))?;
    a.dirmetas.intersection(&b.dirmetas).try_for_each(|id| common((*id).into()))?;
    a.files.intersection(&b.files).try_for_each(|id| common((*id).into()))?;
    Ok(out)
}

fn reachable<S: ObjectRead>(store: &S, commit: &CommitId, ctx: &Ctx) -> Result<Reachable> {
    let mut seen = Reachable::default();
    walk_commit(store, commit, &mut seen, &mut |name| match name.kind {
        ObjectType::DirTree => Ok(ctx.cancel.check()?),
        _ => Ok(()),
    })?;
    Ok(seen)
}

/// The objects, and the commit itself.
fn count(seen: &Reachable) -> u64 {
    (seen.dirtrees.len() + seen.dirmetas.len() + seen.files.len() + 1) as u64
}
