//! One file on its way: addresses, tries, redirects, ranges.
//!
//! ```text
//! round: address 1 ─ fails ─ address 2 ─ …        pause, and again, while another try may help
//! GET ► 200 ► … broken ► GET Range: bytes=N-, If-Range ► 206 from N on
//! ```

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_RANGE, COOKIE, DATE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_RANGE, LAST_MODIFIED, LOCATION, RANGE, RETRY_AFTER,
};
use reqwest::{Method, Response, StatusCode, Url};

use super::super::body::{range, range_of};
use super::super::coding;
use super::super::error::{Error, Result, host, shown};
use super::super::http::{Http, MAX_REDIRECTS, is_passing};
use super::super::patience::{LONG_PAUSE, pause_after, secs};
use super::super::redirect::redirected;
use super::super::response::delay;
use super::pace::{Pace, silent, wait};
use super::{BUDGET_KIB, FetchedBody, FetchedFile, FileRequest, HeldBytes, Memory, Room, SpillBegun};
use crate::base::{Ctx, Event};

/// The start of a file, in memory.
struct Partial {
    bytes: Vec<u8>,
    room: Room,
    validator: String,
}

/// A file on its way.
pub(super) struct Task {
    http: Http,
    request: FileRequest,
    ctx: Ctx,
    memory: Memory,
    moved: Arc<AtomicU64>,
    /// What is in the file so far.
    begun: Option<SpillBegun>,
    /// What is in memory so far, if the server will know the rest of it.
    held: Option<Partial>,
    /// The most that the file has had at the end of a try, as far as it counts as progress.
    furthest: u64,
}

impl Task {
    pub(super) fn new(
        http: &Http,
        request: FileRequest,
        ctx: &Ctx,
        memory: &Memory,
        moved: &Arc<AtomicU64>,
    ) -> Self {
        let (memory, moved) = (memory.clone(), Arc::clone(moved));
        let begun = request.spill.as_ref().and_then(|spill| spill.begun());
        Self { http: http.clone(), request, ctx: ctx.clone(), memory, moved, begun, held: None, furthest: 0 }
    }

    /// Fetches the file, with as many tries as the limits allow; those that got further than all before do not count.
    pub(super) async fn run(mut self) -> Result<FetchedFile> {
        let limits = self.http.limits;
        let mut attempt = 0;
        loop {
            let error = match self.round().await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => error,
            };
            // What came once more is no progress: a server may break off at the same byte for ever.
            let has = self.begun.as_ref().map_or(0, |begun| begun.bytes);
            if has >= self.furthest.saturating_add(limits.enough_bytes()) {
                (self.furthest, attempt) = (has, 0);
            }
            let wish = match &error {
                Error::Status { status, retry_after, .. } if is_passing(*status) => *retry_after,
                Error::Transport { .. } if !error.is_tls() => None,
                _ => return Err(error),
            };
            let pause = wish.unwrap_or_else(|| pause_after(attempt));
            if attempt >= limits.retries || pause >= limits.patience {
                return Err(error);
            }
            self.tell(&error, pause);
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    fn tell(&self, error: &Error, pause: Duration) {
        let Some(url) = self.request.urls.last() else { return };
        let why = error.in_short();
        tracing::debug!(url = shown(url), why, "request failed");
        if pause >= LONG_PAUSE {
            let event = Event::Waiting { host: &host(url), why: &why, pause: Some(pause) };
            self.ctx.progress.event(event);
        }
    }

    /// Tries every address once; the error is the last one's.
    async fn round(&mut self) -> Result<FetchedFile> {
        let mut failed = None;
        for url in self.request.urls.clone() {
            match self.once(&url).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => failed = Some(error),
            }
        }
        let none = || Error::Config { what: "file".into(), why: "no address is known".into() };
        Err(failed.unwrap_or_else(none))
    }

    async fn once(&mut self, url: &Url) -> Result<FetchedFile> {
        let mut headers = self.request.headers.clone();
        let of_held = |held: &Partial| SpillBegun {
            bytes: held.bytes.len() as u64,
            validator: Some(held.validator.clone()),
        };
        let begun = self.begun.take().or_else(|| self.held.as_ref().map(of_held));
        if let Some(begun) = &begun {
            insert(&mut headers, RANGE, &range_of(begun.bytes, None));
            begun.validator.iter().for_each(|validator| insert(&mut headers, IF_RANGE, validator));
        }
        let response = match self.open(url, headers).await {
            Ok(response) => response,
            Err(error) => {
                self.begun = begun.filter(|_| self.held.is_none());
                return Err(error);
            }
        };
        let at = match (response.status(), begun) {
            (StatusCode::NOT_MODIFIED, _) => return Ok(fetched(&response, FetchedBody::NotModified)),
            (StatusCode::PARTIAL_CONTENT, Some(begun)) => {
                match header(&response, CONTENT_RANGE).as_deref().and_then(range) {
                    Some((start, _)) if start == begun.bytes => begun.bytes,
                    _ => return Err(Error::protocol(url, "another range than was asked for")),
                }
            }
            // All of it is there, or what is there is not of this file: the caller verifies it.
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(begun)) if self.held.is_none() => {
                let size = header(&response, CONTENT_RANGE);
                let size = size.and_then(|text| text.strip_prefix("bytes */")?.parse::<u64>().ok());
                return match size == Some(begun.bytes) {
                    true => Ok(fetched(&response, FetchedBody::Spilled)),
                    false => Err(Error::transport(url, "the file has become another one")),
                };
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => {
                self.held = None;
                return Err(Error::transport(url, "the file has become another one"));
            }
            (status, _) if status.is_success() => 0,
            (_, begun) => {
                self.begun = begun.filter(|_| self.held.is_none());
                return Err(refused(&response));
            }
        };
        self.read(response, at).await
    }

    /// Sends the request and follows redirects, to other hosts without credentials.
    async fn open(&self, url: &Url, mut headers: HeaderMap) -> Result<Response> {
        let (mut url, mut client) = (url.clone(), &self.http.client);
        for _ in 0..=MAX_REDIRECTS {
            let asked = Instant::now();
            let sent = client.get(url.clone()).headers(headers.clone()).send();
            let limits = &self.http.limits;
            let response = match tokio::time::timeout(wait(limits), sent).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) if error.is_connect() && error.is_timeout() => {
                    let why = format!("no connection within {}", secs(limits.connect));
                    return Err(Error::transport(&url, why));
                }
                Ok(Err(error)) => return Err(Error::transport(&url, error.without_url())),
                Err(_) => return Err(silent(&url, limits)),
            };
            let (ms, status) = (asked.elapsed().as_millis(), response.status());
            tracing::trace!(url = shown(&url), status = status.as_u16(), ms, "request");
            if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            let next = redirected(&url, response.headers().get(LOCATION))?;
            if next.origin() != url.origin() {
                headers.remove(AUTHORIZATION);
                headers.remove(COOKIE);
                client = &self.http.anonymous;
            }
            url = next;
        }
        Err(Error::protocol(&url, format!("redirected more than {MAX_REDIRECTS} times")))
    }

    /// Takes the body, whose first byte is the byte `at` of the file.
    async fn read(&mut self, mut response: Response, at: u64) -> Result<FetchedFile> {
        let (size, limit) = (response.content_length(), self.request.limit);
        let too_large = |response: &Response| {
            refuse_coded(response, None).err().unwrap_or_else(|| {
                Error::protocol(response.url(), format!("exceeded maximum size of {limit} bytes"))
            })
        };
        if size.is_some_and(|size| at.saturating_add(size) > limit) {
            return Err(too_large(&response));
        }
        let threshold = self.request.spill.as_ref().map(|spill| spill.threshold());
        let in_memory = threshold.map_or(limit, |threshold| threshold.min(limit));
        let (mut held, mut room, mut file) = self.begin(&response, at, in_memory).await?;
        let (mut have, mut pace) = (at, Pace::new(self.http.limits));
        loop {
            let chunk = match pace.chunk(&mut response).await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => {
                    if file.is_none() && !held.is_empty() {
                        self.held =
                            validator(&response).map(|validator| Partial { bytes: held, room, validator });
                    }
                    return Err(error);
                }
            };
            if have == 0 {
                refuse_coded(&response, Some(&chunk))?;
            }
            have += chunk.len() as u64;
            self.moved.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            if have > limit {
                return Err(too_large(&response));
            }
            if file.is_none() && have > in_memory {
                let mut spilled = self.spill(&response, 0)?;
                spilled.write_all(&held).map_err(Error::Keeping)?;
                (file, held, room) = (Some(spilled), Vec::new(), Room::default());
            }
            if file.is_none() && have > room.bytes {
                self.memory.beyond(&mut room).await;
            }
            match &mut file {
                None => held.extend_from_slice(&chunk),
                Some(file) => {
                    self.require_room(chunk.len() as u64)?;
                    file.write_all(&chunk).map_err(Error::Keeping)?;
                    self.begun.iter_mut().for_each(|begun| begun.bytes = have);
                }
            }
        }
        if size.is_some_and(|size| have - at != size) {
            return Err(Error::transport(response.url(), "the connection ended"));
        }
        let body = match file {
            None => FetchedBody::Held(HeldBytes { bytes: held, room }),
            Some(_) => FetchedBody::Spilled,
        };
        Ok(fetched(&response, body))
    }

    /// Where the body goes that begins with the byte `at`: into memory, behind what is there of it and within the room
    /// that it gets, or into a file.
    async fn begin(
        &mut self,
        response: &Response,
        at: u64,
        in_memory: u64,
    ) -> Result<(Vec<u8>, Room, Option<File>)> {
        Ok(match (response.content_length(), self.held.take().filter(|_| at > 0)) {
            (_, Some(partial)) => (partial.bytes, partial.room, None),
            (Some(size), None) if at == 0 && size <= in_memory => {
                let room = self.memory.room(size).await;
                // What a server says of more is not believed before it comes.
                let believed = usize::try_from(size).unwrap_or(0).min(BUDGET_KIB * 1024);
                (Vec::with_capacity(believed), room, None)
            }
            (None, None) if at == 0 => (Vec::new(), self.memory.room(in_memory.min(1 << 20)).await, None),
            _ => (Vec::new(), Room::default(), Some(self.spill(response, at)?)),
        })
    }

    /// Opens the place on disk, to write the byte `at` next.
    fn spill(&mut self, response: &Response, at: u64) -> Result<File> {
        let validator = validator(response);
        let Some(spill) = &mut self.request.spill else {
            return Err(Error::protocol(response.url(), "the file is too large"));
        };
        // What is announced and has no room is not begun; a server may announce nothing.
        spill.require_room(response.content_length().unwrap_or(0)).map_err(Error::Keeping)?;
        let file = spill.open(at, validator.as_deref()).map_err(Error::Keeping)?;
        self.begun = Some(SpillBegun { bytes: at, validator });
        Ok(file)
    }

    fn require_room(&self, bytes: u64) -> Result<()> {
        let spill = self.request.spill.as_ref();
        spill.map_or(Ok(()), |spill| spill.require_room(bytes)).map_err(Error::Keeping)
    }
}

/// Refuses a body that the server compressed on its way, though it was asked not to. Where its first bytes are known they
/// have to show it: other clients pay no attention to the header, which may stand on files as they are, too.
fn refuse_coded(response: &Response, start: Option<&[u8]>) -> Result<()> {
    match header(response, CONTENT_ENCODING) {
        Some(coding) if coding::is_coded(&coding, start) => {
            let why = format!(
                "the server compressed it (Content-Encoding: {coding}), though it was asked not to: let it send files as they are"
            );
            Err(Error::protocol(response.url(), why))
        }
        _ => Ok(()),
    }
}

fn refused(response: &Response) -> Error {
    let retry_after = header(response, RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| delay(&value, header(response, DATE).as_deref()));
    let (url, status) = (shown(response.url()), response.status());
    Error::Status { method: Method::GET, url, status, body: String::new(), retry_after }
}

fn fetched(response: &Response, body: FetchedBody) -> FetchedFile {
    FetchedFile { body, etag: header(response, ETAG), last_modified: header(response, LAST_MODIFIED) }
}

/// What the server will know this content by.
fn validator(response: &Response) -> Option<String> {
    let etag = header(response, ETAG).filter(|etag| etag.starts_with('"'));
    etag.or_else(|| header(response, LAST_MODIFIED))
}

fn header(response: &Response, name: HeaderName) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
