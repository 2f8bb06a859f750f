//! A pool of threads for one call, bounded by the bytes that its jobs hold.
//!
//! ```text
//! body ── submit(weight, job) ──▶ queue ──▶ ctx.jobs threads      waits while too many bytes are under way
//! ```
//! The first error ends the work: jobs that have not begun are dropped, and [`Pool::submit`] returns it.

use std::collections::VecDeque;
use std::io;
use std::panic::resume_unwind;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use super::Ctx;
use super::debug_fields;

/// Jobs may wait in the queue, apart from the bound in bytes.
const MAX_QUEUED: usize = 1024;

/// Takes jobs for the threads of [`with_pool`].
pub struct Pool<'env, E> {
    state: Mutex<State<'env, E>>,
    /// A job was queued, or the work is over.
    work: Condvar,
    /// A job was finished.
    room: Condvar,
    max_bytes: u64,
}

debug_fields!(Pool<'env, E> { max_bytes });

type Job<'env, E> = Box<dyn FnOnce() -> Result<(), E> + Send + 'env>;

struct State<'env, E> {
    queue: VecDeque<(u64, Job<'env, E>)>,
    bytes: u64,
    running: usize,
    error: Option<E>,
    stopped: bool,
    closed: bool,
    has_threads: bool,
}

/// Runs `body` with a pool of `ctx.jobs` threads; returns when every job is done. Jobs together hold at most
/// `max_bytes`, apart from a single larger one, which then runs alone.
///
/// # Errors
/// The first error of a job, or else that of `body`.
pub fn with_pool<'env, T, E: Send + 'env>(
    ctx: &Ctx,
    max_bytes: u64,
    body: impl FnOnce(&Pool<'env, E>) -> Result<T, E>,
) -> Result<T, E> {
    let state = State {
        queue: VecDeque::new(),
        bytes: 0,
        running: 0,
        error: None,
        stopped: false,
        closed: false,
        has_threads: true,
    };
    let pool = Pool { state: Mutex::new(state), work: Condvar::new(), room: Condvar::new(), max_bytes };
    let result = std::thread::scope(|scope| {
        // Where no threads are to be had, who hands the work over does it.
        pool.lock().has_threads = spawn_up_to(scope, ctx.jobs.get(), || pool.run()).is_ok();
        // Closes the queue even if `body` panics: the threads must end before the panic can go on.
        let _close = Close(&pool);
        body(&pool)
    });
    match pool.lock().error.take() {
        Some(error) => Err(error),
        None => result,
    }
}

struct Close<'a, 'env, E>(&'a Pool<'env, E>);

impl<E> Drop for Close<'_, '_, E> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.work.notify_all();
    }
}

impl<'env, E> Pool<'env, E> {
    /// Hands over a job that holds `bytes` until it is done; waits while others hold too many.
    ///
    /// # Errors
    /// The first error of an earlier job: `body` must return it.
    pub fn submit(&self, bytes: u64, job: impl FnOnce() -> Result<(), E> + Send + 'env) -> Result<(), E> {
        let mut state = self.lock();
        while !state.stopped
            && ((state.bytes > 0 && state.bytes + bytes > self.max_bytes) || state.queue.len() >= MAX_QUEUED)
        {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        if state.stopped {
            return Ok(());
        }
        state.bytes += bytes;
        if state.has_threads {
            state.queue.push_back((bytes, Box::new(job)));
            drop(state);
            self.work.notify_one();
        } else {
            state.running += 1;
            drop(state);
            self.perform(bytes, Box::new(job));
        }
        Ok(())
    }

    /// Waits until every job handed over so far is done.
    ///
    /// # Errors
    /// The first error of a job.
    pub fn wait(&self) -> Result<(), E> {
        let mut state = self.lock();
        while !state.stopped && (!state.queue.is_empty() || state.running > 0) {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.error.take().map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, State<'env, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        while let Some((bytes, job)) = self.next() {
            self.perform(bytes, job);
        }
    }

    fn perform(&self, bytes: u64, job: Job<'env, E>) {
        // Even if the job panics: who waits for it has to go on, and the panic then ends the scope.
        let mut done = Done { pool: self, bytes, error: None, whole: false };
        let result = job();
        (done.error, done.whole) = (result.err(), true);
    }

    fn next(&self) -> Option<(u64, Job<'env, E>)> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                state.running += 1;
                return Some(job);
            }
            if state.closed || state.stopped {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The end of a job.
struct Done<'a, 'env, E> {
    pool: &'a Pool<'env, E>,
    bytes: u64,
    error: Option<E>,
    /// Whether the job came to its end.
    whole: bool,
}

impl<E> Drop for Done<'_, '_, E> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.bytes -= self.bytes;
        state.running -= 1;
        if self.error.is_some() || !self.whole {
            if !state.stopped {
                state.error = self.error.take();
            }
            state.stopped = true;
            state.queue.clear();
        }
        drop(state);
        self.pool.room.notify_all();
    }
}

/// Runs `work` on a new thread of `scope`.
///
/// # Errors
/// The system gives no more threads, or the memory for one.
pub fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    Builder::new().spawn_scoped(scope, work).map_err(|error| {
        let why = format!("no thread could be started: {error}; something limits how many there may be");
        io::Error::new(error.kind(), why)
    })
}

/// Runs `work` on so many new threads of `scope`, or on fewer where no more are to be had.
///
/// # Errors
/// As [`spawn`], if there is not even one.
pub fn spawn_up_to<'scope>(
    scope: &'scope Scope<'scope, '_>,
    threads: usize,
    work: impl FnOnce() + Clone + Send + 'scope,
) -> io::Result<()> {
    spawn(scope, work.clone())?;
    (1..threads).map_while(|_| spawn(scope, work.clone()).ok()).for_each(drop);
    Ok(())
}

/// The result of a thread; a panic in it goes on in the calling one.
pub fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn every_job_runs_within_the_bound() {
        let (held, most, sum) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let (held, most, sum) = (&held, &most, &sum);
        let result: Result<(), ()> = with_pool(&Ctx::default(), 100, |pool| {
            for n in 1..=200 {
                pool.submit(n % 60, move || {
                    let now = held.fetch_add(n % 60, Ordering::SeqCst) + n % 60;
                    most.fetch_max(now, Ordering::SeqCst);
                    sum.fetch_add(n, Ordering::SeqCst);
                    held.fetch_sub(n % 60, Ordering::SeqCst);
                    Ok(())
                })?;
            }
            pool.wait()?;
            assert_eq!(sum.load(Ordering::SeqCst), 200 * 201 / 2);
            Ok(())
        });
        assert_eq!(result, Ok(()));
        assert!(most.load(Ordering::SeqCst) <= 100);
    }

    #[test]
    fn the_first_error_ends_the_work() {
        let ran = AtomicU64::new(0);
        let ran = &ran;
        let result: Result<(), u64> = with_pool(&Ctx::default(), 1, |pool| {
            for n in 0.. {
                pool.submit(1, move || {
                    ran.fetch_add(1, Ordering::SeqCst);
                    if n == 10 { Err(n) } else { Ok(()) }
                })?;
            }
            Ok(())
        });
        assert_eq!(result, Err(10));
        assert!(ran.load(Ordering::SeqCst) < 100);
    }

    #[test]
    fn a_panic_ends_the_work() {
        let run = || {
            with_pool(&Ctx::default(), 1, |pool| {
                pool.submit(1, || panic!("a job that panics"))?;
                (0..5000).try_for_each(|_| pool.submit(1, || Ok::<_, ()>(())))?;
                pool.wait()
            })
        };
        assert!(std::panic::catch_unwind(run).is_err());
    }
}
