//! An answer: its status, headers, and a body that is read or becomes an error.

use std::io::{self, Read};

use reqwest::{Method, StatusCode, Url};

use super::error::{Error, Result, shown};

/// Bytes of a failed response that go into the error.
const MAX_ERROR_BYTES: u64 = 8 * 1024;

/// An answer; [`Read`] gives its body.
#[derive(Debug)]
pub struct Response {
    /// The URL that answered, behind all redirects.
    pub url: Url,
    pub(super) inner: reqwest::blocking::Response,
}

impl Response {
    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// A header, if it is there and text.
    pub fn header(&self, name: impl reqwest::header::AsHeaderName) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// Every value of a header.
    pub fn headers(&self, name: impl reqwest::header::AsHeaderName) -> Vec<&str> {
        self.inner.headers().get_all(name).iter().filter_map(|v| v.to_str().ok()).collect()
    }

    /// Reads a body of at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::Protocol`] if it is longer, [`Error::Transport`] if it breaks off.
    pub(super) fn read_whole(&mut self, limit: u64) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        (&mut self.inner)
            .take(limit + 1)
            .read_to_end(&mut out)
            .map_err(|e| Error::transport(&self.url, e))?;
        if out.len() as u64 > limit {
            return Err(Error::protocol(&self.url, format!("the answer is larger than {limit} bytes")));
        }
        Ok(out)
    }

    /// Turns a failed answer into its error.
    pub(crate) fn into_error(mut self, method: Method) -> Error {
        let mut body = Vec::new();
        // The status is what matters; a body that breaks off says less, but the error is the same.
        let _ = (&mut self.inner).take(MAX_ERROR_BYTES).read_to_end(&mut body);
        let body = String::from_utf8_lossy(&body);
        let body = serde_json::from_str(&body).ok().and_then(registry_message).unwrap_or_else(|| {
            if body.trim_start().starts_with('<') { String::new() } else { body.trim().to_string() }
        });
        Error::Status { method, url: shown(&self.url), status: self.status(), body }
    }
}

/// The messages in a registry's `{"errors": [{"code": …, "message": …}]}`.
#[expect(clippy::needless_pass_by_value, reason = "the shape that and_then wants")]
fn registry_message(body: serde_json::Value) -> Option<String> {
    let errors = body.get("errors")?.as_array()?;
    let text = |e: &serde_json::Value| {
        let part = |key| e.get(key).and_then(|v| v.as_str()).map(str::to_string);
        part("message").filter(|m| !m.is_empty()).or_else(|| part("code"))
    };
    Some(errors.iter().filter_map(text).collect::<Vec<_>>().join("; "))
}

impl Read for Response {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf)
    }
}
