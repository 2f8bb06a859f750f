//! Finds the file or directory at a path of a tree.

use std::io::{ErrorKind, Read};

use ostree_format::{DirEntry, DirTreeRef, FileId, RootDir};
use rustix::io::Errno;

use super::{Error, ObjectRead, Result};

/// The file or directory at a path of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeEntry {
    /// A regular file or symbolic link.
    File(FileId),
    /// A directory.
    Dir(DirEntry),
}

/// Finds what stands at `path`, of which empty parts and `.` count nothing and `..` goes up, not beyond the
/// root. Symbolic links are not followed.
///
/// # Errors
/// [`Error::Io`] with `NotFound` or `NotADirectory`, naming the path; and what the store gives.
pub fn lookup<S: ObjectRead + ?Sized>(store: &S, root: RootDir, path: &str) -> Result<TreeEntry> {
    let mut above = vec![DirEntry { tree: root.tree, meta: root.meta }];
    let mut file = None;
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if file.is_some() {
            return Err(Error::io("looking up", path, Errno::NOTDIR));
        }
        if part == ".." {
            if above.len() > 1 {
                above.pop();
            }
            continue;
        }
        let Some(dir) = above.last() else { break };
        match child(store, dir, part)? {
            Some(TreeEntry::Dir(entry)) => above.push(entry),
            Some(TreeEntry::File(id)) => file = Some(id),
            None => return Err(Error::io("looking up", path, Errno::NOENT)),
        }
    }
    match (file, above.last()) {
        (Some(id), _) => Ok(TreeEntry::File(id)),
        (None, Some(dir)) => Ok(TreeEntry::Dir(*dir)),
        (None, None) => Ok(TreeEntry::Dir(DirEntry { tree: root.tree, meta: root.meta })),
    }
}

/// The content of the file at `path`, of which at most `max_bytes` are read; `None` if no file is there.
///
/// # Errors
/// [`Error::NotFound`] if the file's object is missing; [`Error::Read`]; and as [`lookup`].
pub fn read_path<S: ObjectRead + ?Sized>(
    store: &S,
    root: RootDir,
    path: &str,
    max_bytes: u64,
) -> Result<Option<Vec<u8>>> {
    let id = match lookup(store, root, path) {
        Ok(TreeEntry::File(id)) => id,
        Ok(TreeEntry::Dir(_)) => return Ok(None),
        Err(Error::Io { source, .. })
            if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let file = store.open_file(&id)?.ok_or(Error::NotFound(id.into()))?;
    let mut content = Vec::new();
    file.take(max_bytes)
        .read_to_end(&mut content)
        .map_err(|source| Error::Read { what: path.to_owned(), source })?;
    Ok(Some(content))
}

/// What stands under `name` in `dir`.
fn child<S: ObjectRead + ?Sized>(store: &S, dir: &DirEntry, name: &str) -> Result<Option<TreeEntry>> {
    let id = dir.tree;
    let bytes = store.read_meta(&id.into())?.ok_or(Error::NotFound(id.into()))?;
    let tree = DirTreeRef::parse(&bytes).map_err(Error::corrupt(id))?;
    let file = tree.files().find(|(n, _)| *n == name).map(|(_, id)| TreeEntry::File(id));
    Ok(file.or_else(|| tree.dirs().find(|(n, _)| *n == name).map(|(_, entry)| TreeEntry::Dir(entry))))
}
