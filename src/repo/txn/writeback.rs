//! Lets what is staged reach the disk while more is being written, so that little is left to wait for at the
//! end.
//!
//! ```text
//! objects   ▓▓▓▓ 64 MiB ▓▓▓▓ 64 MiB ▓▓▓▓ …        ► end: wait, syncfs
//! syncfs              ░░░░        ░░░░             own thread, one at a time
//! ```
//! Who ends the transaction in another way waits for a syncfs that was begun, too: nothing can stop it, and
//! whoever unmounts the file system next shall not find it in use.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::super::sys;
use crate::store::{Error, Result};

/// The bytes of content that are written, at least, before the disk is set to work.
const EVERY_BYTES: u64 = 64 * 1024 * 1024;

/// What was not yet sent to the disk.
#[derive(Debug)]
pub(super) struct Writeback {
    /// Opened for this alone: a lost write is told once to each who opened the file system, and the syncfs at
    /// the end shall be told, too.
    root: Arc<OwnedFd>,
    waiting_bytes: AtomicU64,
    begun: Mutex<Begun>,
}

/// The syncfs that runs, and what one before it said.
#[derive(Debug, Default)]
struct Begun {
    running: Option<JoinHandle<io::Result<()>>>,
    failed: Option<io::Error>,
}

impl Writeback {
    /// Prepares to sync the file system that `root` lies on.
    pub(super) fn new(root: impl AsFd) -> Result<Self> {
        let root = sys::open_dir(&root, ".").map_err(|e| Error::at(&root, "open", ".", e))?;
        Ok(Self { root: Arc::new(root), waiting_bytes: AtomicU64::new(0), begun: Mutex::default() })
    }

    /// Told of the content of an object that is in place.
    pub(super) fn wrote(&self, bytes: u64) {
        if self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes < EVERY_BYTES {
            return;
        }
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.running.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        begun.join();
        self.waiting_bytes.store(0, Ordering::Relaxed);
        let root = Arc::clone(&self.root);
        // Without a thread, the end takes longer.
        begun.running = Builder::new().spawn(move || sys::sync_filesystem(&*root)).ok();
    }

    /// Waits for what was begun.
    ///
    /// # Errors
    /// What any syncfs said: some errors are told only to the first who asks.
    pub(super) fn wait(&self) -> io::Result<()> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.join();
        begun.failed.take().map_or(Ok(()), Err)
    }
}

impl Begun {
    fn join(&mut self) {
        if let Some(Ok(Err(error))) = self.running.take().map(JoinHandle::join) {
            self.failed.get_or_insert(error);
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.join();
    }
}
