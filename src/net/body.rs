//! A response body that goes on where the connection broke.
//!
//! ```text
//! GET ► 200, ETag ► … broken ► GET Range: bytes=N-, If-Range: ETag ► 206 from N on
//!                                                                  ► 200 all of it: N bytes are skipped
//!                                                                  ► 416, 400, 501, another range: asked again,
//!                                                                    without a range
//! GET Range: bytes=A-B ► 206: a part of the body, which goes on in the same way
//!                      ► 200, 416: there are no parts to be had
//! ```

use std::io::{self, Read};
use std::ops::Range;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderName, IF_RANGE, RANGE};

use super::error::{Error, Result, shown};
use super::patience::Patience;
use super::response::Response;

/// Sends the request, with further headers.
pub(crate) type Reopen = Box<dyn FnMut(&[(HeaderName, String)], &mut Patience) -> Result<Response> + Send>;

/// The body of a response. When the connection breaks, or the server ends early or becomes too slow, the rest is
/// asked for with `Range`; where the server knows no ranges, the bytes that were had are skipped.
pub struct Resumed {
    reopen: Reopen,
    response: Option<Response>,
    /// The URL, for messages.
    url: String,
    size: Option<u64>,
    /// What the server called this content, if it will know it again by that.
    etag: Option<String>,
    ranges: Ranges,
    /// The first byte of the part, 0 where all of the body is read.
    start: u64,
    /// What was had, counted from `start`.
    offset: u64,
    skip: u64,
    /// Tries since enough new bytes came, and the bytes that came since.
    attempts: u32,
    fresh: u64,
    patience: Patience,
}

/// Whether the server gives a part of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ranges {
    Perhaps,
    No,
    /// The server gave a part, and no more than that is wanted.
    Only,
}

impl std::fmt::Debug for Resumed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resumed")
            .field("offset", &self.offset)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl Resumed {
    /// A body of `size` bytes, where that is known. `reopen` sends the request, with the headers that it is given
    /// besides.
    pub(crate) fn open(size: Option<u64>, mut patience: Patience, mut reopen: Reopen) -> Result<Self> {
        let response = reopen(&[], &mut patience)?;
        // Where the server ends a body of another size than expected, there is no more to be had.
        let size = response.length().or(size);
        let ranges = if response.has_parts() { Ranges::Perhaps } else { Ranges::No };
        Ok(Self::new(reopen, response, ranges, 0, size, patience))
    }

    /// The bytes `part` of a body, which must not be empty; `None` if the server does not give parts of it.
    pub(crate) fn open_part(
        part: Range<u64>,
        mut patience: Patience,
        mut reopen: Reopen,
    ) -> Result<Option<Self>> {
        let wanted = (RANGE, range_of(part.start, Some(part.end)));
        let response = match reopen(&[wanted], &mut patience) {
            Err(Error::Status { status: StatusCode::RANGE_NOT_SATISFIABLE, .. }) => return Ok(None),
            response => response?,
        };
        let begins = response.header(CONTENT_RANGE).and_then(range).map(|(start, _)| start);
        if response.status() != StatusCode::PARTIAL_CONTENT || begins != Some(part.start) {
            return Ok(None);
        }
        let size = Some(part.end.saturating_sub(part.start));
        Ok(Some(Self::new(reopen, response, Ranges::Only, part.start, size, patience)))
    }

    fn new(
        reopen: Reopen,
        response: Response,
        ranges: Ranges,
        start: u64,
        size: Option<u64>,
        mut patience: Patience,
    ) -> Self {
        patience.renew();
        let strong = |etag: &&str| etag.starts_with('"');
        Self {
            reopen,
            url: shown(&response.url),
            size,
            etag: response.header(ETAG).filter(strong).map(str::to_owned),
            response: Some(response),
            ranges,
            start,
            offset: 0,
            skip: 0,
            attempts: 0,
            fresh: 0,
            patience,
        }
    }

    /// Tries again after `broken`; if that is no use any more, says how far it got.
    fn again(&mut self, broken: Error) -> Result<()> {
        self.response = None;
        let pause = self.patience.pause(self.attempts, None, &broken.in_short())?;
        self.attempts += 1;
        let result = if pause { self.resume() } else { Err(broken) };
        result.map_err(|error| match error {
            Error::Cancelled(_) => error,
            cause => {
                let (url, received, size) = (self.url.clone(), self.offset, self.size);
                Error::BrokenOff { url, received, size, cause: Box::new(cause) }
            }
        })
    }

    /// Whether a server that was asked for the rest does not give it, but may give all of the body.
    fn is_no_rest(&self, asked: &Result<Response>) -> bool {
        match asked {
            Ok(response) => self.skip_in(response).is_none(),
            Err(Error::Status { status, .. }) => matches!(
                *status,
                StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::BAD_REQUEST | StatusCode::NOT_IMPLEMENTED
            ),
            Err(_) => false,
        }
    }

    /// Bytes at the start of an answer that were had already; `None` if it begins behind what is wanted.
    fn skip_in(&self, response: &Response) -> Option<u64> {
        let start = match response.status() {
            StatusCode::PARTIAL_CONTENT => response.header(CONTENT_RANGE).and_then(range)?.0,
            _ => 0,
        };
        (self.start + self.offset).checked_sub(start)
    }

    /// Asks for the rest.
    fn resume(&mut self) -> Result<()> {
        let mut headers = Vec::new();
        if self.ranges == Ranges::Only || (self.offset > 0 && self.ranges == Ranges::Perhaps) {
            let end = self.size.filter(|_| self.ranges == Ranges::Only).map(|size| self.start + size);
            headers.push((RANGE, range_of(self.start + self.offset, end)));
            headers.extend(self.etag.clone().map(|etag| (IF_RANGE, etag)));
        }
        let mut asked = (self.reopen)(&headers, &mut self.patience);
        if !headers.is_empty() && self.ranges == Ranges::Perhaps && self.is_no_rest(&asked) {
            self.ranges = Ranges::No;
            asked = (self.reopen)(&[], &mut self.patience);
        }
        let response = asked?;
        let size = match response.status() {
            StatusCode::PARTIAL_CONTENT => response.header(CONTENT_RANGE).and_then(range).and_then(|r| r.1),
            _ => response.length(),
        };
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
        let skip = self.skip_in(&response);
        let Some(skip) = skip.filter(|_| is_part || self.ranges != Ranges::Only) else {
            return Err(Error::protocol(&response.url, "another range than was asked for"));
        };
        if let (Some(before), Some(now)) = (self.size.filter(|_| self.ranges != Ranges::Only), size)
            && before != now
        {
            return Err(Error::protocol(
                &response.url,
                format!("it had {before} bytes before, and {now} now"),
            ));
        }
        self.skip = skip;
        self.response = Some(response);
        Ok(())
    }

    /// Reads once, past what is to be skipped; 0 at the end of this response.
    fn read_some(&mut self, buf: &mut [u8]) -> Result<usize> {
        let Some(response) = &mut self.response else { return Ok(0) };
        loop {
            let want = usize::try_from(self.skip).unwrap_or(usize::MAX).min(buf.len());
            let skipping = want > 0;
            let n = response.read(if skipping { &mut buf[..want] } else { buf }, &mut self.patience)?;
            if n == 0 || !skipping {
                return Ok(n);
            }
            self.skip -= n as u64;
        }
    }

    /// New bytes came: once they are enough, the line counts as a good one again.
    fn advance(&mut self, bytes: u64) {
        self.offset += bytes;
        self.fresh += bytes;
        if self.fresh >= self.patience.limits().enough_bytes() {
            (self.fresh, self.attempts) = (0, 0);
            self.patience.renew();
        }
    }
}

impl Read for Resumed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // A server may give more than the part that was asked for.
        let part = self.size.filter(|_| self.ranges == Ranges::Only);
        let room = part.map_or(u64::MAX, |size| size.saturating_sub(self.offset));
        let room = buf.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        let buf = &mut buf[..room];
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            let broken = match self.read_some(buf) {
                Ok(0) if self.size.is_none_or(|size| self.offset >= size) => return Ok(0),
                Ok(0) => Error::Transport { url: self.url.clone(), cause: "the connection ended".into() },
                Ok(n) => {
                    self.advance(n as u64);
                    return Ok(n);
                }
                Err(error @ Error::Transport { .. }) => error,
                Err(error) => return Err(io::Error::other(error)),
            };
            self.again(broken).map_err(io::Error::other)?;
        }
    }
}

/// A `Range` header for the bytes from `start` on, up to before `end` or to the last one.
pub(super) fn range_of(start: u64, end: Option<u64>) -> String {
    let last = end.map(|end| end.saturating_sub(1).to_string()).unwrap_or_default();
    format!("bytes={start}-{last}")
}

/// The first byte in `bytes 100-199/200`, and the size of the whole.
pub(super) fn range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = value.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split('-').next()?.parse().ok()?, size.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(range("bytes 100-199/200"), Some((100, Some(200))));
        assert_eq!(range("bytes 100-199/*"), Some((100, None)));
        assert_eq!(range("bytes */200"), None);
        assert_eq!(range("pages 1-2/3"), None);
    }
}
