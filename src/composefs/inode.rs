//! Inodes: what an image says of a file, apart from its names.

use ostree_format::S_IFMT;

use super::layout::BLOCK;
use super::xattrs::XattrId;

pub(super) const S_IFCHR: u32 = 0o020_000;

/// One inode.
#[derive(Debug)]
pub(super) struct Inode {
    /// `st_mode`.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Sorted by name.
    pub(super) xattrs: Box<[XattrId]>,
    pub(super) data: Data,
}

/// What an inode is.
#[derive(Debug)]
pub(super) enum Data {
    Dir,
    /// A file, whose content of this length lies in an object.
    File(u64),
    /// A symbolic link with this target.
    Symlink(Box<str>),
    /// The device that hides what has its name in the layer below.
    Whiteout,
}

/// Content that is nowhere in the image: EROFS sees a file of holes, in few large chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holes {
    /// The size of a chunk, as the kernel wants it: the power of two above that of a block.
    pub(super) chunk_bits: u16,
    pub(super) chunks: u64,
}

impl Holes {
    /// Chunks that libcomposefs writes at most.
    pub(super) const MAX_CHUNKS: u64 = 1024;
    const MAX_CHUNK_BITS: u32 = 31;

    /// As few chunks as possible for a file that is not empty.
    pub(super) fn of(bytes: u64) -> Self {
        let bits = u64::BITS - bytes.saturating_sub(1).leading_zeros();
        let block_bits = BLOCK.trailing_zeros();
        let bits = bits.clamp(block_bits, Self::MAX_CHUNK_BITS + block_bits);
        Self {
            chunk_bits: u16::try_from(bits - block_bits).unwrap_or_default(),
            chunks: bytes.div_ceil(1 << bits),
        }
    }
}

impl Inode {
    /// The kind of entry that a directory notes.
    pub(super) fn file_type(&self) -> u8 {
        match self.mode & S_IFMT {
            ostree_format::S_IFDIR => 2,
            S_IFCHR => 3,
            ostree_format::S_IFLNK => 7,
            _ => 1,
        }
    }
}
