//! An answer: its status, headers, and a body that is read or becomes an error.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;

use super::coding::{self, Decoder};
use super::driver::Driver;
use super::error::{Error, Result, shown};
use super::patience::Patience;

/// Bytes of a failed response that are looked at.
const MAX_ERROR_BYTES: u64 = 8 * 1024;
/// The part of an answer that goes into an error if it is not understood, in characters.
const MAX_START: usize = 60;
/// The part of a server's message to people that goes into an error, in characters.
pub(super) const MAX_WORDS: usize = 300;

/// Under which keys servers say what is wrong: docker's, GitHub's, OAuth's, problem details (RFC 9457).
const MESSAGE_KEYS: [&str; 7] =
    ["message", "details", "detail", "error_description", "error", "msg", "title"];
/// What every manifest or token has one of.
const CONTENT_KEYS: [&str; 7] =
    ["schemaVersion", "mediaType", "config", "layers", "manifests", "token", "access_token"];

/// An answer, whose body is still to come.
#[derive(Debug)]
pub struct Response {
    /// The URL that answered, behind all redirects.
    pub url: Url,
    inner: reqwest::Response,
    driver: Arc<Driver>,
    /// What came and was not read yet.
    chunk: Bytes,
    /// Decompresses what comes, where that is not the body itself.
    decoder: Option<Decoder>,
}

impl Response {
    pub(super) fn new(url: Url, inner: reqwest::Response, driver: Arc<Driver>) -> Self {
        Self { url, inner, driver, chunk: Bytes::new(), decoder: None }
    }

    /// Whether the server says that it compressed the body on its way, or that the body is compressed by itself.
    pub(super) fn is_coded(&self) -> bool {
        let coding = self.header(CONTENT_ENCODING).map(str::trim);
        coding.is_some_and(|coding| ["gzip", "x-gzip"].iter().any(|gzip| gzip.eq_ignore_ascii_case(coding)))
    }

    /// The answer without the compression of its way, which [`Response::is_coded`] told of.
    pub(super) fn decoded(mut self) -> Self {
        self.decoder = Some(Decoder::new());
        self
    }

    /// The size of the body, where the answer tells.
    pub(super) fn length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH).filter(|_| self.decoder.is_none())?.parse().ok()
    }

    /// Whether a part of the body is what a part of the bytes that come stands for.
    pub(super) fn has_parts(&self) -> bool {
        self.decoder.is_none()
    }

    /// The status of the response.
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

    /// How long the server asks to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.header(RETRY_AFTER).and_then(|value| delay(value, self.header(DATE)))
    }

    /// Reads once; 0 bytes are the end.
    pub(super) fn read(&mut self, buf: &mut [u8], patience: &mut Patience) -> Result<usize> {
        self.fill(patience)?;
        let n = buf.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buf[..n]);
        Ok(n)
    }

    /// Waits until something is there to be read, or the end.
    fn fill(&mut self, patience: &mut Patience) -> Result<()> {
        while self.chunk.is_empty() {
            if let Some(decoder) = &mut self.decoder {
                let given = decoder.give();
                self.chunk =
                    given.map_err(|e| Error::protocol(&self.url, format!("Content-Encoding: {e}")))?;
                if !self.chunk.is_empty() {
                    break;
                }
            }
            let next = patience.wait(&self.driver, |patience| patience.is_slow(), self.inner.chunk())?;
            match next {
                Some(Ok(Some(chunk))) => {
                    patience.moved(chunk.len() as u64);
                    match &mut self.decoder {
                        Some(decoder) => decoder.take(chunk),
                        None => self.chunk = chunk,
                    }
                }
                Some(Ok(None)) if self.decoder.as_ref().is_some_and(|decoder| !decoder.has_ended()) => {
                    return Err(Error::transport(&self.url, "the connection ended"));
                }
                Some(Ok(None)) => break,
                Some(Err(error)) => return Err(Error::transport(&self.url, error.without_url())),
                None => return Err(Error::transport(&self.url, patience.slowness())),
            }
        }
        Ok(())
    }

    /// Reads a body of at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::Protocol`] if it is longer, [`Error::Transport`] if it breaks off.
    pub(super) fn read_whole(&mut self, limit: u64, patience: &mut Patience) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        loop {
            self.fill(patience)?;
            if self.chunk.is_empty() {
                let coded = self.is_coded() && out.starts_with(&coding::MAGIC);
                let decoded = if coded { coding::decode(&out, limit) } else { None };
                return Ok(decoded.unwrap_or(out));
            }
            out.extend_from_slice(&std::mem::take(&mut self.chunk));
            if out.len() as u64 > limit {
                return Err(Error::protocol(&self.url, format!("the answer is larger than {limit} bytes")));
            }
        }
    }

    /// The value in a body that was read, which is called `what`.
    pub(super) fn parse<T: DeserializeOwned>(&self, what: &str, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body).map_err(|error| {
            // What looks like JSON is not quoted: it may hold a token.
            let why = match body.trim_ascii_start().first() {
                None => format!("empty and no {what}"),
                Some(b'{' | b'[') => format!("no {what}: {error}"),
                Some(_) => format!("not JSON and no {what}: {:?}", words(body, MAX_START)),
            };
            let content_type = self.header(CONTENT_TYPE).map(str::to_owned);
            Error::NotJson { url: shown(&self.url), status: self.status(), content_type, why }
        })
    }

    /// Checks that a body which was read is not an error that its server called a success: with a message to people,
    /// and nothing that a manifest or a token has.
    pub(super) fn refuse_error(&self, what: &str, body: &[u8]) -> Result<()> {
        let text = String::from_utf8_lossy(body);
        let json = serde_json::from_str(&text)
            .ok()
            .filter(|json: &serde_json::Value| !CONTENT_KEYS.iter().any(|key| json.get(key).is_some()));
        let Some(message) = json.and_then(|json| message_of(&json)) else { return Ok(()) };
        let why = format!("no {what} but an error: {}", words(message.as_bytes(), MAX_WORDS));
        let content_type = self.header(CONTENT_TYPE).map(str::to_owned);
        Err(Error::NotJson { url: shown(&self.url), status: self.status(), content_type, why })
    }

    /// What a server that refuses something says about it. The status is what matters: nobody waits long for more,
    /// or fails for want of it.
    pub(super) fn words(&mut self, patience: &Patience) -> String {
        let (mut body, mut patience) = (Vec::new(), patience.brief());
        while (body.len() as u64) < MAX_ERROR_BYTES
            && self.fill(&mut patience).is_ok()
            && !self.chunk.is_empty()
        {
            body.extend_from_slice(&std::mem::take(&mut self.chunk));
        }
        let message = serde_json::from_slice(&body).ok().and_then(|json| message_of(&json));
        // A server's words are no commands for the terminal that shows them.
        message.map(|message| words(message.as_bytes(), MAX_WORDS)).unwrap_or_else(|| {
            let words = words(&body, MAX_WORDS);
            match self.header(CONTENT_TYPE).filter(|_| words.starts_with('<')) {
                Some(html) => format!("{html}, {:?}", self::words(&body, MAX_START)),
                None => words,
            }
        })
    }

    /// Turns a failed answer into its error.
    pub(crate) fn into_error(mut self, method: Method, patience: &Patience) -> Error {
        let (body, retry_after) = (self.words(patience), self.retry_after());
        Error::Status { method, url: shown(&self.url), status: self.status(), body, retry_after }
    }
}

/// The first words of a text, on one line.
pub(super) fn words(text: &[u8], max_chars: usize) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * max_chars)]);
    let line = text.replace(char::is_control, " ").split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The messages in a registry's `{"errors": [{"code": …, "message": …}]}`, or what servers in front of it say under one of
/// [`MESSAGE_KEYS`].
fn message_of(body: &serde_json::Value) -> Option<String> {
    let text = |value: &serde_json::Value, keys: &[&str]| {
        let texts = keys.iter().filter_map(|key| value.get(key)?.as_str());
        texts.map(str::to_owned).find(|text| !text.is_empty())
    };
    match body.get("errors").and_then(|errors| errors.as_array()) {
        Some(errors) => {
            let texts = errors.iter().filter_map(|error| text(error, &["message", "code"]));
            Some(texts.collect::<Vec<_>>().join("; "))
        }
        None => text(body, &MESSAGE_KEYS),
    }
}

/// How long `Retry-After` asks to wait: so many seconds, or until a time by the server's own clock, which its `Date`
/// tells.
pub(super) fn delay(value: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(secs) = value.trim().parse() {
        return Some(Duration::from_secs(secs));
    }
    let time = |text: &str| chrono::DateTime::parse_from_rfc2822(text.trim()).ok();
    // A time that has passed asks for no more than the usual pause.
    time(value)?.signed_duration_since(time(date?)?).to_std().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after() {
        let date = Some("Wed, 21 Oct 2015 07:28:00 GMT");
        for (value, date, expected) in [
            ("7", None, Some(7)),
            ("7", date, Some(7)),
            ("Wed, 21 Oct 2015 07:27:59 GMT", date, None),
            ("Wed, 21 Oct 2015 08:28:01 GMT", date, Some(3601)),
            ("Wed, 21 Oct 2015 08:28:01 GMT", None, None),
            ("soon", date, None),
        ] {
            assert_eq!(delay(value, date), expected.map(Duration::from_secs), "{value} {date:?}");
        }
    }

    #[test]
    fn first_words() {
        assert_eq!(words(b" <html>\n  <p>x\xff", 20), "<html> <p>x\u{fffd}");
        assert_eq!(words("äöüß".as_bytes(), 3), "äöü…");
        assert_eq!(words(&[b'a'; 1000], 5), "aaaaa…");
    }
}
