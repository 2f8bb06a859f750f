//! The tree of a commit in memory, to find out who owns what in it.
//!
//! ```text
//! dirs    depth first; each knows its parent, its directories, and a range of
//! files   (object, size, link target), sorted by name within a directory
//! ```
//! Paths are looked up as the kernel would: links to directories are followed inside the tree. Memory: some
//! 100 bytes for each file, for as long as layers are being planned.

use std::io::Read;
use std::ops::Range;

use ostree_format::{DirEntry, DirTreeId, FileId, FileName, ObjectName, RootDir};

use crate::base::Ctx;
use crate::container::build::chunks::database::MAX_BYTES;
use crate::container::image::{Error, Result};
use crate::store::{self, ObjectRead, load_dirtree};

/// The root among the directories.
pub(super) const ROOT: usize = 0;
/// Links are followed so many times, as by Linux.
const MAX_LINKS: u32 = 40;
/// Where a file may lie that is not at its path: systems of images move `etc`, `lib` and `var` there.
const MOVED_BELOW: [&str; 2] = ["usr", "usr/share/factory"];

/// The tree of a commit.
pub(super) struct Tree {
    pub(super) dirs: Vec<Dir>,
    pub(super) files: Vec<File>,
}

pub(super) struct Dir {
    pub(super) name: Box<str>,
    pub(super) parent: usize,
    /// Sorted by name.
    pub(super) dirs: Vec<usize>,
    pub(super) files: Range<usize>,
}

/// A regular file or symbolic link.
pub(super) struct File {
    pub(super) id: FileId,
    pub(super) dir: usize,
    pub(super) name: Box<str>,
    pub(super) bytes: u64,
    link: Option<Box<str>>,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Dir(usize),
    File(usize),
}

impl Tree {
    pub(super) fn load(store: &dyn ObjectRead, root: RootDir, ctx: &Ctx) -> Result<Self> {
        let mut tree = Self { dirs: Vec::new(), files: Vec::new() };
        // Depth first; the stack is on the heap: trees may be deep.
        let mut stack: Vec<(usize, std::collections::btree_map::IntoIter<FileName, DirEntry>)> =
            vec![tree.enter(store, "", ROOT, &root.tree)?];
        while let Some((parent, dirs)) = stack.last_mut() {
            let parent = *parent;
            match dirs.next() {
                Some((name, dir)) => {
                    ctx.cancel.check()?;
                    let entered = tree.enter(store, name.as_str(), parent, &dir.tree)?;
                    tree.dirs[parent].dirs.push(entered.0);
                    stack.push(entered);
                }
                None => {
                    stack.pop();
                }
            }
        }
        Ok(tree)
    }

    fn enter(
        &mut self,
        store: &dyn ObjectRead,
        name: &str,
        parent: usize,
        id: &DirTreeId,
    ) -> Result<(usize, std::collections::btree_map::IntoIter<FileName, DirEntry>)> {
        let (number, start) = (self.dirs.len(), self.files.len());
        let tree = load_dirtree(store, id)?;
        for (name, id) in &tree.files {
            let missing = || store::Error::NotFound(ObjectName::from(*id));
            let (header, bytes) = store.stat_file(id)?.ok_or_else(missing)?;
            let link = header.symlink_target().map(Box::from);
            self.files.push(File { id: *id, dir: number, name: name.as_str().into(), bytes, link });
        }
        let files = start..self.files.len();
        self.dirs.push(Dir { name: name.into(), parent, dirs: Vec::new(), files });
        Ok((number, tree.dirs.into_iter()))
    }

    /// The path of a directory, without slashes around it; the root's is empty.
    pub(super) fn dir_path(&self, mut dir: usize) -> String {
        let mut names = Vec::new();
        while dir != ROOT {
            names.push(&*self.dirs[dir].name);
            dir = self.dirs[dir].parent;
        }
        names.reverse();
        names.join("/")
    }

    /// The path of a file.
    pub(super) fn file_path(&self, file: usize) -> String {
        let File { dir, name, .. } = &self.files[file];
        match *dir {
            ROOT => name.to_string(),
            dir => format!("{}/{name}", self.dir_path(dir)),
        }
    }

    /// The file called `name` in a directory.
    pub(super) fn file_in(&self, dir: usize, name: &str) -> Option<usize> {
        let range = self.dirs[dir].files.clone();
        let found = self.files[range.clone()].binary_search_by(|f| (*f.name).cmp(name)).ok()?;
        Some(range.start + found)
    }

    fn dir_in(&self, dir: usize, name: &str) -> Option<usize> {
        let dirs = &self.dirs[dir].dirs;
        let found = dirs.binary_search_by(|d| (*self.dirs[*d].name).cmp(name)).ok()?;
        Some(dirs[found])
    }

    /// What stands at `path`. A link at its end is not followed, unless a slash and a dot come after it.
    pub(super) fn locate(&self, path: &str) -> Option<Found> {
        let mut todo: Vec<&str> = path.rsplit('/').collect();
        let (mut dir, mut links) = (ROOT, 0);
        while let Some(name) = todo.pop() {
            match name {
                "" | "." => continue,
                ".." => dir = self.dirs[dir].parent,
                _ => match self.dir_in(dir, name) {
                    Some(below) => dir = below,
                    None => {
                        let file = self.file_in(dir, name)?;
                        if todo.is_empty() {
                            return Some(Found::File(file));
                        }
                        let target = self.files[file].link.as_deref()?;
                        links += 1;
                        if links > MAX_LINKS {
                            return None;
                        }
                        if target.starts_with('/') {
                            dir = ROOT;
                        }
                        todo.extend(target.rsplit('/'));
                    }
                },
            }
        }
        Some(Found::Dir(dir))
    }

    /// The file or directory at a path of the system that the tree was made of, which may have been moved since.
    pub(super) fn locate_moved(&self, path: &str) -> Option<Found> {
        let path = path.trim_start_matches('/');
        let moved = || MOVED_BELOW.iter().find_map(|below| self.locate(&format!("{below}/{path}")));
        self.locate(path).or_else(moved)
    }

    /// The directory at `path`.
    pub(super) fn locate_dir(&self, path: &str) -> Option<usize> {
        match self.locate(&format!("{path}/."))? {
            Found::Dir(dir) => Some(dir),
            Found::File(_) => None,
        }
    }

    /// The file at `path`.
    pub(super) fn locate_file(&self, path: &str) -> Option<usize> {
        match self.locate(path)? {
            Found::File(file) => Some(file),
            Found::Dir(_) => None,
        }
    }

    /// The content of a file.
    pub(super) fn read(&self, store: &dyn ObjectRead, file: usize) -> Result<Vec<u8>> {
        let id = self.files[file].id;
        let object = store.open_file(&id)?.ok_or_else(|| store::Error::NotFound(ObjectName::from(id)))?;
        if object.len > MAX_BYTES {
            return Err(Error::TooLarge { what: self.file_path(file), limit: MAX_BYTES });
        }
        let mut content = Vec::new();
        object.take(MAX_BYTES).read_to_end(&mut content).map_err(Error::io("read", self.file_path(file)))?;
        Ok(content)
    }
}
