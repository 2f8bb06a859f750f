//! Lets what is staged reach the disk while more is being written, so that little is left to wait for at the
//! end.
//!
//! ```text
//! objects   ▓▓▓▓ 64 MiB ▓▓▓▓ 64 MiB ▓▓▓▓ …        ► end: syncfs, whose result counts
//! syncfs              ░░░░        ░░░░             own thread, one at a time
//! ```

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::super::sys;

/// So many bytes are written before the disk is set to work, at least.
const EVERY_BYTES: u64 = 64 * 1024 * 1024;

/// What was not yet sent to the disk.
#[derive(Debug)]
pub(super) struct Writeback {
    /// Opened for this alone: whoever opened the file system is told of its errors once, and the one to be
    /// told is who waits for the end.
    root: Arc<OwnedFd>,
    waiting_bytes: AtomicU64,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Writeback {
    /// For the file system of `root`.
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root: Arc::new(root), waiting_bytes: AtomicU64::new(0), running: Mutex::default() }
    }

    /// Told of bytes in an object that is in place.
    pub(super) fn wrote(&self, bytes: u64) {
        if self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes < EVERY_BYTES {
            return;
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        self.waiting_bytes.store(0, Ordering::Relaxed);
        let root = Arc::clone(&self.root);
        // Without a thread, the end takes longer.
        *running = Builder::new().spawn(move || drop(sys::sync_filesystem(&*root))).ok();
    }
}

impl Drop for Writeback {
    fn drop(&mut self) {
        // Whoever unmounts the file system next shall not find it in use.
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        running.take().map(JoinHandle::join);
    }
}
