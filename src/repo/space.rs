//! `core.min-free-space-percent` and `-size`: writing content leaves room on the file system.
//!
//! Counted in blocks from what was free when the transaction began, as libostree does
//! (ostree-repo-commit.c:458-480, 1000-1020).

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use ostree_format::config::MinFreeSpace;

use super::{Repo, sys};
use crate::store::{Error, Result};

impl Repo {
    /// A judge of what is written beside the objects, downloads for instance: given the bytes that come next, it says
    /// [`Error::NoSpace`] where too little would stay free.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn room(&self) -> Result<impl Fn(u64) -> Result<()> + Send + Sync + 'static> {
        let root = self.root.try_clone().map_err(|e| self.failed("open", ".", e))?;
        let limit = self.config.min_free_space;
        Ok(move |bytes| Space::new(&root, limit)?.reserve(bytes))
    }
}

/// The blocks that a transaction may still use.
#[derive(Debug)]
pub(super) struct Space {
    limit: MinFreeSpace,
    block_bytes: u64,
    blocks: AtomicU64,
}

impl Space {
    /// What may be used of the file system of `dir` now.
    pub(super) fn new(dir: impl AsFd, limit: MinFreeSpace) -> Result<Self> {
        let room = sys::room(&dir).map_err(|e| Error::at(&dir, "statvfs", ".", e))?;
        // It lies in memory (ramfs), and does not say how much there is.
        let limit = if room.blocks == 0 { MinFreeSpace::Percent(0) } else { limit };
        let reserved = match limit {
            // In f64, as libostree computes it.
            MinFreeSpace::Percent(percent) => (room.blocks as f64 * (f64::from(percent) / 100.0)) as u64,
            MinFreeSpace::Bytes(bytes) => bytes / room.block_bytes,
        };
        let blocks = AtomicU64::new(room.free.saturating_sub(reserved));
        Ok(Self { limit, block_bytes: room.block_bytes, blocks })
    }

    /// Takes the blocks for a file of so many bytes.
    ///
    /// # Errors
    /// [`Error::NoSpace`] if too little would stay free.
    pub(super) fn reserve(&self, bytes: u64) -> Result<()> {
        let Some(wanted) = self.wanted(bytes) else { return Ok(()) };
        let taken =
            self.blocks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(wanted));
        let wanted = wanted.saturating_mul(self.block_bytes);
        taken.map(drop).map_err(|_| Error::NoSpace { wanted, path: None, why: self.message(wanted) })
    }

    /// Gives back what [`Space::reserve`] took.
    pub(super) fn release(&self, bytes: u64) {
        if let Some(wanted) = self.wanted(bytes) {
            self.blocks.fetch_add(wanted, Ordering::Relaxed);
        }
    }

    fn wanted(&self, bytes: u64) -> Option<u64> {
        match self.limit {
            MinFreeSpace::Percent(0) | MinFreeSpace::Bytes(0) => None,
            _ => Some(bytes / self.block_bytes + 1),
        }
    }

    fn message(&self, bytes: u64) -> String {
        let limit = match self.limit {
            MinFreeSpace::Percent(percent) => format!("min-free-space-percent '{percent}%'"),
            MinFreeSpace::Bytes(bytes) => format!("min-free-space-size {}MB", bytes >> 20),
        };
        format!("{limit} would be exceeded, at least {} requested", format_size(bytes))
    }
}

/// A size for humans, as GLib's `g_format_size` writes it: powers of 1000, one decimal.
fn format_size(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    let mut size = bytes as f64 / 1000.0;
    let mut units = ["kB", "MB", "GB", "TB", "PB", "EB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if size < 1000.0 {
            break;
        }
        size /= 1000.0;
        unit = next;
    }
    format!("{size:.1}\u{a0}{unit}")
}
