//! One of the two trees that are compared, and its directories and files.

use cap_std::fs::Dir;
use ostree_format::{Checksum, DirEntry, DirMetaId, DirTreeId, DirTreeRef, FileId, RootDir};

use super::files::{DiskDir, DiskFile, FilesOptions};
use crate::base::debug_fields;
use crate::store::{Error, ObjectRead, Result};

/// A tree to compare.
pub enum Side<'a> {
    /// A tree in a store.
    Tree {
        /// The store with the objects of the tree.
        store: &'a dyn ObjectRead,
        /// The root directory of the tree.
        root: RootDir,
    },
    /// A directory on disk.
    Files {
        /// The directory.
        dir: Dir,
        /// Options for reading its files.
        options: FilesOptions,
    },
}

debug_fields!(
    enum Side<'a> {
        Tree,
        Files,
    }
);

/// A directory of a side.
pub(super) enum DirNode<'a> {
    Tree(&'a dyn ObjectRead, DirEntry),
    Disk(DiskDir),
}

/// Anything but a directory.
pub(super) enum FileNode {
    Object(FileId),
    Disk(DiskFile),
}

/// What is in a directory, sorted by name.
#[derive(Default)]
pub(super) struct Listing<'a> {
    pub(super) files: Vec<(Box<str>, FileNode)>,
    pub(super) dirs: Vec<(Box<str>, DirNode<'a>)>,
}

/// Something under a name.
pub(super) enum Node<'a> {
    File,
    Dir(&'a DirNode<'a>),
}

impl<'a> Side<'a> {
    pub(super) fn into_root(self) -> DirNode<'a> {
        match self {
            Self::Tree { store, root } => DirNode::Tree(store, DirEntry { tree: root.tree, meta: root.meta }),
            Self::Files { dir, options } => DirNode::Disk(DiskDir::root(dir, options)),
        }
    }
}

impl<'a> DirNode<'a> {
    /// The dirtree, where it is known without reading everything below.
    pub(super) fn tree(&self) -> Option<DirTreeId> {
        match self {
            Self::Tree(_, entry) => Some(entry.tree),
            Self::Disk(_) => None,
        }
    }

    pub(super) fn meta(&self) -> Result<DirMetaId> {
        match self {
            Self::Tree(_, entry) => Ok(entry.meta),
            Self::Disk(dir) => Ok(dir.meta()?.id()),
        }
    }

    pub(super) fn list(&self) -> Result<Listing<'a>> {
        match self {
            Self::Disk(dir) => dir.list(),
            Self::Tree(store, entry) => {
                let id = entry.tree;
                let bytes = store.read_meta(&id.into())?.ok_or(Error::NotFound(id.into()))?;
                let tree = DirTreeRef::parse(&bytes).map_err(Error::corrupt(id))?;
                Ok(Listing {
                    files: tree.files().map(|(name, id)| (name.into(), FileNode::Object(id))).collect(),
                    dirs: tree.dirs().map(|(name, dir)| (name.into(), Self::Tree(*store, dir))).collect(),
                })
            }
        }
    }
}

impl FileNode {
    /// What tells it from every other file: the id it has or would have as an object.
    pub(super) fn identity(&self) -> Result<Checksum> {
        match self {
            Self::Object(id) => Ok(*id.checksum()),
            Self::Disk(file) => file.identity(),
        }
    }
}

impl Node<'_> {
    pub(super) fn is_dir(&self) -> bool {
        matches!(self, Self::Dir(_))
    }

    /// Calls `visit` with the path of everything below this, which is at `path`: the files of a directory
    /// first, then each directory and what is in it.
    pub(super) fn each_below(&self, path: &str, visit: &mut dyn FnMut(&str)) -> Result<()> {
        let Self::Dir(dir) = self else { return Ok(()) };
        // What is still to be listed, the next one last; a stack of its own, since trees may be deep.
        let mut todo = Vec::new();
        open(path, dir, &mut todo, visit)?;
        while let Some((path, dir)) = todo.pop() {
            visit(&path);
            open(&path, &dir, &mut todo, visit)?;
        }
        Ok(())
    }
}

/// Visits the files of a directory and notes its directories.
fn open<'a>(
    path: &str,
    dir: &DirNode<'a>,
    todo: &mut Vec<(String, DirNode<'a>)>,
    visit: &mut dyn FnMut(&str),
) -> Result<()> {
    let Listing { files, dirs } = dir.list()?;
    files.iter().for_each(|(name, _)| visit(&format!("{path}/{name}")));
    todo.extend(dirs.into_iter().rev().map(|(name, dir)| (format!("{path}/{name}"), dir)));
    Ok(())
}
