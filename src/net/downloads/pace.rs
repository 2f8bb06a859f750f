//! The rate at which a body comes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::{Response, Url};

use super::super::error::{Error, Result};
use super::super::patience::{Limits, secs};

/// The rate at which a body comes.
pub(super) struct Pace {
    limits: Limits,
    bytes: u64,
    since: Instant,
}

impl Pace {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, bytes: 0, since: Instant::now() }
    }

    /// The next bytes; an error if they come too slowly.
    pub(super) async fn chunk(&mut self, response: &mut Response) -> Result<Option<Bytes>> {
        let asked = Instant::now();
        let chunk = match tokio::time::timeout(wait(&self.limits), response.chunk()).await {
            Ok(Ok(chunk)) => chunk,
            Ok(Err(error)) => {
                let why = Error::transport(response.url(), error.without_url()).in_short();
                return Err(Error::transport(response.url(), format!("Transferred a partial file: {why}")));
            }
            Err(_) => return Err(silent(response.url(), &self.limits)),
        };
        self.bytes += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        // Only a wait may count: a reader that was busy is no fault of the server.
        let is_late =
            asked.elapsed() > Duration::from_millis(100) && self.since.elapsed() >= self.limits.slow_for;
        if self.bytes >= self.limits.enough_bytes() {
            (self.bytes, self.since) = (0, Instant::now());
        } else if is_late && chunk.is_some() {
            let (bytes, time) = (self.bytes, secs(self.since.elapsed()));
            return Err(Error::transport(response.url(), format!("only {bytes} bytes came within {time}")));
        }
        Ok(chunk)
    }
}

/// The longest time without a sign of life.
pub(super) fn wait(limits: &Limits) -> Duration {
    limits.slow_for.max(Duration::from_secs(1))
}

pub(super) fn silent(url: &Url, limits: &Limits) -> Error {
    Error::transport(url, format!("nothing came for {}", secs(wait(limits))))
}
