//! Files with hints for later transactions, which may be gone, old or wrong at any time.
//!
//! ```text
//! tmp/cache/NAME     replaced as a whole
//! ```
//! libostree keeps caches of its own beside them, and never cleans up here.
//!
//! What goes wrong with them is no error: whoever misses a hint works without. Source: libostree
//! ostree-repo-commit.c:1820-1884.

use std::os::fd::{AsFd, OwnedFd};

use super::{Fsync, Repo, durable, sys};
use crate::store::MAX_CACHED_BYTES;

impl Repo {
    /// The file `name` of the cache.
    pub(super) fn read_cached(&self, name: &str) -> Option<Vec<u8>> {
        sys::read_file_nofollow(self.cache()?, name, MAX_CACHED_BYTES).ok().flatten()
    }

    /// Replaces it. A hint that is lost with the power is none, so nobody waits for the disk.
    pub(super) fn write_cached(&self, name: &str, bytes: &[u8]) {
        if let Some(cache) = self.cache() {
            let _ = durable::replace(self.tmp.as_fd(), cache.as_fd(), name, bytes, Fsync::Never);
        }
    }

    /// The directory, if it is this user's own: others may be allowed to write into `tmp`.
    fn cache(&self) -> Option<OwnedFd> {
        sys::open_own_dir(&self.tmp, "cache").ok().flatten()
    }
}
