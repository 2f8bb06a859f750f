//! Differences between two trees, of commits or on disk.
//!
//! ```text
//! diff()      two commits → FileTreeDiff: sorted sets of paths; an added or removed directory is one path
//! changes()   two sides   → Changes: what `ostree diff` lists; an added directory with all below it
//! stats()     two commits → how many objects each has, and what they share
//! ```
//! Only directories whose dirtree differs are read, and no content but that of files on disk.

mod files;
mod side;
mod stats;
mod walk;

use std::collections::BTreeSet;
use std::fmt;

use ostree_format::{Commit, DirTreeRef, Rev, RootDir};
use serde::Serialize;

use crate::base::Ctx;
use crate::store::{Error, ObjectRead, Refs, Result, load_commit, resolve_rev};

pub use files::FilesOptions;
pub use side::Side;
pub use stats::{DiffStats, stats};
use walk::{Difference, What, walk};

/// A sorted set of paths.
pub type FileSet = BTreeSet<String>;

/// The differences between two trees. Paths start with `/`, which is the root or the subdirectory asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FileTreeDiff {
    /// The directory that was compared, such as `/usr`; the whole tree if none.
    pub subdir: Option<String>,
    /// Files that are new in a directory that both have.
    pub added_files: FileSet,
    /// New directories; what is in them is not listed.
    pub added_dirs: FileSet,
    /// Files that are gone from a directory that both have.
    pub removed_files: FileSet,
    /// Directories that are gone; what was in them is not listed.
    pub removed_dirs: FileSet,
    /// Files of which anything changed: content, owner, mode, xattrs, link target.
    pub changed_files: FileSet,
    /// Directories whose own owner, mode or xattrs changed.
    pub changed_dirs: FileSet,
}

/// The changes that `ostree diff` lists, in the order in which it does. Paths start with `/`; those of a side on disk
/// do not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Files and directories that both have and that differ.
    pub modified: Vec<String>,
    /// Files and directories that are gone; what was in a directory is not listed.
    pub removed: Vec<String>,
    /// New files and directories, with all that is in them.
    pub added: Vec<String>,
}

/// Compares the trees of two commits of `repo`, or one directory of them. A name that was a directory and
/// became a file (or the other way round) is removed as the one and added as the other.
///
/// # Errors
/// [`Error::Usage`] if `subdir` is not a directory in both commits; and what the store gives.
pub fn diff<S: ObjectRead + Refs>(
    repo: &S,
    from: &Rev,
    to: &Rev,
    subdir: Option<&str>,
) -> Result<FileTreeDiff> {
    let side = |rev: &Rev| -> Result<_> {
        let Commit { root, .. } = load_commit(repo, &resolve_rev(repo, rev)?)?;
        Ok(Side::Tree { store: repo, root: enter(repo, root, subdir.unwrap_or_default())? })
    };
    let mut out = FileTreeDiff { subdir: subdir.map(Into::into), ..Default::default() };
    walk(side(from)?, side(to)?, &Ctx::default(), &mut |event| {
        let (set, path) = match event {
            Difference::Modified(What::File, path) => (&mut out.changed_files, path),
            Difference::Modified(What::Dir, path) => (&mut out.changed_dirs, path),
            Difference::Removed(What::File, path) => (&mut out.removed_files, path),
            Difference::Removed(What::Dir, path) => (&mut out.removed_dirs, path),
            Difference::Added(node, path) if node.is_dir() => (&mut out.added_dirs, path),
            Difference::Added(_, path) => (&mut out.added_files, path),
            Difference::Replaced { was, path } => {
                let (removed, added) = match was {
                    What::File => (&mut out.removed_files, &mut out.added_dirs),
                    What::Dir => (&mut out.removed_dirs, &mut out.added_files),
                };
                removed.insert(path.into());
                (added, path)
            }
        };
        set.insert(path.into());
        Ok(())
    })?;
    Ok(out)
}

/// Compares two trees as `ostree diff` does: a name that changed its type is modified.
///
/// # Errors
/// What the stores give; [`Error::Io`] and [`Error::Invalid`] for files on disk.
pub fn changes(from: Side<'_>, to: Side<'_>, ctx: &Ctx) -> Result<Changes> {
    let shown = |side: &Side<'_>| usize::from(matches!(side, Side::Files { .. }));
    // `/usr/bin` in a commit, `usr/bin` on disk.
    let (skip_from, skip_to) = (shown(&from), shown(&to));
    let mut out = Changes::default();
    walk(from, to, ctx, &mut |event| {
        match event {
            Difference::Modified(_, path) | Difference::Replaced { path, .. } => {
                out.modified.push(path[skip_from..].into());
            }
            Difference::Removed(_, path) => out.removed.push(path[skip_from..].into()),
            Difference::Added(node, path) => {
                out.added.push(path[skip_to..].into());
                node.each_below(path, &mut |path| out.added.push(path[skip_to..].into()))?;
            }
        }
        Ok(())
    })?;
    Ok(out)
}

/// The directory at `path` below `root`.
fn enter(store: &dyn ObjectRead, mut root: RootDir, path: &str) -> Result<RootDir> {
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let bytes = store.read_meta(&root.tree.into())?.ok_or(Error::NotFound(root.tree.into()))?;
        let tree = DirTreeRef::parse(&bytes).map_err(Error::corrupt(root.tree))?;
        let found = tree.dirs().find(|(dir, _)| *dir == name);
        let (_, entry) = found.ok_or_else(|| Error::Usage(format!("No such directory: {path}")))?;
        root = RootDir { tree: entry.tree, meta: entry.meta };
    }
    Ok(root)
}

impl fmt::Display for FileTreeDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "files(added:{} removed:{} changed:{}) dirs(added:{} removed:{} changed:{})",
            self.added_files.len(),
            self.removed_files.len(),
            self.changed_files.len(),
            self.added_dirs.len(),
            self.removed_dirs.len(),
            self.changed_dirs.len()
        )
    }
}

impl fmt::Display for Changes {
    /// Writes what `ostree diff` prints, one path a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (letter, paths) in [('M', &self.modified), ('D', &self.removed), ('A', &self.added)] {
            for path in paths {
                writeln!(f, "{letter}    {path}")?;
            }
        }
        Ok(())
    }
}
