//! Which old file a new one is made of.
//!
//! ```text
//! the same content           copied
//! the same path              patched, if the sizes are alike
//! the same name elsewhere, or the same up to the first dot (libx.so.1.2 ► libx.so.1.3)
//!                            patched: of several the one whose size is nearest
//! ```

use std::collections::HashMap;

use super::old::{OldContent, OldTree, is_name};
use super::scan::{Extent, Scanned, What};

/// Below this size any two files are of alike size.
const SMALL_BYTES: u64 = 64 * 1024;
/// Sizes are alike up to this factor.
const MAX_FACTOR: u64 = 10;
/// What is compressed well, in which a small change changes everything behind it.
const COMPRESSED: [&[u8]; 2] = [b".xz", b".bz2"];

/// A part of a new stream that is made of an old file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'o> {
    /// The new file.
    pub(super) content: Extent,
    pub(super) old: &'o OldContent,
    pub(super) how: How,
}

/// How a new file is made of an old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The old file as it is.
    Copy,
    /// What differs from the old file, which is like it.
    Patch,
}

/// Finds old files by their names.
pub(super) struct Chooser<'o> {
    old: &'o OldTree,
    by_name: HashMap<&'o [u8], Vec<&'o OldContent>>,
    by_stem: HashMap<&'o [u8], Vec<&'o OldContent>>,
}

impl<'o> Chooser<'o> {
    pub(super) fn new(old: &'o OldTree) -> Self {
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        let mut by_stem: HashMap<_, Vec<_>> = HashMap::new();
        for file in old.files.iter().filter(|file| !is_compressed(&file.path)) {
            by_name.entry(name(&file.path)).or_default().push(file);
            by_stem.entry(stem(&file.path)).or_default().push(file);
        }
        Self { old, by_name, by_stem }
    }

    /// What of a new stream is made of old files, in the order of the stream.
    pub(super) fn pieces(&self, new: &Scanned) -> Vec<Piece<'o>> {
        let mut names: HashMap<&[u8], Vec<&[u8]>> = HashMap::new();
        for entry in &new.entries {
            if let What::Link(target) = &entry.what {
                names.entry(target).or_default().push(&entry.path);
            }
        }
        let files = new.entries.iter().filter_map(|entry| match &entry.what {
            What::File { content, .. } if content.bytes > 0 => Some((&entry.path[..], content)),
            _ => None,
        });
        files
            .filter_map(|(path, content)| {
                let names = [path].into_iter().chain(names.get(path).into_iter().flatten().copied());
                self.piece(content, names.filter(|path| is_name(path)))
            })
            .collect()
    }

    fn piece<'n>(
        &self,
        content: &Extent,
        names: impl Iterator<Item = &'n [u8]> + Clone,
    ) -> Option<Piece<'o>> {
        let same = self.old.with_content(content).map(|old| (old, How::Copy));
        let (old, how) = same.or_else(|| Some((self.alike(content, names)?, How::Patch)))?;
        // Naming the file takes more than its content.
        let worth = content.bytes > old.path.len() as u64 + 4;
        worth.then_some(Piece { content: *content, old, how })
    }

    fn alike<'n>(
        &self,
        content: &Extent,
        names: impl Iterator<Item = &'n [u8]> + Clone,
    ) -> Option<&'o OldContent> {
        let fits = |old: &&OldContent| are_alike(old.content.bytes, content.bytes);
        let names = names.filter(|path| !is_compressed(path));
        let same_path = names.clone().find_map(|path| self.old.at(path).filter(fits));
        let nearest = |list: Option<&Vec<&'o OldContent>>| {
            let alike = list?.iter().copied().filter(fits);
            alike.min_by_key(|old| old.content.bytes.abs_diff(content.bytes))
        };
        same_path
            .or_else(|| names.clone().find_map(|path| nearest(self.by_name.get(name(path)))))
            .or_else(|| names.clone().find_map(|path| nearest(self.by_stem.get(stem(path)))))
    }
}

fn are_alike(a: u64, b: u64) -> bool {
    let (small, large) = (a.min(b), a.max(b));
    large < SMALL_BYTES || large / small.max(1) < MAX_FACTOR
}

fn is_compressed(path: &[u8]) -> bool {
    COMPRESSED.iter().any(|ending| path.ends_with(ending))
}

fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or(path)
}

/// A name up to its first dot, or all of it if it begins with one.
fn stem(path: &[u8]) -> &[u8] {
    let name = name(path);
    match name.iter().position(|b| *b == b'.') {
        Some(dot) if dot > 0 => &name[..dot],
        _ => name,
    }
}
