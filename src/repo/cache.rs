//! Hints that may be gone, old or wrong at any time.
//!
//! ```text
//! tmp/cache/NAME     replaced as a whole
//! ```
//! libostree keeps caches of its own beside them, and never cleans up here.
//!
//! What goes wrong with them is no error: whoever misses a hint works without. Source: libostree
//! ostree-repo-commit.c:1820-1884.

use super::{Repo, sys};
use crate::store::MAX_CACHED_BYTES;

fn path(name: &str) -> String {
    format!("tmp/cache/{name}")
}

impl Repo {
    /// The file `name` of the cache.
    pub(super) fn read_cached(&self, name: &str) -> Option<Vec<u8>> {
        sys::read_file(&self.root, &path(name), MAX_CACHED_BYTES).ok().flatten()
    }

    /// Replaces it.
    pub(super) fn write_cached(&self, name: &str, bytes: &[u8]) {
        let _ = self.replace_file(&path(name), bytes);
    }
}
