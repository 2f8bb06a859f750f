//! Content that a stream has from files whose blocks the store can share: it becomes objects without being written.
//!
//! ```text
//! file ── FICLONE ──▶ a copy of the store's own ─┬─ read ──▶ stream ──▶ header, path, xattrs of the entry ─┐
//!                                                └─ kept by its offset in the stream ─────────────────────┴▶ object
//! ```
//! What the stream has is what the copy holds, which nobody else can change, and the object is the copy: its id is that of
//! what was read of it. Where blocks cannot be shared, the stream is read from the file, and written as any other.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::debug_fields;
use crate::store::{ClonedContent, ObjectWrite};

/// Smaller files are copied: on a disk they are of a few blocks, and shared ones need an entry each in its tables.
pub const MIN_CLONED_BYTES: u64 = 16 * 1024;
/// Copies may not be more, which are open files: those of a stream that nobody takes must not pile up.
const MAX_KEPT: usize = 160;

/// The copies of files that a stream is read from, until its reader comes to their entries.
pub struct Clones<'a> {
    store: &'a dyn ObjectWrite,
    by_offset: Mutex<BTreeMap<u64, ClonedContent>>,
    /// Whether a file could not share its blocks: others cannot, either.
    refused: AtomicBool,
}

debug_fields!(Clones<'a> {});

impl<'a> Clones<'a> {
    /// Makes copies in `store`, where their entries become objects.
    pub fn new(store: &'a dyn ObjectWrite) -> Self {
        Self { store, by_offset: Mutex::default(), refused: AtomicBool::new(false) }
    }

    /// The file to read the content from that is at `offset` of the stream and in `file`: a copy, where there can be one.
    pub fn content(&self, file: File, offset: u64) -> File {
        if self.refused.load(Ordering::Relaxed)
            || file.metadata().is_ok_and(|meta| meta.len() < MIN_CLONED_BYTES)
        {
            return file;
        }
        if self.kept().len() >= MAX_KEPT {
            return file;
        }
        let Ok(Some(clone)) = self.store.clone_content(&file) else {
            self.refused.store(true, Ordering::Relaxed);
            return file;
        };
        let Ok(read) = clone.file().try_clone() else { return file };
        self.kept().insert(offset, clone);
        read
    }

    /// The copy of which the content at `offset` of the stream is read. Those before it are given up.
    pub(super) fn take(&self, offset: u64) -> Option<ClonedContent> {
        let mut kept = self.kept();
        *kept = kept.split_off(&offset);
        kept.remove(&offset)
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<u64, ClonedContent>> {
        self.by_offset.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
