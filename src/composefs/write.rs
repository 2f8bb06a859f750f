//! The bytes of an image, in their order.

use std::io::{self, Write};

use super::inode::{Data, Holes, Inode};
use super::layout::{BLOCK, DIRENT_BYTES, EXTENDED_BYTES, Layout, Place, SLOT, SUPERBLOCK_AT, split_entries};
use super::tree::Tree;
use super::xattrs::HEADER_BYTES;
use crate::base::{VerityDigest, VerityHasher};

const COMPOSEFS_MAGIC: u32 = 0xD078_629A;
const COMPOSEFS_HEADER_VERSION: u32 = 1;
const HAS_ACL: u32 = 1;
const EROFS_MAGIC: u32 = 0xE0F5_E1E2;
/// Inodes have times, and a filter of the names of their xattrs.
const FEATURES: u32 = 0b110;
/// How an inode's data are kept: in blocks; in blocks and behind it; in chunks.
const PLAIN: u16 = 0;
const INLINE: u16 = 2;
const CHUNKS: u16 = 4;
/// A chunk of zeros.
const HOLE: [u8; 4] = [0xFF; 4];

/// Writes an image and computes its digest.
pub(super) fn image(tree: &Tree, layout: &Layout, to: &mut dyn Write) -> io::Result<VerityDigest> {
    let mut out = Out { to, at: 0, verity: VerityHasher::new() };
    out.put(&header(tree))?;
    out.align(SUPERBLOCK_AT)?;
    out.put(&superblock(tree, layout))?;
    let mut next_block = layout.data_start / BLOCK;
    let mut bytes = Vec::new();
    for (at, place) in layout.places.iter().enumerate() {
        out.pad(place.padding)?;
        bytes.clear();
        inode(tree, layout, at, next_block, &mut bytes);
        out.put(&bytes)?;
        next_block += place.size.blocks;
    }
    out.align(SLOT)?;
    for xattr in tree.xattrs.shared() {
        out.put(&xattr)?;
    }
    out.align(BLOCK)?;
    for (at, place) in layout.places.iter().enumerate().filter(|(_, place)| place.size.blocks > 0) {
        blocks(tree, layout, at, place, &mut out)?;
    }
    out.to.flush()?;
    Ok(out.verity.finish())
}

/// Where an image goes, and how much of it is written.
struct Out<'a> {
    to: &'a mut dyn Write,
    at: u64,
    verity: VerityHasher,
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.verity.update(bytes);
        self.at += bytes.len() as u64;
        self.to.write_all(bytes)
    }

    fn pad(&mut self, mut bytes: u64) -> io::Result<()> {
        const ZEROS: [u8; 256] = [0; 256];
        while bytes > 0 {
            let now = bytes.min(ZEROS.len() as u64);
            self.put(&ZEROS[..usize::try_from(now).unwrap_or(0)])?;
            bytes -= now;
        }
        Ok(())
    }

    fn align(&mut self, to: u64) -> io::Result<()> {
        self.pad(self.at.next_multiple_of(to) - self.at)
    }
}

fn set<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

/// The low bytes of a number that was checked to fit.
fn low16(number: u64) -> [u8; 2] {
    let [a, b, ..] = number.to_le_bytes();
    [a, b]
}

fn low32(number: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = number.to_le_bytes();
    [a, b, c, d]
}

/// What tells composefs from other EROFS images. The version of the format is 0: the rest is zeros.
fn header(tree: &Tree) -> [u8; 32] {
    let mut bytes = [0; 32];
    set(&mut bytes, 0, COMPOSEFS_MAGIC.to_le_bytes());
    set(&mut bytes, 4, COMPOSEFS_HEADER_VERSION.to_le_bytes());
    set(&mut bytes, 8, if tree.xattrs.has_acl { HAS_ACL } else { 0 }.to_le_bytes());
    bytes
}

fn superblock(tree: &Tree, layout: &Layout) -> [u8; 128] {
    let mut bytes = [0; 128];
    set(&mut bytes, 0, EROFS_MAGIC.to_le_bytes());
    set(&mut bytes, 8, FEATURES.to_le_bytes());
    bytes[12] = BLOCK.trailing_zeros().to_le_bytes()[0];
    set(&mut bytes, 14, low16(layout.places.first().map_or(0, |root| root.nid)));
    set(&mut bytes, 16, (tree.nodes.len() as u64).to_le_bytes());
    set(&mut bytes, 36, low32(layout.data_start / BLOCK + layout.data_blocks));
    // Inodes are counted from the first block on.
    set(&mut bytes, 40, low32(0));
    set(&mut bytes, 44, low32(layout.inodes_end / BLOCK));
    bytes
}

/// Appends an inode with its xattrs and the tail of its data; `next_block` is where its blocks will lie.
fn inode(tree: &Tree, layout: &Layout, at: usize, next_block: u64, to: &mut Vec<u8>) {
    let (node, place) = (&tree.nodes[at], &layout.places[at]);
    let inode = tree.inode(node);
    let mut bytes = [0; EXTENDED_BYTES as usize];
    let layout_bits = data_layout(inode, place) << 1 | u16::from(!place.compact);
    set(&mut bytes, 0, layout_bits.to_le_bytes());
    if place.xattr_bytes > 0 {
        set(&mut bytes, 2, low16((place.xattr_bytes - HEADER_BYTES) / 4 + 1));
    }
    set(&mut bytes, 4, low16(inode.mode.into()));
    let (links, size) = (tree.links(node), data_bytes(inode, place));
    let number = low32(at as u64);
    if place.size.blocks > 0 {
        set(&mut bytes, 16, low32(next_block));
    }
    if let Data::File(1..) = inode.data {
        set(&mut bytes, 16, Holes::of(size).chunk_bits.to_le_bytes());
    }
    set(&mut bytes, 20, number);
    let head = if place.compact {
        set(&mut bytes, 6, low16(links.into()));
        set(&mut bytes, 8, low32(size));
        set(&mut bytes, 24, low16(inode.uid.into()));
        set(&mut bytes, 26, low16(inode.gid.into()));
        &bytes[..32]
    } else {
        set(&mut bytes, 8, size.to_le_bytes());
        set(&mut bytes, 24, inode.uid.to_le_bytes());
        set(&mut bytes, 28, inode.gid.to_le_bytes());
        set(&mut bytes, 44, links.to_le_bytes());
        &bytes[..]
    };
    to.extend_from_slice(head);
    tree.xattrs.write(&inode.xattrs, layout.inodes_end % BLOCK, to);
    if place.size.tail > 0 {
        tail(tree, layout, at, to);
    }
}

fn data_layout(inode: &Inode, place: &Place) -> u16 {
    match inode.data {
        Data::File(1..) => CHUNKS,
        _ if place.size.tail > 0 => INLINE,
        _ => PLAIN,
    }
}

fn data_bytes(inode: &Inode, place: &Place) -> u64 {
    match &inode.data {
        Data::Dir => place.size.bytes(),
        Data::File(bytes) => *bytes,
        Data::Symlink(target) => target.len() as u64,
        Data::Whiteout => 0,
    }
}

/// Appends what lies behind an inode.
fn tail(tree: &Tree, layout: &Layout, at: usize, to: &mut Vec<u8>) {
    match &tree.inode(&tree.nodes[at]).data {
        Data::Dir => {
            let entries = tree.entries(at);
            if let Some(last) = split_entries(&entries).last() {
                dirents(tree, layout, last, to);
            }
        }
        Data::Symlink(target) => to.extend_from_slice(target.as_bytes()),
        Data::File(bytes) => (0..Holes::of(*bytes).chunks).for_each(|_| to.extend_from_slice(&HOLE)),
        Data::Whiteout => {}
    }
}

/// Writes the blocks of an inode's data.
fn blocks(tree: &Tree, layout: &Layout, at: usize, place: &Place, out: &mut Out<'_>) -> io::Result<()> {
    match &tree.inode(&tree.nodes[at]).data {
        Data::Dir => {
            let entries = tree.entries(at);
            let blocks = usize::try_from(place.size.blocks).unwrap_or(usize::MAX);
            for block in split_entries(&entries).into_iter().take(blocks) {
                let mut bytes = Vec::new();
                dirents(tree, layout, block, &mut bytes);
                out.put(&bytes)?;
                out.align(BLOCK)?;
            }
            Ok(())
        }
        Data::Symlink(target) => {
            out.put(target.as_bytes())?;
            out.align(BLOCK)
        }
        // As many pointers as fit, however many the file has.
        Data::File(_) => (0..BLOCK / HOLE.len() as u64).try_for_each(|_| out.put(&HOLE)),
        Data::Whiteout => Ok(()),
    }
}

/// Appends entries of a directory: their fixed parts, then their names.
fn dirents(tree: &Tree, layout: &Layout, entries: &[(&str, usize)], to: &mut Vec<u8>) {
    let mut name_at = entries.len() * DIRENT_BYTES;
    for (name, node) in entries {
        to.extend_from_slice(&layout.places[*node].nid.to_le_bytes());
        to.extend_from_slice(&low16(name_at as u64));
        to.extend_from_slice(&[tree.inode(&tree.nodes[*node]).file_type(), 0]);
        name_at += name.len();
    }
    for (name, _) in entries {
        to.extend_from_slice(name.as_bytes());
    }
}
