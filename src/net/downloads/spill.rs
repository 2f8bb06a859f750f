//! Files on disk for what is too large for memory.

use std::fs::File;
use std::io;

/// The place for one file that is too large for memory. It may hold a part of the file that an earlier run left.
pub trait Spill: Send + Sync {
    /// Bytes up to which a file is held in memory all the same.
    fn threshold(&self) -> u64;

    /// What is there already.
    fn begun(&self) -> Option<SpillBegun>;

    /// Opens the place to write the byte `at` next, without those behind it; `validator` is what the server calls the
    /// content.
    ///
    /// # Errors
    /// What the system says.
    fn open(&mut self, at: u64, validator: Option<&str>) -> io::Result<File>;

    /// Checks that there is room for `bytes` more; it is called before they are written.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] if there is no room for them; what the system says.
    fn require_room(&self, bytes: u64) -> io::Result<()>;
}

/// The part of a file that is there already.
#[derive(Debug, Clone)]
pub struct SpillBegun {
    /// Bytes from the start of the file.
    pub bytes: u64,
    /// What the server called the content, for `If-Range`.
    pub validator: Option<String>,
}
