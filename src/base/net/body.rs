//! A response body that goes on where the connection broke.

use std::io::{self, Read};

use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, IF_RANGE, RANGE};

use super::error::{Error, Result};
use super::http::{Http, Request, back_off, wait};
use super::response::Response;
use crate::base::Ctx;

/// Sends the request again with a range; gets a response for the bytes from an offset on.
type Reopen<'a> = Box<dyn FnMut(Option<&str>) -> Result<Response> + Send + 'a>;

/// The body of a response. When the connection breaks, or the server ends early, the rest is asked for
/// with `Range`; where the server knows no ranges, the bytes that were had are skipped.
pub struct Resumed<'a> {
    reopen: Reopen<'a>,
    response: Option<Response>,
    size: Option<u64>,
    offset: u64,
    skip: u64,
    /// Bytes that were received twice.
    again: u64,
    attempts: u32,
    retries: u32,
    ctx: Ctx,
}

impl std::fmt::Debug for Resumed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resumed")
            .field("offset", &self.offset)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl<'a> Resumed<'a> {
    /// A body of `size` bytes, where that is known. `reopen` sends the request, with the value of a `Range`
    /// header if there is one.
    ///
    /// # Errors
    /// What `reopen` gives for the first request.
    pub fn open(
        http: &Http,
        size: Option<u64>,
        ctx: &Ctx,
        mut reopen: impl FnMut(Option<&str>) -> Result<Response> + Send + 'a,
    ) -> Result<Self> {
        let response = reopen(None)?;
        let size = size.or_else(|| response.header(reqwest::header::CONTENT_LENGTH)?.parse().ok());
        Ok(Self {
            reopen: Box::new(reopen),
            response: Some(response),
            size,
            offset: 0,
            skip: 0,
            again: 0,
            attempts: 0,
            retries: http.retries(),
            ctx: ctx.clone(),
        })
    }

    /// A `GET` of `request`.
    ///
    /// # Errors
    /// As [`Http::send_ok`].
    pub fn get(http: &'a Http, request: Request, size: Option<u64>, ctx: &Ctx) -> Result<Self> {
        let inner = ctx.clone();
        Self::open(http, size, ctx, move |range| {
            let mut request = request.clone();
            if let Some(range) = range {
                request = request.header(RANGE, range);
                request.headers.remove(IF_RANGE);
            }
            http.send_ok(&request, &inner)
        })
    }

    /// Bytes that had to be received twice.
    pub fn received_again(&self) -> u64 {
        self.again
    }

    /// Asks for the rest.
    fn resume(&mut self) -> Result<()> {
        let range = (self.offset > 0).then(|| format!("bytes={}-", self.offset));
        let response = (self.reopen)(range.as_deref())?;
        self.skip = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let start = response.header(CONTENT_RANGE).and_then(range_start);
                match start.and_then(|start| self.offset.checked_sub(start)) {
                    Some(skip) => skip,
                    None => return Err(Error::protocol(&response.url, "another range than was asked for")),
                }
            }
            _ => self.offset,
        };
        self.response = Some(response);
        Ok(())
    }

    /// Reads once, past what is to be skipped; `None` at the end of this response.
    fn read_some(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(response) = &mut self.response else { return Ok(None) };
        loop {
            let want = usize::try_from(self.skip).unwrap_or(usize::MAX).min(buf.len());
            let n = response.read(if want == 0 { buf } else { &mut buf[..want] })?;
            if n == 0 {
                return Ok(None);
            }
            if want == 0 {
                return Ok(Some(n));
            }
            self.skip -= n as u64;
            self.again += n as u64;
        }
    }
}

/// The first byte in `bytes 100-199/200`.
fn range_start(value: &str) -> Option<u64> {
    value.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

impl Read for Resumed<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            self.ctx.cancel.check().map_err(io::Error::other)?;
            let broken = match self.read_some(buf) {
                Ok(Some(n)) => {
                    self.offset += n as u64;
                    self.attempts = 0;
                    return Ok(n);
                }
                Ok(None) if self.size.is_none_or(|size| self.offset >= size) => return Ok(0),
                Ok(None) => {
                    let why = format!("the connection ended after {} bytes", self.offset);
                    io::Error::new(io::ErrorKind::UnexpectedEof, why)
                }
                Err(error) => error,
            };
            self.response = None;
            if self.attempts >= self.retries {
                return Err(broken);
            }
            wait(back_off(self.attempts), &self.ctx.cancel).map_err(io::Error::other)?;
            self.attempts += 1;
            self.resume().map_err(io::Error::other)?;
        }
    }
}
