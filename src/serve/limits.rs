//! How much of everything clients are given.

use std::num::NonZeroUsize;
use std::time::Duration;

/// How much of everything clients are given at most. The defaults serve a thousand clients at once in some 100 MB.
#[derive(Debug, Clone, Copy)]
pub struct ServeLimits {
    /// Connections at a time. Whoever comes then waits to be let in, and clients that take less than
    /// [`ServeLimits::pace_bytes`] in two seconds are sent away meanwhile.
    pub connections: usize,
    /// The time for a request to arrive, and for the next one on the same connection to begin.
    pub request_time: Duration,
    /// The time in which a client has to take at least [`ServeLimits::pace_bytes`] of what is sent to it.
    pub pace_time: Duration,
    /// The bytes that a client has to take in every [`ServeLimits::pace_time`] while something is sent to it.
    pub pace_bytes: u64,
    /// The time for what is under way when the server is told to end.
    pub farewell_time: Duration,
    /// Bytes of files without a name for what was compressed on the way: objects and layers. What was not asked for
    /// for the longest time makes room.
    pub shelf_bytes: u64,
    /// The number of these files.
    pub shelf_files: usize,
    /// The time for which a client waits for room among these files; then it is told to come again.
    pub shelf_time: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 2048,
            request_time: Duration::from_secs(30),
            pace_time: Duration::from_secs(30),
            pace_bytes: 16 * 1024,
            farewell_time: Duration::from_secs(2),
            shelf_bytes: 1 << 30,
            shelf_files: 1024,
            shelf_time: Duration::from_secs(60),
        }
    }
}

/// Headers in a request.
pub(super) const MAX_HEADERS: usize = 64;
/// Bytes of a request up to its end, and of an answer that wait to be sent. hyper takes no fewer than 8 KiB.
pub(super) const BUFFER_BYTES: usize = 32 * 1024;
/// Bytes of a path.
pub(super) const MAX_PATH_BYTES: usize = 4096;

impl ServeLimits {
    /// Threads for what the disk and the processor do, on a machine with so many jobs at a time. Those that compress
    /// are as many as jobs; the others have small things to do.
    pub(super) fn threads(&self, jobs: NonZeroUsize) -> NonZeroUsize {
        jobs.saturating_mul(NonZeroUsize::MIN.saturating_add(1)).saturating_add(4)
    }
}
