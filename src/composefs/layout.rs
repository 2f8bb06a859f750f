//! Where everything lies in an image.
//!
//! ```text
//! 0     composefs' header      1024  superblock      1152  inodes, each with xattrs and the tail of its data
//!                                                    then  shared xattrs
//!                                     from a new block on  directories that do not fit behind their inodes
//! ```

use super::inode::{Data, Holes};
use super::tree::{Node, Tree};
use crate::store::{Error, Result};

/// Bytes of a block.
pub(super) const BLOCK: u64 = 4096;
/// Inodes begin at multiples of this.
pub(super) const SLOT: u64 = 32;
pub(super) const SUPERBLOCK_AT: u64 = 1024;
pub(super) const SUPERBLOCK_BYTES: u64 = 128;
pub(super) const COMPACT_BYTES: u64 = 32;
pub(super) const EXTENDED_BYTES: u64 = 64;
/// Bytes of a directory entry without its name.
pub(super) const DIRENT_BYTES: usize = 12;
/// A block pointer of a file's chunk.
pub(super) const CHUNK_POINTER_BYTES: u64 = 4;

/// Where the inodes of an image lie.
#[derive(Debug)]
pub(super) struct Layout {
    /// As the nodes of the tree.
    pub(super) places: Vec<Place>,
    /// The end of the last inode, where the shared xattrs begin.
    pub(super) inodes_end: u64,
    /// The first block of data.
    pub(super) data_start: u64,
    /// Blocks of data.
    pub(super) data_blocks: u64,
}

/// Where an inode lies, and where its data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The number of its slot.
    pub(super) nid: u64,
    /// Zeros in front of it.
    pub(super) padding: u64,
    pub(super) xattr_bytes: u64,
    pub(super) size: Size,
    pub(super) compact: bool,
}

/// How data are divided: whole blocks elsewhere, and a tail behind the inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) blocks: u64,
    pub(super) tail: u64,
}

impl Size {
    pub(super) fn bytes(self) -> u64 {
        self.blocks * BLOCK + self.tail
    }

    /// Everything in blocks.
    fn without_tail(self) -> Self {
        Self { blocks: self.blocks + 1, tail: 0 }
    }
}

impl Layout {
    /// Places all inodes.
    pub(super) fn of(tree: &Tree) -> Result<Self> {
        let mut at = SUPERBLOCK_AT + SUPERBLOCK_BYTES;
        let mut data_blocks = 0;
        let mut places = Vec::with_capacity(tree.nodes.len());
        for (number, node) in tree.nodes.iter().enumerate() {
            let (size, compact) = (size_of(tree, number), is_compact(tree, number));
            let xattr_bytes = tree.xattrs.measure(&tree.inode(node).xattrs).bytes;
            let head = xattr_bytes + if compact { COMPACT_BYTES } else { EXTENDED_BYTES };
            let start = at.next_multiple_of(SLOT);
            let is_link = matches!(tree.inode(node).data, Data::Symlink(_));
            let (extra, size) = if is_link { fit_link(start, head, size) } else { fit(start, head, size) };
            let nid = (start + extra) / SLOT;
            places.push(Place { nid, padding: start + extra - at, xattr_bytes, size, compact });
            at = start + extra + head + size.tail;
            data_blocks += size.blocks;
        }
        let inodes_end = at.next_multiple_of(SLOT);
        let data_start = (inodes_end + tree.xattrs.shared_bytes).next_multiple_of(BLOCK);
        match u32::try_from(data_start / BLOCK + data_blocks) {
            Ok(_) => Ok(Self { places, inodes_end, data_start, data_blocks }),
            Err(_) => Err(Error::Unsupported("the tree is too large for an image".into())),
        }
    }
}

/// The data of an inode, as they would be divided without regard to where it lies.
fn size_of(tree: &Tree, at: usize) -> Size {
    match &tree.inode(&tree.nodes[at]).data {
        Data::Dir => dir_size(&tree.entries(at)),
        Data::Symlink(target) => Size { blocks: 0, tail: target.len() as u64 },
        Data::File(0) | Data::Whiteout => Size { blocks: 0, tail: 0 },
        Data::File(bytes) => Size { blocks: 0, tail: Holes::of(*bytes).chunks * CHUNK_POINTER_BYTES },
    }
}

/// Half a block at most is kept behind the inode of a directory.
fn dir_size(entries: &[(&str, usize)]) -> Size {
    let blocks = split_entries(entries);
    let whole = blocks.len().saturating_sub(1) as u64;
    let tail: usize = blocks.last().into_iter().flat_map(|last| last.iter()).map(entry_bytes).sum();
    match tail as u64 {
        large if large > BLOCK / 2 => Size { blocks: whole + 1, tail: 0 },
        small => Size { blocks: whole, tail: small },
    }
}

/// The entries of a directory, as they are divided into blocks.
pub(super) fn split_entries<'a, 'b>(entries: &'b [(&'a str, usize)]) -> Vec<&'b [(&'a str, usize)]> {
    let (mut blocks, mut first, mut bytes) = (Vec::new(), 0, 0);
    for (at, entry) in entries.iter().enumerate() {
        if (bytes + entry_bytes(entry)) as u64 > BLOCK {
            blocks.push(&entries[first..at]);
            (first, bytes) = (at, 0);
        }
        bytes += entry_bytes(entry);
    }
    blocks.push(&entries[first..]);
    blocks
}

fn entry_bytes((name, _): &(&str, usize)) -> usize {
    DIRENT_BYTES + name.len()
}

/// Whether the short form of an inode can say everything; all have the same time.
fn is_compact(tree: &Tree, at: usize) -> bool {
    let node: &Node = &tree.nodes[at];
    let inode = tree.inode(node);
    let bytes = match &inode.data {
        Data::Dir => size_of(tree, at).bytes(),
        Data::File(bytes) => *bytes,
        Data::Symlink(target) => target.len() as u64,
        Data::Whiteout => 0,
    };
    let short = |number: u32| u16::try_from(number).is_ok();
    short(tree.links(node)) && short(inode.uid) && short(inode.gid) && u32::try_from(bytes).is_ok()
}

/// Zeros that keep a tail within one block, and the data as they are divided then.
fn fit(start: u64, head: u64, size: Size) -> (u64, Size) {
    let left = |skipped: u64| BLOCK - (start + head + skipped) % BLOCK;
    if left(0) >= size.tail {
        return (0, size);
    }
    let extra = left(0).next_multiple_of(SLOT);
    match left(extra) >= size.tail {
        true => (extra, size),
        false => (start.next_multiple_of(BLOCK) - start, size.without_tail()),
    }
}

/// Zeros in front of a symbolic link, whose inode has to lie in one block with the target.
fn fit_link(start: u64, head: u64, size: Size) -> (u64, Size) {
    let all = head + size.tail;
    let extra = match start / BLOCK == (start + all - 1) / BLOCK {
        true => 0,
        false => start.next_multiple_of(BLOCK) - start,
    };
    (extra, if all >= BLOCK { size.without_tail() } else { size })
}
