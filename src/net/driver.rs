//! The thread that moves bytes, however many calls wait for it.

use std::future::Future;
use std::num::NonZeroUsize;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::error::{Error, Result};
use crate::base::runtime;

/// How many names of servers are looked up at a time.
const MAX_LOOKUPS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

/// An asynchronous runtime on a thread of its own, which ends with this value. Nothing of it shows outside: calls
/// wait for what it does.
#[derive(Debug)]
pub(super) struct Driver {
    handle: Handle,
    /// Dropped, it ends the thread.
    _alive: oneshot::Sender<()>,
}

impl Driver {
    pub(super) fn start() -> Result<Self> {
        let bad = |e: std::io::Error| Error::Config { what: "HTTP client".into(), why: e.to_string() };
        let runtime = runtime("net", MAX_LOOKUPS).map_err(bad)?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel();
        let work = move || {
            // An error says that the sender is gone.
            let _ = runtime.block_on(ended);
            // A name that is still being looked up is not waited for.
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("net".into()).spawn(work).map_err(bad)?;
        Ok(Self { handle, _alive: alive })
    }

    /// Where tasks can be begun that the thread drives.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits for `work`, and drives it on this thread.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.handle.block_on(work)
    }
}
