//! Streams that the threads of a pool hash, several side by side each.

use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ostree_format::{Finished, Streams};

use super::Pool;

/// More threads hash one stream after another: these are as fast as memory, and each of their streams may be an open
/// file.
const MAX_SIDE_BY_SIDE: usize = 8;

/// Sets of streams that are being hashed: what a job leaves unfinished goes on with the next one, whichever thread has
/// it, so that lanes stay in use.
///
/// ```text
/// job: with(push, push, …) ─► put back ─► the next job: with(push, …) ─► … ─► finish: what is left, a job for each set
/// ```
#[derive(Debug)]
pub struct SharedStreams<T, R>(Mutex<Sets<T, R>>);

#[derive(Debug)]
struct Sets<T, R> {
    idle: Vec<Streams<T, R>>,
    made: usize,
}

impl<T, R: Read> SharedStreams<T, R> {
    /// No streams yet.
    pub fn new() -> Self {
        Self(Mutex::new(Sets { idle: Vec::new(), made: 0 }))
    }

    /// Lets a job push streams, and take those that have ended.
    ///
    /// # Errors
    /// What `work` gives; what was not finished is then dropped.
    pub fn with<V, E>(&self, work: impl FnOnce(&mut Streams<T, R>) -> Result<V, E>) -> Result<V, E> {
        let mut streams = self.take();
        let value = work(&mut streams)?;
        self.lock().idle.push(streams);
        Ok(value)
    }

    /// Waits for all jobs, and submits some that finish what is left: `done` gets each stream that has ended.
    ///
    /// # Errors
    /// What a job gave.
    pub fn finish<'env, E>(
        &self,
        pool: &Pool<'env, E>,
        done: impl Fn(Finished<T, R>) -> Result<(), E> + Clone + Send + 'env,
    ) -> Result<(), E>
    where
        T: Send + 'env,
        R: Send + 'env,
    {
        pool.wait()?;
        for mut streams in std::mem::take(&mut self.lock().idle) {
            let done = done.clone();
            pool.submit(0, move || std::iter::from_fn(|| streams.finish_one()).try_for_each(done))?;
        }
        Ok(())
    }

    fn take(&self) -> Streams<T, R> {
        let mut sets = self.lock();
        if let Some(streams) = sets.idle.pop() {
            return streams;
        }
        sets.made += 1;
        if sets.made > MAX_SIDE_BY_SIDE { Streams::one_by_one() } else { Streams::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Sets<T, R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, R: Read> Default for SharedStreams<T, R> {
    fn default() -> Self {
        Self::new()
    }
}
