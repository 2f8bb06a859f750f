//! Names and counts of the objects that a transaction writes.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ostree_format::ObjectName;

/// Counts of what a transaction wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransactionStats {
    /// Metadata objects that were to be written.
    pub metadata_total: u64,
    /// Metadata objects that were new, and so were written.
    pub metadata_written: u64,
    /// Content objects that were to be written.
    pub content_total: u64,
    /// Content objects that were new, and so were written.
    pub content_written: u64,
    /// Bytes of content in the content objects that were new.
    pub content_bytes_written: u64,
}

/// [`TransactionStats`] in the making.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) metadata_total: AtomicU64,
    pub(super) metadata_written: AtomicU64,
    pub(super) content_total: AtomicU64,
    pub(super) content_written: AtomicU64,
    pub(super) content_bytes_written: AtomicU64,
}

/// Counts `n` more.
pub(super) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl Counters {
    /// What was counted so far.
    pub(super) fn stats(&self) -> TransactionStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TransactionStats {
            metadata_total: get(&self.metadata_total),
            metadata_written: get(&self.metadata_written),
            content_total: get(&self.content_total),
            content_written: get(&self.content_written),
            content_bytes_written: get(&self.content_bytes_written),
        }
    }
}

/// The objects that this transaction has written or found staged: asking costs no system call. Some 40
/// bytes for each.
#[derive(Debug)]
pub(super) struct Names([Mutex<HashSet<ObjectName>>; 16]);

impl Names {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    fn shard(&self, name: &ObjectName) -> MutexGuard<'_, HashSet<ObjectName>> {
        let shard = usize::from(name.checksum.as_bytes()[0] & 15);
        self.0[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn contains(&self, name: &ObjectName) -> bool {
        self.shard(name).contains(name)
    }

    pub(super) fn insert(&self, name: ObjectName) {
        self.shard(&name).insert(name);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).is_empty())
    }

    /// The first bytes of all checksums: the directories in which the objects lie.
    pub(super) fn dirs(&self) -> BTreeSet<u8> {
        let mut out = BTreeSet::new();
        for shard in &self.0 {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            out.extend(shard.iter().map(|name| name.checksum.as_bytes()[0]));
        }
        out
    }
}
