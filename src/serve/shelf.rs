//! What is made on the way, kept for a while: large objects that are packed, layers.
//!
//! ```text
//! maker ─► file without a name ─┬─► a client, which may be far behind
//!              grows            └─► another, which asked for the same
//! ```
//! The maker never waits for a client. What nobody reads makes room for others, oldest first.

use std::collections::HashMap;
use std::fs::File;
use std::hash::Hash;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::Dir;
use ostree_format::FileId;
use tokio::sync::watch;

use super::limits::ServeLimits;
use super::scratch::unnamed;
use crate::container::image::Digest;

/// What can be made on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A content object as archives keep it.
    Packed(FileId),
    /// The content of a file, out of an archive.
    Content(FileId),
    /// A layer of an image.
    Layer(Digest),
    /// Something whose name is known when it is whole.
    New(u64),
}

/// A file that is whole, or grows.
#[derive(Debug)]
pub(super) struct Made {
    file: Arc<File>,
    state: watch::Receiver<State>,
    /// The length that it will have, if that is known before.
    promised: Option<u64>,
}

/// How much of a file is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Some bytes, and more to come.
    Growing(u64),
    /// All of it.
    Whole(u64),
    /// Nothing more: the maker gave up.
    Failed,
}

impl Made {
    /// A file that is there as it will be sent.
    pub(super) fn whole(file: File, len: u64) -> Self {
        Self { file: Arc::new(file), state: watch::channel(State::Whole(len)).1, promised: None }
    }

    /// Bytes of it; `None` as long as nobody knows.
    pub(super) fn len(&self) -> Option<u64> {
        match *self.state.borrow() {
            State::Whole(len) => Some(len),
            State::Growing(_) | State::Failed => self.promised,
        }
    }

    /// Waits until the byte at `at` is there; gives how many are there, which are no more than `at` at the end of the
    /// file.
    pub(super) async fn reach(&self, at: u64) -> io::Result<u64> {
        let there = |state: &State| match state {
            State::Growing(len) => *len > at,
            State::Whole(_) | State::Failed => true,
        };
        let mut states = self.state.clone();
        // The maker may be gone, but then the last state is one of those that are waited for.
        let state = states.wait_for(there).await.map_or(State::Failed, |state| *state);
        match state {
            State::Growing(len) | State::Whole(len) => Ok(len),
            State::Failed => Err(io::Error::other("it could not be made")),
        }
    }

    /// Reads at an offset.
    pub(super) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.file.read_at(buffer, at)
    }

    fn bytes(&self) -> u64 {
        match *self.state.borrow() {
            State::Growing(len) | State::Whole(len) => len.max(self.promised.unwrap_or(0)),
            State::Failed => 0,
        }
    }

    fn is_growing(&self) -> bool {
        matches!(*self.state.borrow(), State::Growing(_))
    }
}

/// The files, and who used them last.
#[derive(Debug)]
pub(super) struct Shelf {
    scratch: Dir,
    max_bytes: u64,
    max_files: usize,
    items: Mutex<Items>,
}

#[derive(Debug, Default)]
struct Items {
    made: HashMap<Key, Item>,
    /// Counts every use.
    uses: u64,
}

#[derive(Debug)]
struct Item {
    made: Arc<Made>,
    used: u64,
}

/// What a shelf says when it is asked.
pub(super) enum Found {
    /// What was looked for is there, or being made.
    There(Arc<Made>),
    /// The caller has to make it, and gives what is written so far to everybody who asks meanwhile.
    Make(Arc<Made>, Maker),
}

impl Shelf {
    pub(super) fn new(scratch: Dir, limits: &ServeLimits) -> Self {
        let (max_bytes, max_files) = (limits.shelf_bytes, limits.shelf_files);
        Self { scratch, max_bytes, max_files, items: Mutex::default() }
    }

    /// Looks for `key`, which will have `promised` bytes if that is known; `None` if there is no room, because others
    /// read everything that is there.
    pub(super) fn find(self: &Arc<Self>, key: Key, promised: Option<u64>) -> io::Result<Option<Found>> {
        let mut items = self.lock();
        if let Some(made) = items.find(&key) {
            return Ok(Some(Found::There(made)));
        }
        Ok(self.add(&mut items, key, promised)?.map(|(made, maker)| Found::Make(made, maker)))
    }

    /// Begins something that gets its name when it is whole; `None` if there is no room.
    pub(super) fn begin(self: &Arc<Self>) -> io::Result<Option<Maker>> {
        let mut items = self.lock();
        items.uses += 1;
        let key = Key::New(items.uses);
        Ok(self.add(&mut items, key, None)?.map(|(_, maker)| maker))
    }

    fn add(
        self: &Arc<Self>,
        items: &mut Items,
        key: Key,
        promised: Option<u64>,
    ) -> io::Result<Option<(Arc<Made>, Maker)>> {
        if !items.make_room(self.max_bytes, self.max_files) {
            return Ok(None);
        }
        let file = Arc::new(unnamed(&self.scratch)?);
        let (sender, state) = watch::channel(State::Growing(0));
        let maker = Maker {
            file: Arc::clone(&file),
            len: 0,
            state: sender,
            shelf: Arc::clone(self),
            key,
            is_whole: false,
        };
        let made = Arc::new(Made { file, state, promised });
        items.put(key, Arc::clone(&made));
        Ok(Some((made, maker)))
    }

    fn lock(&self) -> MutexGuard<'_, Items> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Items {
    fn find(&mut self, key: &Key) -> Option<Arc<Made>> {
        self.uses += 1;
        let item = self.made.get_mut(key)?;
        item.used = self.uses;
        Some(Arc::clone(&item.made))
    }

    fn put(&mut self, key: Key, made: Arc<Made>) {
        self.uses += 1;
        self.made.insert(key, Item { made, used: self.uses });
    }

    /// Throws out what nobody reads until there is room; says whether there is.
    fn make_room(&mut self, max_bytes: u64, max_files: usize) -> bool {
        loop {
            let bytes: u64 = self.made.values().map(|item| item.made.bytes()).sum();
            if bytes < max_bytes && self.made.len() < max_files {
                return true;
            }
            let unread = self
                .made
                .iter()
                .filter(|(_, item)| Arc::strong_count(&item.made) == 1 && !item.made.is_growing());
            let Some(oldest) = unread.min_by_key(|(_, item)| item.used).map(|(key, _)| *key) else {
                return false;
            };
            self.made.remove(&oldest);
        }
    }
}

/// Writes a file that others read meanwhile. Dropped before its end, the file is not what it should be, and whoever
/// reads it is told.
#[derive(Debug)]
pub(super) struct Maker {
    file: Arc<File>,
    len: u64,
    state: watch::Sender<State>,
    shelf: Arc<Shelf>,
    key: Key,
    is_whole: bool,
}

impl Maker {
    /// All of it was written.
    pub(super) fn finish(mut self) {
        self.is_whole = true;
        self.state.send_replace(State::Whole(self.len));
    }

    /// All of it was written, and this is what it is called.
    pub(super) fn finish_as(self, key: Key) {
        let shelf = Arc::clone(&self.shelf);
        let mut items = shelf.lock();
        if let Some(item) = items.made.remove(&self.key) {
            // Whoever reads the one that has the name goes on with that.
            items.made.entry(key).or_insert(item);
        }
        drop(items);
        self.finish();
    }

    /// Whether it takes so much that others would have no room.
    pub(super) fn is_too_large(&self) -> bool {
        self.len > self.shelf.max_bytes / 2
    }
}

impl Write for Maker {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = (&*self.file).write(buffer)?;
        self.len += n as u64;
        self.state.send_replace(State::Growing(self.len));
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        if !self.is_whole {
            self.shelf.lock().made.remove(&self.key);
            self.state.send_replace(State::Failed);
        }
    }
}
