//! What the jobs of a pool give back, in the order in which they are done.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::Pool;

/// A queue of the results of jobs, for the thread that handed the jobs over. That thread chooses how many it lets run
/// ahead, and so bounds the memory of the results.
#[derive(Debug)]
pub struct Answers<T> {
    sender: Sender<Option<T>>,
    receiver: Receiver<Option<T>>,
    awaited: usize,
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        let (sender, receiver) = channel();
        Self { sender, receiver, awaited: 0 }
    }
}

impl<T: Send> Answers<T> {
    /// The number of jobs whose result was not taken yet.
    pub fn awaited(&self) -> usize {
        self.awaited
    }

    /// Hands a job to `pool`, as [`Pool::submit`]; [`Answers::next`] gives its result.
    ///
    /// # Errors
    /// The first error of an earlier job.
    pub fn ask<'env, E>(
        &mut self,
        pool: &Pool<'env, E>,
        bytes: u64,
        job: impl FnOnce() -> Result<T, E> + Send + 'env,
    ) -> Result<(), E>
    where
        T: 'env,
    {
        let mut ticket = Ticket { sender: self.sender.clone(), answer: None };
        self.awaited += 1;
        pool.submit(bytes, move || {
            ticket.answer(job()?);
            Ok(())
        })
    }

    /// Waits for the next result; `None` if none is awaited.
    ///
    /// # Errors
    /// The first error of a job of the pool.
    pub fn next<E>(&mut self, pool: &Pool<'_, E>) -> Result<Option<T>, E> {
        if self.awaited == 0 {
            return Ok(None);
        }
        self.awaited -= 1;
        match self.receiver.recv() {
            Ok(Some(answer)) => Ok(Some(answer)),
            // The job failed, or was dropped because another one did.
            Ok(None) | Err(_) => pool.wait().map(|()| None),
        }
    }
}

/// Sends the result of a job, or that there is none, once the job is gone: dropped jobs answer, too.
struct Ticket<T> {
    sender: Sender<Option<T>>,
    answer: Option<T>,
}

impl<T> Ticket<T> {
    fn answer(&mut self, answer: T) {
        self.answer = Some(answer);
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        // Nobody waits any longer if this fails.
        let _ = self.sender.send(self.answer.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Ctx, with_pool};

    #[test]
    fn every_job_answers() {
        let sum: Result<u64, ()> = with_pool(&Ctx::default(), 100, |pool| {
            let (mut answers, mut sum) = (Answers::default(), 0);
            for n in 1..=100u64 {
                while answers.awaited() >= 8 {
                    sum += answers.next(pool)?.unwrap_or_default();
                }
                answers.ask(pool, 1, move || Ok(n * n))?;
            }
            while let Some(n) = answers.next(pool)? {
                sum += n;
            }
            Ok(sum)
        });
        assert_eq!(sum, Ok(100 * 101 * 201 / 6));
    }

    #[test]
    fn a_failure_ends_the_wait() {
        let result: Result<u64, u64> = with_pool(&Ctx::default(), 1, |pool| {
            let (mut answers, mut last) = (Answers::default(), 0);
            for n in 0..50u64 {
                answers.ask(pool, 1, move || if n == 20 { Err(n) } else { Ok(n) })?;
            }
            while let Some(n) = answers.next(pool)? {
                last = n;
            }
            Ok(last)
        });
        assert_eq!(result, Err(20));
    }
}
