//! The upload of one blob, in chunks.
//!
//! ```text
//! POST ► Location ► PATCH chunk ► Location ► … ► PUT ?digest=
//!                   broken: GET ► Range: 0-N ► PATCH the rest of the chunk
//! ```
//! Some registries forget an upload of which a chunk broke off: there the blob is sent from its start. On a
//! line that breaks again and again that helps only if every chunk is short and has a connection of its own.

use bytes::Bytes;
use ostree_format::Checksum;
use reqwest::header::{CONNECTION, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Method, StatusCode, Url};

use super::{Registry, RegistryAccess};
use crate::base::Ctx;
use crate::net::error::shown;
use crate::net::http::is_passing;
use crate::net::{Error, Patience, Request, Resend, Response, Result};

/// An upload under way. What is not finished the registry throws away some day.
#[derive(Debug)]
pub struct Upload {
    registry: Registry,
    location: Url,
    offset: u64,
    min_chunk: usize,
    line: Line,
}

/// The lifetime of the connections of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Line {
    /// A connection serves any number of chunks.
    #[default]
    Shared,
    /// A connection serves one chunk.
    Fresh,
}

/// The size of the chunks in which a blob is sent if nothing else works.
pub const SMALLEST_CHUNK_BYTES: usize = 256 * 1024;

impl Upload {
    pub(super) fn begun(registry: &Registry, response: &Response) -> Result<Self> {
        let min_chunk = response.header("oci-chunk-min-length").and_then(|v| v.parse().ok()).unwrap_or(0);
        let location = location(response)?;
        Ok(Self { registry: registry.clone(), location, offset: 0, min_chunk, line: Line::default() })
    }

    /// This upload, over connections with another lifetime.
    #[must_use]
    pub fn over(self, line: Line) -> Self {
        Self { line, ..self }
    }

    /// Bytes that a chunk must have at least, but for the last.
    pub fn min_chunk_bytes(&self) -> usize {
        self.min_chunk
    }

    /// Bytes that the registry has.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Sends the next bytes. When the connection breaks, the registry is asked how much arrived, and the
    /// rest is sent again.
    ///
    /// # Errors
    /// [`Error::UploadLost`] if the registry does not let the upload go on where it broke off,
    /// [`Error::Status`], [`Error::Protocol`], and what the network gives.
    pub fn send(&mut self, chunk: &Bytes, ctx: &Ctx) -> Result<()> {
        self.send_within(chunk, &mut self.registry.http.patience(ctx))
    }

    fn send_within(&mut self, chunk: &Bytes, patience: &mut Patience) -> Result<()> {
        let end = self.offset + chunk.len() as u64;
        let (mut rest, mut attempt, mut broken) = (chunk.clone(), 0, false);
        while !rest.is_empty() {
            let mut request = Request::new(Method::PATCH, self.location.clone())
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_RANGE, &format!("{}-{}", self.offset, end - 1))
                .body(rest.clone());
            if self.line == Line::Fresh {
                request = request.header(CONNECTION, "close");
            }
            request.resend = Resend::No;
            let error = match self.registry.send_at(&request, RegistryAccess::Push, patience) {
                Ok(response) if response.status().is_success() => {
                    self.location = location(&response)?;
                    self.offset = end;
                    patience.renew();
                    return Ok(());
                }
                Ok(response) if broken && response.status() == StatusCode::NOT_FOUND => {
                    return Err(Error::UploadLost { url: shown(&response.url) });
                }
                Ok(response) if response.status() != StatusCode::RANGE_NOT_SATISFIABLE => {
                    return Err(self.registry.failed(response, Method::PATCH, patience));
                }
                Ok(response) => response.into_error(Method::PATCH, patience),
                Err(error @ (Error::Transport { .. } | Error::Status { .. })) => error,
                Err(error) => return Err(error),
            };
            broken = true;
            // What was sent may have arrived, in part or whole, although no answer came.
            if patience.is_over() {
                return Err(error);
            }
            let arrived = self.arrived(patience)?;
            let new = arrived.checked_sub(self.offset).filter(|_| arrived <= end);
            let Some(new) = new else { return Err(error) };
            if new > 0 {
                patience.renew();
                attempt = 0;
            }
            if !patience.pause(attempt, None, &error.in_short())? {
                return Err(error);
            }
            attempt += 1;
            rest = rest.slice(usize::try_from(new).unwrap_or(usize::MAX).min(rest.len())..);
            self.offset = arrived;
        }
        Ok(())
    }

    /// Bytes that the registry says it has.
    fn arrived(&mut self, patience: &mut Patience) -> Result<u64> {
        let request = Request::new(Method::GET, self.location.clone());
        let response = self.registry.send_at(&request, RegistryAccess::Push, patience)?;
        match response.status() {
            s if s.is_success() => {}
            // docker-registry: it has got more bytes than the location that it gave last says, and gives up.
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => {
                return Err(Error::UploadLost { url: shown(&response.url) });
            }
            _ => return Err(self.registry.failed(response, Method::GET, patience)),
        }
        if response.header(LOCATION).is_some() {
            self.location = location(&response)?;
        }
        let last = response.header(RANGE).and_then(|v| v.rsplit('-').next()?.parse::<u64>().ok());
        // "0-0" stands for nothing as well as for one byte; a byte sent twice does no harm.
        Ok(last.filter(|last| *last > 0).map_or(0, |last| last + 1))
    }

    /// Ends the upload with its last bytes: the registry checks the digest and keeps the blob. A blob that
    /// is sent whole by this call is sent again when the connection breaks, in ever smaller chunks.
    ///
    /// # Errors
    /// [`Error::UploadLost`], [`Error::Status`] and what the network gives.
    pub fn finish(mut self, last: &Bytes, digest: &Checksum, ctx: &Ctx) -> Result<()> {
        let patience = &mut self.registry.http.patience(ctx);
        if self.offset > 0 {
            self.send_within(last, patience)?;
            return self.put(Bytes::new(), digest, patience);
        }
        let mut attempt = 0;
        loop {
            let result = match attempt {
                0 => self.put(last.clone(), digest, patience),
                _ => {
                    let chunk_bytes = (last.len() >> attempt).max(SMALLEST_CHUNK_BYTES);
                    self.send_all(last, chunk_bytes, digest, patience)
                }
            };
            match result {
                Err(error) if may_pass(&error) => {
                    if !patience.pause(attempt, None, &error.in_short())? {
                        return Err(error);
                    }
                    attempt += 1;
                    self = self.registry.start_upload(ctx)?.over(Line::Fresh);
                }
                result => return result,
            }
        }
    }

    fn send_all(
        &mut self,
        blob: &Bytes,
        chunk_bytes: usize,
        digest: &Checksum,
        patience: &mut Patience,
    ) -> Result<()> {
        let chunk_bytes = chunk_bytes.max(self.min_chunk);
        for at in (0..blob.len()).step_by(chunk_bytes) {
            self.send_within(&blob.slice(at..blob.len().min(at + chunk_bytes)), patience)?;
        }
        self.put(Bytes::new(), digest, patience)
    }

    fn put(&self, body: Bytes, digest: &Checksum, patience: &mut Patience) -> Result<()> {
        let mut url = self.location.clone();
        url.query_pairs_mut().append_pair("digest", &format!("sha256:{digest}"));
        let mut request =
            Request::new(Method::PUT, url).header(CONTENT_TYPE, "application/octet-stream").body(body);
        // A body that arrived in part is there already: the same again would not be the blob.
        let nothing = request.body.as_ref().is_none_or(Bytes::is_empty);
        request.resend = if nothing { Resend::Yes } else { Resend::No };
        let response = self.registry.send_at(&request, RegistryAccess::Push, patience)?;
        match response.status() {
            s if s.is_success() => Ok(()),
            // The upload is gone: an answer may have been lost on its way to us.
            StatusCode::NOT_FOUND
                if self.registry.has_blob(digest, RegistryAccess::Push, patience.ctx())? =>
            {
                Ok(())
            }
            StatusCode::NOT_FOUND => Err(Error::UploadLost { url: shown(&self.location) }),
            _ => Err(self.registry.failed(response, Method::PUT, patience)),
        }
    }

    /// Gives the upload up; a registry that cannot be told will find out by itself.
    pub fn cancel(self, ctx: &Ctx) {
        let request = Request::new(Method::DELETE, self.location.clone());
        let _ = self.registry.send_at(
            &request,
            RegistryAccess::Push,
            &mut self.registry.http.patience(ctx).brief(),
        );
    }
}

/// Whether the same blob may be taken when it is sent once more.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Transport { .. } | Error::UploadLost { .. } => true,
        Error::Status { status, .. } => is_passing(*status),
        _ => false,
    }
}

/// The URL at which the upload goes on.
fn location(response: &Response) -> Result<Url> {
    let text = response
        .header(LOCATION)
        .ok_or_else(|| Error::protocol(&response.url, "an upload without a Location"))?;
    response.url.join(text).map_err(|e| Error::protocol(&response.url, format!("upload at {text:?}: {e}")))
}
