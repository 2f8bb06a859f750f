//! The old root file system, as deltas see it: its layers merged, and the content of every file that may be named.
//!
//! ```text
//! layers, lowest first ─ whiteouts, links ─► path ─► content in one of the streams
//! ```
//! A path counts only if a directory is above it at every place: what a reader finds below a symbolic link is its own
//! affair. The repository in images of ours (`sysroot/ostree`) is no place for readers to look: its objects are known
//! by the names that hard links give them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::unix::fs::FileExt;

use ostree_format::Checksum;

use super::apply::{OldFile, OldFiles};
use super::scan::{Extent, Scanned, ScannedEntry, What};
use crate::container::image::Result;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const AUFS: &[u8] = b".wh..wh.";
/// The place of the repository in images of ours.
const REPO: &[u8] = b"sysroot/ostree/";

/// The files of an old image that new ones can be made of.
#[derive(Debug, Default)]
pub struct OldTree {
    layers: Vec<Scanned>,
    /// Every file that may be named, sorted by its path.
    pub(super) files: Vec<OldContent>,
    by_path: HashMap<Vec<u8>, usize>,
    by_checksum: HashMap<Checksum, usize>,
}

/// A file of the old tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OldContent {
    pub(super) path: Vec<u8>,
    pub(super) content: Extent,
    layer: usize,
}

/// What the merged tree has at a path.
#[derive(Debug, Clone, Copy)]
struct Node {
    kind: Kind,
    /// The layer that put it there.
    layer: usize,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Dir,
    File { content: Extent, from: usize, readable: bool },
    Other,
}

/// Whether deltas may name a file at this path.
pub(super) fn is_name(path: &[u8]) -> bool {
    !path.starts_with(REPO)
}

impl OldTree {
    /// Merges layers, the lowest first.
    pub(super) fn merge(layers: Vec<Scanned>) -> Self {
        let mut tree = Tree::default();
        for (number, layer) in layers.iter().enumerate() {
            layer.entries.iter().for_each(|entry| tree.add(entry, number));
        }
        let mut old = Self { files: tree.files(), layers, ..Self::default() };
        for (number, file) in old.files.iter().enumerate() {
            old.by_path.insert(file.path.clone(), number);
            old.by_checksum.entry(file.content.checksum).or_insert(number);
        }
        old
    }

    /// The file at a path.
    pub(super) fn at(&self, path: &[u8]) -> Option<&OldContent> {
        self.by_path.get(path).map(|number| &self.files[*number])
    }

    /// A file with this content.
    pub(super) fn with_content(&self, content: &Extent) -> Option<&OldContent> {
        let number = self.by_checksum.get(&content.checksum)?;
        Some(&self.files[*number]).filter(|file| file.content.bytes == content.bytes)
    }

    /// The whole content of a file.
    pub(super) fn load(&self, file: &OldContent) -> io::Result<Vec<u8>> {
        self.layers[file.layer].load(&file.content)
    }
}

impl OldFiles for OldTree {
    fn open(&self, path: &[u8]) -> Result<Option<Box<dyn OldFile + '_>>> {
        // In images, usr/etc of a commit is etc; in its checkout it is not.
        let file = self.at(path).or_else(|| self.at(path.strip_prefix(b"usr/")?));
        Ok(file.map(|file| Box::new(Part { old: self, file }) as Box<dyn OldFile>))
    }
}

/// A file of the old tree, opened.
struct Part<'a> {
    old: &'a OldTree,
    file: &'a OldContent,
}

impl OldFile for Part<'_> {
    fn size(&self) -> u64 {
        self.file.content.bytes
    }

    fn read_at(&mut self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let Extent { start, bytes, .. } = self.file.content;
        let left = usize::try_from(bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let want = buf.len().min(left);
        if want == 0 {
            return Ok(0);
        }
        self.old.layers[self.file.layer].file.read_at(&mut buf[..want], start + offset)
    }
}

/// The tree while layers are merged.
#[derive(Default)]
struct Tree(BTreeMap<Vec<u8>, Node>);

impl Tree {
    fn add(&mut self, entry: &ScannedEntry, layer: usize) {
        let path = &entry.path;
        let (dir, name) = match path.iter().rposition(|b| *b == b'/') {
            Some(slash) => (&path[..=slash], &path[slash + 1..]),
            None => (&path[..0], &path[..]),
        };
        if name == OPAQUE {
            return self.remove_below(dir, |node| node.layer < layer);
        }
        if name.starts_with(AUFS) {
            return;
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            let hidden = [dir, hidden].concat();
            if self.0.get(&hidden).is_some_and(|node| node.layer < layer) {
                self.0.remove(&hidden);
            }
            return self.remove_below(&[&hidden, &b"/"[..]].concat(), |node| node.layer < layer);
        }
        let kind = match &entry.what {
            What::Dir => Kind::Dir,
            What::File { content, readable } => {
                Kind::File { content: *content, from: layer, readable: *readable }
            }
            What::Link(target) => self.0.get(target).map_or(Kind::Other, |node| node.kind),
            What::Other => Kind::Other,
        };
        if !matches!(kind, Kind::Dir) {
            self.remove_below(&[path, &b"/"[..]].concat(), |_| true);
        }
        self.0.insert(path.clone(), Node { kind, layer });
    }

    /// Removes what begins with `prefix`, which ends in a slash or is empty.
    fn remove_below(&mut self, prefix: &[u8], gone: impl Fn(&Node) -> bool) {
        let below = self.0.range(prefix.to_vec()..).take_while(|(path, _)| path.starts_with(prefix));
        let gone: Vec<_> = below.filter(|(_, node)| gone(node)).map(|(path, _)| path.clone()).collect();
        for path in gone {
            self.0.remove(&path);
        }
    }

    /// The files that may be named.
    fn files(&self) -> Vec<OldContent> {
        let usable = self.0.iter().filter_map(|(path, node)| match node.kind {
            Kind::File { content, from, readable: true } if content.bytes > 0 && is_name(path) => {
                self.is_below_dirs(path).then(|| OldContent { path: path.clone(), content, layer: from })
            }
            _ => None,
        });
        usable.collect()
    }

    /// Whether nothing above a path is known to be anything but a directory.
    fn is_below_dirs(&self, path: &[u8]) -> bool {
        let slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/');
        let mut above = slashes.map(|(at, _)| &path[..at]);
        above.all(|above| self.0.get(above).is_none_or(|node| matches!(node.kind, Kind::Dir)))
    }
}
