//! Dirtree objects: `(a(say)a(sayay))`, the files (name, id) and the directories (name, dirtree, dirmeta)
//! of one directory, each list sorted by the bytes of the name.
//!
//! Source: libostree ostree-core.h:139, ostree-repo-commit.c:3150-3204.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::checksum::{Checksum, DirMetaId, DirTreeId, FileId};
use crate::error::{ParseErrorKind, Result};
use crate::name::{FileName, check_file_name};
use crate::wire::{Elements, Frame, Slice, Tuple, checksum, put_string};

/// The two objects that a subdirectory's entry points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DirEntry {
    /// The dirtree object with the directory's content.
    pub tree: DirTreeId,
    /// The dirmeta object with the directory's owner, mode and xattrs.
    pub meta: DirMetaId,
}

/// A directory's content. No name is both a file and a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirTree {
    /// Files and symbolic links.
    pub files: BTreeMap<FileName, FileId>,
    /// Directories.
    pub dirs: BTreeMap<FileName, DirEntry>,
}

/// A parsed dirtree object that borrows its bytes; everything was checked.
#[derive(Debug, Clone, Copy)]
pub struct DirTreeRef<'a> {
    files: Slice<'a>,
    dirs: Slice<'a>,
}

impl<'a> DirTreeRef<'a> {
    /// Reads a dirtree object and checks all of it.
    ///
    /// # Errors
    /// If it is not in normal form, a name is invalid, names are not sorted or stand twice (in one list
    /// or in both).
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut tuple = Tuple::new(Slice::new("dirtree", bytes), 1)?;
        let files = tuple.framed(1)?.named("dirtree files");
        let dirs = tuple.last(1)?.named("dirtree dirs");
        check_entries(files, |tuple| checksum(tuple.last(1)?.named("file checksum")).map(drop))?;
        check_entries(dirs, |mut tuple| {
            checksum(tuple.framed(1)?.named("dirtree checksum"))?;
            checksum(tuple.last(1)?.named("dirmeta checksum")).map(drop)
        })?;
        let this = Self { files, dirs };
        this.check_disjoint()?;
        Ok(this)
    }

    fn check_disjoint(&self) -> Result<()> {
        let (mut files, mut dirs) = (self.files().peekable(), self.dirs().peekable());
        while let (Some((file, _)), Some((dir, _))) = (files.peek(), dirs.peek()) {
            match file.cmp(dir) {
                Ordering::Less => drop(files.next()),
                Ordering::Greater => drop(dirs.next()),
                Ordering::Equal => return Err(self.dirs.error(0, ParseErrorKind::NotSorted)),
            }
        }
        Ok(())
    }

    /// The files, sorted by name.
    pub fn files(&self) -> impl Iterator<Item = (&'a str, FileId)> + use<'a> {
        entries(self.files).filter_map(|(name, tuple)| {
            let id = checksum(tuple.last(1).ok()?).ok()?;
            Some((name, FileId::new(id)))
        })
    }

    /// The directories, sorted by name.
    pub fn dirs(&self) -> impl Iterator<Item = (&'a str, DirEntry)> + use<'a> {
        entries(self.dirs).filter_map(|(name, mut tuple)| {
            let tree = checksum(tuple.framed(1).ok()?).ok()?;
            let meta = checksum(tuple.last(1).ok()?).ok()?;
            Some((name, DirEntry { tree: DirTreeId::new(tree), meta: DirMetaId::new(meta) }))
        })
    }

    /// An owned copy.
    pub fn to_owned(&self) -> DirTree {
        // The names were checked by `parse`.
        let named = |name: &str| FileName::new(name).ok();
        DirTree {
            files: self.files().filter_map(|(name, id)| Some((named(name)?, id))).collect(),
            dirs: self.dirs().filter_map(|(name, entry)| Some((named(name)?, entry))).collect(),
        }
    }
}

/// The (name, rest of the tuple) of a list; the files' tuple has one frame, the directories' two.
fn entries<'a>(list: Slice<'a>) -> impl Iterator<Item = (&'a str, Tuple<'a>)> + use<'a> {
    let frames = frames_of(list);
    let elements: Option<Elements<'a>> = list.elements(1).ok();
    elements.into_iter().flatten().filter_map(move |element| {
        let mut tuple = Tuple::new(element.ok()?, frames).ok()?;
        Some((tuple.framed(1).ok()?.string().ok()?, tuple))
    })
}

fn frames_of(list: Slice<'_>) -> usize {
    if list.what == "dirtree dirs" { 2 } else { 1 }
}

fn check_entries<'a>(list: Slice<'a>, rest: impl Fn(Tuple<'a>) -> Result<()>) -> Result<()> {
    let mut last: Option<&str> = None;
    for element in list.elements(1)? {
        let element = element?;
        let mut tuple = Tuple::new(element, frames_of(list))?;
        let slice = tuple.framed(1)?.named("file name");
        let name = slice.string()?;
        check_file_name(slice.what, slice.offset, name)?;
        if last.is_some_and(|last| last >= name) {
            return Err(slice.error(0, ParseErrorKind::NotSorted));
        }
        last = Some(name);
        rest(tuple)?;
    }
    Ok(())
}

impl DirTree {
    /// Reads a dirtree object; see [`DirTreeRef::parse`].
    ///
    /// # Errors
    /// As [`DirTreeRef::parse`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        DirTreeRef::parse(bytes).map(|tree| tree.to_owned())
    }

    /// The bytes of the object.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Close to the size and not below: the name with its NUL, checksums, framing offsets.
        let files: usize = self.files.keys().map(|name| name.len() + 41).sum();
        let dirs: usize = self.dirs.keys().map(|name| name.len() + 77).sum();
        let mut out = Vec::with_capacity(files + dirs + 8);
        let mut tree = Frame::begin(&mut out, 1);
        let mut files = Frame::begin(&mut out, 1);
        for (name, id) in &self.files {
            let mut tuple = Frame::begin(&mut out, 1);
            put_string(&mut out, name);
            tuple.end_member(&out);
            out.extend_from_slice(id.as_bytes());
            tuple.finish_tuple(&mut out);
            files.end_member(&out);
        }
        files.finish_array(&mut out);
        tree.end_member(&out);
        let mut dirs = Frame::begin(&mut out, 1);
        for (name, entry) in &self.dirs {
            let mut tuple = Frame::begin(&mut out, 1);
            put_string(&mut out, name);
            tuple.end_member(&out);
            out.extend_from_slice(entry.tree.as_bytes());
            tuple.end_member(&out);
            out.extend_from_slice(entry.meta.as_bytes());
            tuple.finish_tuple(&mut out);
            dirs.end_member(&out);
        }
        dirs.finish_array(&mut out);
        tree.finish_tuple(&mut out);
        out
    }

    /// The id of the dirtree object: the checksum of its bytes.
    pub fn id(&self) -> DirTreeId {
        DirTreeId::new(Checksum::of(&self.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_tree() {
        // The id of an empty directory's dirtree in every ostree repository.
        let id = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        let empty = DirTree::default();
        assert_eq!(empty.to_bytes(), [0]);
        assert_eq!(empty.id().to_string(), id);
        assert_eq!(DirTree::parse(&[0]), Ok(empty));
        assert!(DirTree::parse(&[]).is_err());
    }
}
