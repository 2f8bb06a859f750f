//! The content objects that lie in a layer, and their paths in the commit.
//!
//! Of a path only the last name is kept, and its directory once for all files in it: some 70 bytes for
//! each file, so that a commit of a million files can be dealt with.

use std::sync::Arc;

use ostree_format::{CommitId, DirEntry, FileId, FileName};

use super::export::ContentOrder;
use crate::store::ObjectRead;
use crate::store::{Result, load_commit, load_dirtree};

/// Content objects of a layer, each with the paths in the commit at which it lies.
#[derive(Debug, Clone, Default)]
pub struct ChunkContent {
    table: Arc<Paths>,
    /// Sorted; an object that lies at several paths is there several times, in the order of the walk.
    files: Vec<(FileId, u32)>,
}

/// Every path of a commit.
#[derive(Debug, Default)]
struct Paths {
    /// The directories, with a slash at the end; the root's is empty.
    dirs: Vec<Box<str>>,
    /// The directory, and where the name starts and ends.
    files: Vec<(u32, usize, usize)>,
    names: String,
}

impl ChunkContent {
    /// All content objects of a commit.
    ///
    /// # Errors
    /// If a commit, dirtree or dirmeta is missing or damaged.
    pub fn of_commit(store: &dyn ObjectRead, commit: &CommitId) -> Result<Self> {
        let mut paths = Paths::default();
        let mut files = Vec::new();
        let root = load_commit(store, commit)?.root;
        let mut enter = |path: String, tree| -> Result<_> {
            let tree = load_dirtree(store, &tree)?;
            let dir = paths.dirs.len() as u32;
            for (name, id) in &tree.files {
                let start = paths.names.len();
                paths.names.push_str(name.as_str());
                files.push((*id, paths.files.len() as u32));
                paths.files.push((dir, start, paths.names.len()));
            }
            paths.dirs.push(path.as_str().into());
            Ok((path, tree.dirs.into_iter()))
        };
        // Depth first; the stack is on the heap: trees may be deep.
        let mut stack: Vec<(String, std::collections::btree_map::IntoIter<FileName, DirEntry>)> =
            vec![enter(String::new(), root.tree)?];
        while let Some((path, dirs)) = stack.last_mut() {
            match dirs.next() {
                Some((name, dir)) => {
                    let path = format!("{path}{name}/");
                    stack.push(enter(path, dir.tree)?);
                }
                None => {
                    stack.pop();
                }
            }
        }
        files.sort_unstable();
        Ok(Self { table: Arc::new(paths), files })
    }

    /// The objects for which `keep` returns true.
    #[must_use]
    pub fn select(&self, mut keep: impl FnMut(&FileId) -> bool) -> Self {
        let mut files = self.files.clone();
        files.retain(|(id, _)| keep(id));
        Self { table: Arc::clone(&self.table), files }
    }

    /// The objects and paths for which `keep` returns true.
    #[must_use]
    pub fn select_paths(&self, mut keep: impl FnMut(&FileId, &str) -> bool) -> Self {
        let mut files = self.files.clone();
        files.retain(|(id, path)| keep(id, &self.table.path(*path)));
        Self { table: Arc::clone(&self.table), files }
    }

    /// The number of paths in the commit.
    pub fn paths(&self) -> usize {
        self.table.files.len()
    }

    /// `count` parts. `part` gives the number of the part that a path belongs to, of its object and its own
    /// number in the walk of the commit, where a directory's files come before its directories. An object whose
    /// paths belong to several parts is in each of them.
    #[must_use]
    pub fn divide(&self, count: usize, mut part: impl FnMut(&FileId, usize) -> usize) -> Vec<Self> {
        let mut parts = vec![Vec::new(); count];
        for (id, path) in &self.files {
            if let Some(part) = parts.get_mut(part(id, *path as usize)) {
                part.push((*id, *path));
            }
        }
        let content = |files| Self { table: Arc::clone(&self.table), files };
        parts.into_iter().map(content).collect()
    }

    /// Every object and its paths, without a slash in front, sorted by checksum.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, Vec<String>)> + '_ {
        self.iter_in(ContentOrder::Checksum)
    }

    /// Every object and its paths in this order.
    pub(super) fn iter_in(&self, order: ContentOrder) -> impl Iterator<Item = (FileId, Vec<String>)> + '_ {
        let mut objects: Vec<_> = self.files.chunk_by(|a, b| a.0 == b.0).collect();
        if order == ContentOrder::Path {
            objects.sort_unstable_by_key(|same| same[0].1);
        }
        objects.into_iter().map(|same| {
            let paths = same.iter().map(|(_, path)| self.table.path(*path));
            (same[0].0, paths.collect())
        })
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

impl Paths {
    fn path(&self, n: u32) -> String {
        let (dir, start, end) = self.files[n as usize];
        [&self.dirs[dir as usize], &self.names[start..end]].concat()
    }
}
