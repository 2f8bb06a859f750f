//! fs-verity: the kernel verifies a file's content at every read, and nobody can change it any more; and the digest that
//! the kernel gives of such a file.
//!
//! ```text
//! content ─ blocks of 4096 bytes ─ SHA-256 of each ─┐
//!           blocks of 128 checksums ─ SHA-256 … ────┤   level by level, until one block is left
//! descriptor: length of the content, SHA-256 of that block ──▶ its SHA-256 is the digest
//! ```
//! The last block of each level is filled up with zeros.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use composefs_ioctls::fsverity::{
    EnableVerityError, MeasureVerityError, fs_ioc_enable_verity, fs_ioc_measure_verity,
};
use ostree_format::{Checksum, HexChecksum};

use super::fs::reopen_to_read;

/// Bytes of a block.
const BLOCK: usize = 4096;
/// Bytes of the descriptor that is hashed in the end.
const DESCRIPTOR: usize = 256;
/// The kernel's number of SHA-256.
const SHA256: u8 = 1;

/// The digest that fs-verity gives of a file: SHA-256, blocks of 4096 bytes, no salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerityDigest([u8; 32]);

impl VerityDigest {
    /// The digest with these 32 bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 lowercase hexadecimal digits.
    pub fn hex(&self) -> HexChecksum {
        Checksum::new(self.0).hex()
    }
}

impl fmt::Display for VerityDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex().as_str())
    }
}

/// Computes the [`VerityDigest`] of what is written to it. Its memory is one block for each level, of which a file
/// of any length has at most eight.
#[derive(Debug, Default)]
pub struct VerityHasher {
    /// The unfinished block of each level; the content's is the first. A full block waits until more comes, since
    /// the last one of the topmost level is the root.
    levels: Vec<Vec<u8>>,
    bytes: u64,
}

impl VerityHasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds content.
    pub fn update(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        self.add(0, data);
    }

    /// The digest of everything added.
    pub fn finish(mut self) -> VerityDigest {
        // An empty file has no block; the kernel says that its root is zeros.
        let mut root = [0; 32];
        let mut level = 0;
        while level < self.levels.len() {
            let block = hash_block(&mut self.levels[level]);
            match level + 1 == self.levels.len() {
                true => root = block,
                false => self.add(level + 1, &block),
            }
            level += 1;
        }
        let mut descriptor = [0; DESCRIPTOR];
        let log_block_bytes = BLOCK.trailing_zeros().to_le_bytes()[0];
        descriptor[..3].copy_from_slice(&[1, SHA256, log_block_bytes]);
        descriptor[8..16].copy_from_slice(&self.bytes.to_le_bytes());
        descriptor[16..48].copy_from_slice(&root);
        VerityDigest(*Checksum::of(&descriptor).as_bytes())
    }

    fn add(&mut self, level: usize, mut data: &[u8]) {
        while !data.is_empty() {
            if level == self.levels.len() {
                self.levels.push(Vec::with_capacity(BLOCK));
            }
            if self.levels[level].len() == BLOCK {
                let block = hash_block(&mut self.levels[level]);
                self.levels[level].clear();
                self.add(level + 1, &block);
            }
            let block = &mut self.levels[level];
            let (now, later) = data.split_at(data.len().min(BLOCK - block.len()));
            block.extend_from_slice(now);
            data = later;
        }
    }
}

/// The checksum of a block, filled up with zeros.
fn hash_block(block: &mut Vec<u8>) -> [u8; 32] {
    block.resize(BLOCK, 0);
    *Checksum::of(block).as_bytes()
}

impl Write for VerityHasher {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.update(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Has the kernel verify a file from now on, by SHA-256 of blocks of 4096 bytes; nobody may have it open for writing.
/// `false` if its file system cannot.
///
/// # Errors
/// What the system says.
pub(crate) fn enable_verity(file: impl AsFd) -> io::Result<bool> {
    match fs_ioc_enable_verity(file, SHA256, BLOCK as u32) {
        Ok(()) | Err(EnableVerityError::AlreadyEnabled) => Ok(true),
        Err(EnableVerityError::FilesystemNotSupported) => Ok(false),
        Err(EnableVerityError::Io(error)) => Err(error),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// [`enable_verity`] for a file that was just written, which is open for reading alone afterwards.
///
/// # Errors
/// What the system says, also if `/proc` is not mounted.
pub(crate) fn enable_verity_of_written(file: &mut File) -> io::Result<bool> {
    *file = reopen_to_read(&*file)?.into();
    enable_verity(file)
}

/// The digest of a file that the kernel verifies in the way of [`enable_verity`]; `None` of another one.
///
/// # Errors
/// What the system says.
pub(crate) fn measure_verity(file: impl AsFd) -> io::Result<Option<VerityDigest>> {
    match fs_ioc_measure_verity(file, SHA256) {
        Ok(digest) => Ok(Some(VerityDigest::new(digest))),
        Err(MeasureVerityError::Io(error)) => Err(error),
        Err(_) => Ok(None),
    }
}
