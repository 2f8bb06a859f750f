//! Work that makes more work, done by several threads: last in, first out, so that few directories are open.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::store::{Error, Result};

/// Tasks that wait.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    tasks: Vec<T>,
    running: usize,
    error: Option<Error>,
}

impl<T: Send> Queue<T> {
    pub(super) fn new() -> Self {
        let state = State { tasks: Vec::new(), running: 0, error: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Adds tasks; the last one is done first.
    pub(super) fn push(&self, tasks: impl IntoIterator<Item = T>) {
        let mut state = self.lock();
        let before = state.tasks.len();
        state.tasks.extend(tasks);
        if state.tasks.len() > before {
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Does everything in the queue, and what is pushed meanwhile, on `threads` threads, this one included.
    ///
    /// # Errors
    /// The first error of a task; tasks that have not begun are dropped then.
    pub(super) fn run(&self, threads: usize, work: &(impl Fn(T) -> Result<()> + Sync)) -> Result<()> {
        std::thread::scope(|scope| {
            for _ in 1..threads {
                // Where no more threads are to be had, fewer do the work.
                drop(std::thread::Builder::new().spawn_scoped(scope, || self.help(work)));
            }
            self.help(work);
        });
        self.lock().error.take().map_or(Ok(()), Err)
    }

    fn help(&self, work: &impl Fn(T) -> Result<()>) {
        while let Some(task) = self.next() {
            let result = work(task);
            let mut state = self.lock();
            state.running -= 1;
            if let Err(error) = result {
                state.error.get_or_insert(error);
                state.tasks.clear();
            }
            if state.running == 0 && state.tasks.is_empty() {
                self.changed.notify_all();
            }
        }
    }

    fn next(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if state.error.is_some() {
                return None;
            }
            if let Some(task) = state.tasks.pop() {
                state.running += 1;
                return Some(task);
            }
            if state.running == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
