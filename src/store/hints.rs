//! What a store remembers from one transaction to the next, without promising anything.
//!
//! ```text
//! cache      small files by name; written when a transaction is committed, gone at any time
//! journal    lines of a transaction under way; written at once, read by the one that goes on from an interrupted one.
//!            The first may be "begun": then objects that are whole are worth going on from, even if nothing else is
//! partial    files that come from elsewhere, as far as they came
//! ```

use crate::base::PartialFiles;

/// The largest size of a file of a cache, in bytes.
pub const MAX_CACHED_BYTES: u64 = 1 << 20;

/// The first line of a journal of which nothing may be finished yet.
const BEGUN: &str = "begun\n";

/// Hints from one transaction to the next. They may be gone, old or wrong at any time: a reader checks whether they
/// hold.
pub trait Hints: Sync {
    /// The file `name` of the cache; `None` if it cannot be read or has more than [`MAX_CACHED_BYTES`].
    fn cached(&self, name: &'static str) -> Option<Vec<u8>>;

    /// Replaces a file of the cache once the transaction is committed, if that is possible.
    fn set_cached(&self, name: &'static str, bytes: Vec<u8>);

    /// The lines that were added to the journal in this transaction, and in interrupted ones whose objects it took
    /// over: they tell what these objects are.
    fn journal(&self) -> Vec<u8>;

    /// Adds a line to the journal at once, if that is possible. The journal is gone when the transaction is committed
    /// or rolled back.
    fn add_to_journal(&self, line: &str);

    /// Begins the journal, so that even what a killed transaction had written before its first line is taken over;
    /// `false` if this transaction goes on from an interrupted one.
    fn begin_journal(&self) -> bool {
        let is_new = self.journal().is_empty();
        if is_new {
            self.add_to_journal(BEGUN);
        }
        is_new
    }

    /// Files for what comes from elsewhere, with those that an interrupted transaction left; `None` if the store keeps
    /// none.
    fn partial_files(&self) -> Option<PartialFiles> {
        None
    }

    /// Whether the journal tells of anything that is finished.
    fn journal_tells(&self) -> bool {
        journal_tells(&self.journal())
    }
}

/// Whether a journal tells of anything that is finished.
pub(crate) fn journal_tells(journal: &[u8]) -> bool {
    !journal.strip_prefix(BEGUN.as_bytes()).unwrap_or(journal).is_empty()
}
