//! Many files fetched at once, for callers that block: each file is a task of the client's thread, and what arrives is
//! handed out in the order in which it comes.
//!
//! ```text
//! ask(tag, file) ─► task: address after address, try after try ─┬─ small ─► memory, bounded over all files
//!                                                               └─ large ─► a file, and the rest of it after a break
//! wait() ◄──────── (tag, what came of it) ◄─────────────────────┘
//! ```

mod pace;
mod spill;
mod task;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use reqwest::Url;
use reqwest::header::HeaderMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::error::{Error, Result};
use super::http::Http;
use crate::base::{Ctx, debug_fields};
pub use spill::{Spill, SpillBegun};
use task::Task;

/// The interval at which a wait looks whether it has to end.
const TICK: Duration = Duration::from_millis(50);
/// What all files in memory may hold, in KiB, which is what a permit stands for. Beside them, one at a time may turn out
/// larger than its server said.
const BUDGET_KIB: usize = 8 * 1024;

/// A file that is wanted.
pub struct FileRequest {
    /// The addresses that it may be had from: one is asked when those before it fail.
    pub urls: Vec<Url>,
    /// The headers of the request.
    pub headers: HeaderMap,
    /// The most bytes that it may have.
    pub limit: u64,
    /// The place for a file that is too large for memory; without one, all files go into memory.
    pub spill: Option<Box<dyn Spill>>,
}

debug_fields!(FileRequest { urls, limit });

impl FileRequest {
    /// A file of at most `limit` bytes at `urls`, to be held in memory.
    pub fn new(urls: Vec<Url>, limit: u64) -> Self {
        Self { urls, headers: HeaderMap::new(), limit, spill: None }
    }
}

/// A file that arrived.
#[derive(Debug)]
pub struct FetchedFile {
    /// The content of the file.
    pub body: FetchedBody,
    /// What the server calls this content.
    pub etag: Option<String>,
    /// The time at which the file was changed last, as the server writes it.
    pub last_modified: Option<String>,
}

/// The content of a file that arrived.
#[derive(Debug)]
pub enum FetchedBody {
    /// All of the file, in memory.
    Held(HeldBytes),
    /// All of it was put where [`FileRequest::spill`] said.
    Spilled,
    /// The server says that the caller has it already.
    NotModified,
}

/// Bytes in memory that count against what all files may hold, until they are dropped.
#[derive(Debug)]
pub struct HeldBytes {
    bytes: Vec<u8>,
    room: Room,
}

/// The room in memory that a file takes.
#[derive(Debug, Default)]
struct Room {
    /// The bytes that it is for.
    bytes: u64,
    permits: Vec<OwnedSemaphorePermit>,
}

impl FetchedFile {
    /// Takes the file out of what all files may hold: for those who keep it while others are to come.
    #[must_use]
    pub fn kept(mut self) -> Self {
        if let FetchedBody::Held(held) = &mut self.body {
            held.room = Room::default();
        }
        self
    }
}

impl Deref for HeldBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A file that arrived or did not, with the caller's tag for it.
type Arrival<T> = (T, Result<FetchedFile>);

/// Files under way. Dropped, it gives them up.
pub struct Downloads<T> {
    http: Http,
    ctx: Ctx,
    tasks: JoinSet<()>,
    sender: Sender<Arrival<T>>,
    arrivals: Receiver<Arrival<T>>,
    under_way: usize,
    memory: Memory,
    moved: Arc<AtomicU64>,
}

debug_fields!(Downloads<T> { under_way });

/// The memory for all files.
#[derive(Clone)]
struct Memory {
    budget: Arc<Semaphore>,
    /// For the one that outgrows its room.
    beyond: Arc<Semaphore>,
}

impl Memory {
    fn new() -> Self {
        Self { budget: Arc::new(Semaphore::new(BUDGET_KIB)), beyond: Arc::new(Semaphore::new(1)) }
    }

    /// Waits until so many bytes may be held; a file that is larger than all of the room takes it alone.
    async fn room(&self, bytes: u64) -> Room {
        let kib = usize::try_from(bytes.div_ceil(1024)).unwrap_or(BUDGET_KIB).clamp(1, BUDGET_KIB);
        let permit = Arc::clone(&self.budget).acquire_many_owned(u32::try_from(kib).unwrap_or(1)).await;
        Room { bytes, permits: permit.into_iter().collect() }
    }

    /// Waits until a file may hold more than its room.
    async fn beyond(&self, room: &mut Room) {
        room.bytes = u64::MAX;
        room.permits.extend(Arc::clone(&self.beyond).acquire_owned().await);
    }
}

impl<T: Send + 'static> Downloads<T> {
    /// No files yet.
    pub fn new(http: &Http, ctx: &Ctx) -> Self {
        let (sender, arrivals) = unbounded();
        Self {
            http: http.clone(),
            ctx: ctx.clone(),
            tasks: JoinSet::new(),
            sender,
            arrivals,
            under_way: 0,
            memory: Memory::new(),
            moved: Arc::default(),
        }
    }

    /// Begins to fetch a file. The caller sees to it that not too many are under way.
    pub fn ask(&mut self, tag: T, request: FileRequest) {
        while self.tasks.try_join_next().is_some() {}
        let task = Task::new(&self.http, request, &self.ctx, &self.memory, &self.moved);
        let sender = self.sender.clone();
        let work = async move {
            let fetched = task.run().await;
            // An error says that nobody waits any more.
            let _ = sender.send((tag, fetched));
        };
        self.tasks.spawn_on(work, self.http.driver.handle());
        self.under_way += 1;
    }

    /// The number of files that were asked for and not handed out yet.
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// Bytes of bodies that came so far.
    pub fn moved_bytes(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// The next file that arrived, for which it waits; `None` if none is under way.
    ///
    /// # Errors
    /// [`Error::Cancelled`]. What is wrong with a file comes with its tag.
    pub fn wait(&mut self) -> Result<Option<(T, Result<FetchedFile>)>> {
        while self.under_way > 0 {
            self.ctx.cancel.check()?;
            match self.arrivals.recv_timeout(TICK) {
                Ok(arrival) => {
                    self.under_way -= 1;
                    return Ok(Some(arrival));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(None)
    }

    /// A file that has arrived already, if there is one.
    pub fn arrived(&mut self) -> Option<(T, Result<FetchedFile>)> {
        let arrival = self.arrivals.try_recv().ok()?;
        self.under_way -= 1;
        Some(arrival)
    }

    /// Fetches one file and waits for it; nothing else may be under way.
    ///
    /// # Errors
    /// Whatever is wrong with the file; [`Error::Cancelled`].
    pub fn fetch(&mut self, tag: T, request: FileRequest) -> Result<FetchedFile> {
        self.ask(tag, request);
        match self.wait()? {
            Some((_, fetched)) => fetched,
            None => Err(Error::Config { what: "HTTP client".into(), why: "its thread ended".into() }),
        }
    }
}
