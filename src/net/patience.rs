//! Time limits: how long a server is waited for.
//!
//! ```text
//! request   try ─ pause ─ try ─ pause ─ …     all of it within the patience; the first try gets half of it
//! body      so many bytes within so much time, or the try is over
//! ```
//! Only waiting counts: while the caller is busy with what came, the server is not to blame. What moves costs no
//! patience, and what got on renews it. Whoever watches is told of every longer wait.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use reqwest::Url;

use super::driver::Driver;
use super::error::host;
use crate::base::{Cancelled, Ctx, Event};

/// The interval at which a wait looks whether it has to end.
const TICK: Duration = Duration::from_millis(50);
/// Somebody who is silent for so long is told of, and again after twice the time.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// Pauses of this length and more are told of.
pub(super) const LONG_PAUSE: Duration = Duration::from_secs(1);
/// The pause before the second try.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The pause doubles so often, once with each try. Whoever wants a hundred tries gets them all, and soon.
const DOUBLINGS: u32 = 4;

/// The pause after `attempt` other tries, where the server wishes for none.
pub(super) fn pause_after(attempt: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << attempt.min(DOUBLINGS))
}

/// The time that a server may take, and how often it is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The number of times that a request is tried again.
    pub retries: u32,
    /// The time that connecting may take.
    pub connect: Duration,
    /// The time that a request may go without progress, all tries and pauses together.
    pub patience: Duration,
    /// The lowest rate of a body, in bytes a second, over the time [`Limits::slow_for`].
    pub slowest_bytes_per_sec: u64,
    /// The time over which the rate is measured. A body that stays below the lowest rate counts as broken off.
    pub slow_for: Duration,
}

impl Default for Limits {
    /// The lowest rate is that of libostree (`low-speed-limit-bytes`, `low-speed-time-seconds`).
    fn default() -> Self {
        Self {
            retries: 5,
            connect: Duration::from_secs(20),
            patience: Duration::from_secs(120),
            slowest_bytes_per_sec: 1000,
            slow_for: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// These limits with another patience, which no single step outlasts.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        let (connect, slow_for) = (self.connect.min(patience), self.slow_for.min(patience));
        Self { connect, patience, slow_for, ..self }
    }

    /// Bytes that have to move within [`Limits::slow_for`].
    pub(super) fn enough_bytes(&self) -> u64 {
        let bytes = u128::from(self.slowest_bytes_per_sec) * self.slow_for.as_millis() / 1000;
        u64::try_from(bytes).unwrap_or(u64::MAX).max(1)
    }
}

/// The time that a server still has, counted while it is waited for.
#[derive(Debug)]
pub(crate) struct Patience {
    limits: Limits,
    ctx: Ctx,
    /// The host that is waited for.
    host: String,
    left: Duration,
    /// Bytes that moved since it were enough of them, and how long they were waited for.
    bytes: u64,
    waited: Duration,
    /// The time without progress, whatever was tried.
    quiet: Duration,
    /// The length of the silence that is told of next.
    next_word: Duration,
}

impl Patience {
    pub(crate) fn new(limits: Limits, ctx: &Ctx) -> Self {
        Self {
            limits,
            ctx: ctx.clone(),
            host: String::new(),
            left: limits.patience,
            bytes: 0,
            waited: Duration::ZERO,
            quiet: Duration::ZERO,
            next_word: FIRST_WORD,
        }
    }

    /// A short one, for what would be nice to have.
    pub(super) fn brief(&self) -> Self {
        Self {
            host: self.host.clone(),
            ..Self::new(self.limits.with_patience(self.left.min(FIRST_WORD)), &self.ctx)
        }
    }

    /// Something got on: all of the patience is there again.
    pub(crate) fn renew(&mut self) {
        self.left = self.limits.patience;
        self.heard();
    }

    pub(crate) fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left.is_zero()
    }

    pub(super) fn left(&self) -> Duration {
        self.left
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A try at `url` begins, which may be another host than before.
    pub(super) fn begin(&mut self, url: &Url) {
        self.host = host(url);
        (self.bytes, self.waited) = (0, Duration::ZERO);
    }

    /// A sign of life.
    pub(super) fn heard(&mut self) {
        (self.bytes, self.waited) = (0, Duration::ZERO);
        (self.quiet, self.next_word) = (Duration::ZERO, FIRST_WORD);
    }

    /// Bytes moved. While enough of them do, waiting for them costs no patience.
    pub(super) fn moved(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes >= self.limits.enough_bytes() {
            self.left = self.left.saturating_add(self.waited).min(self.limits.patience);
            self.heard();
        }
    }

    /// Whether too few bytes moved for too long.
    pub(super) fn is_slow(&self) -> bool {
        self.is_over() || self.waited >= self.limits.slow_for
    }

    /// What to say of a body that is slow.
    pub(super) fn slowness(&self) -> String {
        let Limits { slowest_bytes_per_sec, .. } = self.limits;
        match self.bytes {
            0 => format!("nothing came for {}", secs(self.quiet)),
            bytes => {
                let limit = format!("at least {slowest_bytes_per_sec} bytes a second are wanted");
                format!("only {bytes} bytes moved within {}, where {limit}", secs(self.waited))
            }
        }
    }

    /// Waits for `work`; gives it up, and gives `None`, when `over`, which is asked again and again, says so.
    pub(super) fn wait<T>(
        &mut self,
        driver: &Driver,
        mut over: impl FnMut(&mut Self) -> bool,
        work: impl Future<Output = T>,
    ) -> Result<Option<T>, Cancelled> {
        driver.block_on(async {
            let (mut work, mut last) = (pin!(work), Instant::now());
            loop {
                self.ctx.cancel.check()?;
                let done = tokio::time::timeout(TICK, work.as_mut()).await.ok();
                let now = Instant::now();
                self.spend(now.duration_since(last));
                last = now;
                if done.is_some() {
                    return Ok(done);
                }
                if over(self) {
                    return Ok(None);
                }
                self.tell_of_silence();
            }
        })
    }

    /// Waits before another try, after `attempt` others, for as long as the server `wishes`; `false` if there is to
    /// be none.
    pub(crate) fn pause(
        &mut self,
        attempt: u32,
        wish: Option<Duration>,
        why: &str,
    ) -> Result<bool, Cancelled> {
        let pause = wish.unwrap_or_else(|| pause_after(attempt));
        if attempt >= self.limits.retries || pause >= self.left {
            return Ok(false);
        }
        if pause >= LONG_PAUSE {
            self.ctx.progress.event(Event::Waiting { host: &self.host, why, pause: Some(pause) });
        }
        let end = Instant::now() + pause;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.ctx.cancel.check()?;
            std::thread::sleep(left.min(TICK));
        }
        self.left -= pause;
        self.quiet += pause;
        self.ctx.cancel.check().map(|()| true)
    }

    fn spend(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
        self.waited += time;
        self.quiet += time;
    }

    fn tell_of_silence(&mut self) {
        if self.quiet < self.next_word {
            return;
        }
        self.next_word = self.quiet * 2;
        let why = match self.bytes {
            0 => format!("silent for {}", secs(self.quiet)),
            bytes => format!("{bytes} bytes in {}", secs(self.waited)),
        };
        self.ctx.progress.event(Event::Waiting { host: &self.host, why: &why, pause: None });
    }
}

/// A time for people.
pub(super) fn secs(time: Duration) -> String {
    match time.as_millis() {
        ms if ms < 10_000 && ms % 1000 >= 100 => format!("{:.1} s", time.as_secs_f64()),
        _ => format!("{} s", time.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(limits: Limits) -> Patience {
        Patience::new(limits, &Ctx::default())
    }

    #[test]
    fn every_try_that_was_asked_for_is_made() {
        let limits = Limits { retries: 100, ..Limits::default() };
        let total: Duration = (0..limits.retries).map(pause_after).sum();
        assert!(pause_after(0) < pause_after(1) && pause_after(limits.retries) * 10 < limits.patience);
        assert!(total < Duration::from_secs(600), "{total:?}");
    }

    #[test]
    fn only_what_stays_below_the_lowest_rate_is_slow() {
        for (bytes_per_sec, slow_after) in [(0, Some(30)), (999, Some(30)), (1000, None), (1_000_000, None)] {
            let mut patience = patience(Limits::default());
            let slow = (1..=3600).find(|_| {
                patience.spend(Duration::from_secs(1));
                patience.moved(bytes_per_sec);
                patience.is_slow()
            });
            assert_eq!(slow, slow_after, "{bytes_per_sec} bytes a second");
        }
    }

    #[test]
    fn what_moves_costs_no_patience() {
        let mut patience = patience(Limits::default());
        patience.spend(Duration::from_secs(20));
        patience.moved(29_999);
        assert_eq!(patience.left(), Duration::from_secs(100));
        patience.moved(1);
        assert_eq!(patience.left(), Duration::from_secs(120));
    }

    #[test]
    fn no_step_outlasts_the_patience() {
        let short = Limits::default().with_patience(Duration::from_secs(2));
        assert_eq!((short.connect, short.slow_for), (short.patience, short.patience));
        assert_eq!(short.enough_bytes(), 2000);
        let long = Limits::default().with_patience(Duration::from_secs(3600));
        assert_eq!(long.slow_for, Duration::from_secs(30));
    }

    #[test]
    fn a_pause_beyond_the_patience_is_none() {
        let mut patience = patience(Limits::default().with_patience(Duration::from_secs(1)));
        assert_eq!(patience.pause(0, Some(Duration::from_secs(1)), "429"), Ok(false));
        assert_eq!(patience.pause(0, Some(Duration::from_millis(10)), "429"), Ok(true));
        assert_eq!(patience.left(), Duration::from_millis(990));
        assert_eq!(patience.pause(5, Some(Duration::ZERO), "429"), Ok(false));
    }
}
