//! Everything that can be reached from a commit.

use std::collections::HashSet;

use ostree_format::{CommitId, DirMetaId, DirTreeId, DirTreeRef, FileId, ObjectName};

use super::{Error, ObjectRead, Result, load_commit};

/// The objects seen so far by [`walk_commit`]; 32 bytes and some for each.
#[derive(Debug, Default)]
pub struct Reachable {
    /// Dirtrees.
    pub dirtrees: HashSet<DirTreeId>,
    /// Dirmetas.
    pub dirmetas: HashSet<DirMetaId>,
    /// Content objects.
    pub files: HashSet<FileId>,
}

/// Calls `visit` once for each object of a commit that is not yet in `seen`: the commit, then parents
/// before children, depth first. Parent commits are not followed. Dirtrees are loaded before they are
/// visited, everything else is only named.
///
/// # Errors
/// [`Error::NotFound`] or [`Error::Corrupt`] for the commit or a dirtree, and what `visit` returns.
pub fn walk_commit<S: ObjectRead + ?Sized>(
    store: &S,
    commit: &CommitId,
    seen: &mut Reachable,
    visit: &mut dyn FnMut(ObjectName) -> Result<()>,
) -> Result<()> {
    let root = load_commit(store, commit)?.root;
    visit((*commit).into())?;
    if seen.dirmetas.insert(root.meta) {
        visit(root.meta.into())?;
    }
    walk_tree(store, root.tree, seen, visit)
}

/// [`walk_commit`] from a dirtree on.
fn walk_tree<S: ObjectRead + ?Sized>(
    store: &S,
    root: DirTreeId,
    seen: &mut Reachable,
    visit: &mut dyn FnMut(ObjectName) -> Result<()>,
) -> Result<()> {
    // A stack of its own: trees from outside may be nested deeper than a thread's stack.
    let mut todo = vec![root];
    while let Some(id) = todo.pop() {
        if !seen.dirtrees.insert(id) {
            continue;
        }
        let bytes = store.read_meta(&id.into())?.ok_or(Error::NotFound(id.into()))?;
        let tree = DirTreeRef::parse(&bytes).map_err(Error::corrupt(id))?;
        visit(id.into())?;
        for (_, file) in tree.files() {
            if seen.files.insert(file) {
                visit(file.into())?;
            }
        }
        let first = todo.len();
        for (_, dir) in tree.dirs() {
            if seen.dirmetas.insert(dir.meta) {
                visit(dir.meta.into())?;
            }
            todo.push(dir.tree);
        }
        todo[first..].reverse();
    }
    Ok(())
}
