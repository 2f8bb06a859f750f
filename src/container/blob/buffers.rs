//! Buffers that are used again, by whichever thread needs one next.
//!
//! ```text
//! take ► fill ► shared by those who read it ► the last one drops it ─┐
//!   ▲────────────────────────────────────────────────────────────────┘
//! ```
//! The threads of each layer are new ones. What such threads allocate and free the allocator keeps for each of
//! them, so that many layers would take several times the memory of one.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers that are free; clones share them.
#[derive(Clone, Default)]
pub(in crate::container) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Buffers")
    }
}

impl Buffers {
    /// An empty buffer with room for so many bytes, at least.
    pub(in crate::container) fn take(&self, capacity: usize) -> Buffer {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut bytes = free.unwrap_or_default();
        bytes.reserve_exact(capacity);
        Buffer { bytes, home: self.clone() }
    }
}

/// A buffer that goes back when it is dropped.
pub(in crate::container) struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        self.home.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}
