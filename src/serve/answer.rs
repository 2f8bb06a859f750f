//! An answer before anybody looked at conditions and ranges.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};

use super::shelf::Made;
use crate::base::WithCauses;

/// An answer, with all of its content.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status; only 200 can become 304, 206 or 416.
    pub(super) status: StatusCode,
    /// The value of `Content-Type`.
    pub(super) content_type: &'static str,
    /// What names exactly these bytes, without quotes.
    pub(super) etag: Option<String>,
    /// How long the answer stays right.
    pub(super) keeps: Keeps,
    /// Other headers.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// What is sent.
    pub(super) content: Content,
    /// What went wrong, for whoever runs the server: no client is told.
    pub(super) cause: Option<String>,
}

/// How long an answer stays right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeps {
    /// The name is made of the content.
    ForEver,
    /// The client asks again each time; the `ETag` tells whether anything changed.
    UntilAsked,
}

/// What is sent.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A file, or what becomes one.
    Made(Arc<Made>),
    /// Something of this length, if it is known; only for requests that want headers.
    Promised(Option<u64>),
}

/// Bytes of any kind.
pub(super) const OCTETS: &str = "application/octet-stream";
/// Text for people.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

impl Answer {
    /// Content that never changes under its name.
    pub(super) fn for_ever(etag: String, content: Content) -> Self {
        Self { etag: Some(etag), keeps: Keeps::ForEver, ..Self::of(OCTETS, content) }
    }

    /// A file that may be another one the next time.
    pub(super) fn file(content: Content) -> Self {
        Self::of(OCTETS, content)
    }

    /// Content that may be another one the next time.
    pub(super) fn now(content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let etag = ostree_format::Checksum::of(&bytes).to_string();
        Self { etag: Some(etag), ..Self::of(content_type, Content::Bytes(bytes)) }
    }

    /// A status, and what it means here.
    pub(super) fn says(status: StatusCode, text: impl Into<String>) -> Self {
        let text = text.into() + "\n";
        Self { status, ..Self::of(TEXT, Content::Bytes(text.into())) }
    }

    /// 404, and what is not there.
    pub(super) fn missing(text: impl Into<String>) -> Self {
        Self::says(StatusCode::NOT_FOUND, text)
    }

    /// 500; what went wrong is for whoever runs the server.
    pub(super) fn failed(error: &(dyn std::error::Error + 'static)) -> Self {
        let cause = WithCauses(error).to_string();
        tracing::warn!(error = cause, "request failed");
        let says = "this cannot be read here; the server's log says why";
        Self { cause: Some(cause), ..Self::says(StatusCode::INTERNAL_SERVER_ERROR, says) }
    }

    /// 503, for a moment.
    pub(super) fn busy() -> Self {
        let busy = Self::says(StatusCode::SERVICE_UNAVAILABLE, "too much is being made at the same time");
        busy.with(hyper::header::RETRY_AFTER, HeaderValue::from_static("2"))
    }

    /// Why it is not what was asked for, for whoever runs the program.
    pub(super) fn reason(&self) -> String {
        match (&self.cause, &self.content) {
            (Some(cause), _) => cause.clone(),
            (None, Content::Bytes(text)) => String::from_utf8_lossy(text.trim_ascii_end()).into_owned(),
            (None, _) => self.status.to_string(),
        }
    }

    /// The answer with one more header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn of(content_type: &'static str, content: Content) -> Self {
        Self {
            status: StatusCode::OK,
            content_type,
            etag: None,
            keeps: Keeps::UntilAsked,
            headers: Vec::new(),
            content,
            cause: None,
        }
    }
}

impl Content {
    /// Bytes of it; `None` as long as nobody knows.
    pub(super) fn len(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Made(made) => made.len(),
            Self::Promised(len) => *len,
        }
    }
}
