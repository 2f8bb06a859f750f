//! Everything in a tree, with its path.

use std::fmt;

use ostree_format::{DirEntry, DirTreeRef, RootDir};

use super::{Error, ObjectRead, Result, TreeEntry};

/// Everything in the tree under `root`, each with its path from there: `/` itself, then the files of a directory, then
/// its directories with all that is in them, each by name. Content is not opened; [`walk_commit`](super::walk_commit)
/// visits each object once instead.
///
/// An error names the object that is missing or damaged, and ends the walk.
pub fn paths<S: ObjectRead + ?Sized>(store: &S, root: RootDir) -> Paths<'_, S> {
    let root = DirEntry { tree: root.tree, meta: root.meta };
    Paths { store, files: Vec::new(), dirs: vec![("/".to_owned(), root)] }
}

/// The iterator of [`paths`]. It holds the entries of the directories on the way to where it is.
pub struct Paths<'a, S: ?Sized> {
    store: &'a S,
    /// The rest of one directory's files, the last first.
    files: Vec<(String, TreeEntry)>,
    /// Directories to come, the last first.
    dirs: Vec<(String, DirEntry)>,
}

impl<S: ?Sized> fmt::Debug for Paths<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paths").field("files", &self.files).field("dirs", &self.dirs).finish_non_exhaustive()
    }
}

impl<S: ObjectRead + ?Sized> Paths<'_, S> {
    /// Lists what is in a directory.
    fn enter(&mut self, path: &str, dir: DirEntry) -> Result<()> {
        let id = dir.tree;
        let bytes = self.store.read_meta(&id.into())?.ok_or(Error::NotFound(id.into()))?;
        let tree = DirTreeRef::parse(&bytes).map_err(Error::corrupt(id))?;
        let below = |name: &str| format!("{}/{name}", path.trim_end_matches('/'));
        self.files.extend(tree.files().map(|(name, id)| (below(name), TreeEntry::File(id))));
        self.files.reverse();
        let first = self.dirs.len();
        self.dirs.extend(tree.dirs().map(|(name, dir)| (below(name), dir)));
        self.dirs[first..].reverse();
        Ok(())
    }
}

impl<S: ObjectRead + ?Sized> Iterator for Paths<'_, S> {
    type Item = Result<(String, TreeEntry)>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(file) = self.files.pop() {
            return Some(Ok(file));
        }
        let (path, dir) = self.dirs.pop()?;
        if let Err(error) = self.enter(&path, dir) {
            self.dirs.clear();
            return Some(Err(error));
        }
        Some(Ok((path, TreeEntry::Dir(dir))))
    }
}
