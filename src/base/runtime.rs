//! Asynchronous runtimes where threads may be hard to come by.

use std::io;
use std::num::NonZeroUsize;
use std::sync::mpsc::channel;
use std::thread::scope;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::par::{join, spawn};

/// A runtime for one thread, with up to `threads` more of this name for what blocks. tokio panics if it has none of these
/// and gets none, so one is started here, and those that are there stay.
///
/// # Errors
/// As [`spawn`]; no descriptors are left.
pub(crate) fn runtime(name: &str, threads: NonZeroUsize) -> io::Result<Runtime> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(threads.get())
        .thread_keep_alive(Duration::MAX)
        .thread_name(name)
        .build()?;
    // Where two threads can be had at a time there is room for one.
    let (end, ended) = channel::<()>();
    scope(|scope| {
        // An error says that there was room for the other one.
        let first = spawn(scope, move || ended.recv().is_err())?;
        let second = spawn(scope, || drop(end))?;
        join(second);
        join(first);
        Ok::<_, io::Error>(())
    })?;
    drop(runtime.spawn_blocking(|| ()));
    Ok(runtime)
}
