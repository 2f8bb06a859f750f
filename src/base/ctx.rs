//! The context of every long call: a receiver of progress, a way to stop it, and how much to do at once.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The last argument of every long call.
#[derive(Clone)]
pub struct Ctx {
    /// The receiver of reports on how far the work is.
    pub progress: Arc<dyn Progress>,
    /// Tells the work to stop.
    pub cancel: Cancel,
    /// Threads to use at most for what the processor does.
    pub jobs: NonZeroUsize,
    /// Requests to have under way at most: layers of an image that are fetched or sent at the same time, each of
    /// which takes a few megabytes of memory. This has nothing to do with processors.
    pub requests: NonZeroUsize,
}

/// The number of layers that fill a line and that registries accept at the same time: podman's number for sending.
const REQUESTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);

impl Default for Ctx {
    /// Silent, never cancelled, one thread per processor, three requests.
    fn default() -> Self {
        let jobs = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { progress: Arc::new(Silent), cancel: Cancel::default(), jobs, requests: REQUESTS }
    }
}

impl fmt::Debug for Ctx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ctx").field("cancel", &self.cancel).field("jobs", &self.jobs).finish_non_exhaustive()
    }
}

/// One step of work that was done. More kinds of them may come: who receives them passes over those that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A new phase begins: what it does, and how much there is to do where that is known.
    Phase {
        /// The work of the phase, such as `"Writing objects"`.
        name: &'a str,
        /// Objects to come.
        objects: Option<u64>,
        /// Bytes to come.
        bytes: Option<u64>,
    },
    /// A further part of the phase is done.
    Done {
        /// Objects that were done since the last such event.
        objects: u64,
        /// Bytes that were done since the last such event.
        bytes: u64,
    },
    /// Something worth knowing that is no error.
    Note {
        /// A sentence for people.
        text: &'a str,
    },
    /// Something that is probably not as it was meant to be, though the work goes on.
    Warning {
        /// A sentence for people.
        text: &'a str,
    },
    /// One of several named things that are under way at the same time begins: see [`Item`](super::Item).
    ItemStart {
        /// The number of the item, which no other item has.
        id: u64,
        /// The name of the item, such as a layer's digest.
        name: &'a str,
        /// The size of the item in bytes, if it is known.
        bytes: Option<u64>,
    },
    /// Some more bytes of an item were moved.
    ItemAdvance {
        /// The number of the item.
        id: u64,
        /// Bytes that were moved since the last such event of the item.
        bytes: u64,
    },
    /// An item is over.
    ItemEnd {
        /// The number of the item.
        id: u64,
        /// The name of the item, which may not have been known when it started.
        name: &'a str,
        /// The result of the item.
        outcome: Outcome,
    },
    /// One of several ways was chosen in which an item can be moved.
    Chosen {
        /// The name of the item, which starts next.
        name: &'a str,
        /// The way, in one word.
        way: &'a str,
        /// The reason.
        why: &'a str,
    },
    /// The work waits for a server or another program.
    Waiting {
        /// The host or program that is waited for, such as `quay.io`.
        host: &'a str,
        /// The reason, such as `429 Too Many Requests`.
        why: &'a str,
        /// The time until the next try, if it is known.
        pause: Option<Duration>,
    },
}

/// The result of moving an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The item was moved.
    Done,
    /// The item was at its destination already.
    Reused,
    /// The item did not reach its destination.
    Failed,
}

/// Receives events, from any thread. A closure is a receiver, too.
pub trait Progress: Send + Sync {
    /// Takes note of `event`; must be quick.
    fn event(&self, event: Event<'_>);
}

impl<F: Fn(Event<'_>) + Send + Sync> Progress for F {
    fn event(&self, event: Event<'_>) {
        self(event);
    }
}

/// Ignores every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: Event<'_>) {}
}

/// A switch that stops work; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

/// The work was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

impl Cancel {
    /// A switch that `flag` turns, for signal handlers.
    pub fn from_flag(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }

    /// Tells the work to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Fails if the work was told to stop; called while copying and between objects.
    ///
    /// # Errors
    /// [`Cancelled`] if the work was told to stop.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.0.load(Ordering::Relaxed) { Err(Cancelled) } else { Ok(()) }
    }
}

impl Ctx {
    /// Reports that a phase begins.
    pub fn phase(&self, name: &str, objects: Option<u64>, bytes: Option<u64>) {
        self.progress.event(Event::Phase { name, objects, bytes });
    }

    /// Reports something worth knowing that is no error.
    pub fn note(&self, text: &str) {
        self.progress.event(Event::Note { text });
    }

    /// Reports something that is probably not as it was meant to be.
    pub fn warn(&self, text: &str) {
        self.progress.event(Event::Warning { text });
    }

    /// Reports one finished object of `bytes` bytes.
    pub fn object_done(&self, bytes: u64) {
        self.progress.event(Event::Done { objects: 1, bytes });
    }

    /// Reports bytes of an object that is still under way.
    pub fn bytes_done(&self, bytes: u64) {
        self.progress.event(Event::Done { objects: 0, bytes });
    }
}
