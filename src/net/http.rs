//! Requests with retries, and redirects that carry no credentials to another host: neither `Authorization` nor
//! the client certificate. Certificate authorities are trusted for whatever host, as in podman and skopeo.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Body, Client, Method, StatusCode, Url};

use super::driver::Driver;
use super::error::{Error, Result, shown};
use super::patience::{Limits, Patience, secs};
use super::pieces::Pieces;
use super::redirect::redirected;
use super::response::Response;
use super::tls::{TlsOptions, TlsVerify};
use crate::base::Ctx;

/// Redirects that are followed.
pub(super) const MAX_REDIRECTS: usize = 10;
/// What all bodies of one HTTP/2 connection may hold unread. Each may hold 2 MiB: one whose reader is busy must not
/// keep the others from coming.
const HTTP2_WINDOW_BYTES: u32 = 32 * 1024 * 1024;
/// Headers that an answer may have.
const MAX_HEADERS: usize = 1000;

/// Options of a client: TLS, proxies, time limits.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Options for TLS.
    pub tls: TlsOptions,
    /// Proxies, the first that fits is used.
    pub proxies: Vec<ProxyRule>,
    /// Hosts reached without a proxy, in the syntax of `NO_PROXY`.
    pub no_proxy: Option<String>,
    /// The time that servers may take.
    pub limits: Limits,
    /// Sent as `User-Agent`.
    pub user_agent: String,
    /// The versions of HTTP that may be spoken.
    pub versions: HttpVersions,
}

/// The versions of HTTP that a client speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HttpVersions {
    /// HTTP/2 where TLS agrees on it, else HTTP/1.1.
    #[default]
    Both,
    /// HTTP/1.1 only.
    Http1,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            tls: TlsOptions::default(),
            proxies: Vec::new(),
            no_proxy: None,
            limits: Limits::default(),
            user_agent: concat!("ostree-rs/", env!("CARGO_PKG_VERSION")).into(),
            versions: HttpVersions::default(),
        }
    }
}

/// A proxy for the URLs of one scheme.
#[derive(Debug, Clone)]
pub enum ProxyRule {
    /// The proxy for `http://`.
    Http(String),
    /// The proxy for `https://`.
    Https(String),
    /// The proxy for both.
    All(String),
}

/// A client for any number of requests at once.
#[derive(Debug, Clone)]
pub struct Http {
    pub(super) client: Client,
    /// Shows no client certificate, which is for the host that was asked for only.
    pub(super) anonymous: Client,
    pub(super) driver: Arc<Driver>,
    verify: TlsVerify,
    pub(super) limits: Limits,
}

/// A request whose body is in memory, so that it can be sent again.
#[derive(Debug, Clone)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The URL to send it to.
    pub url: Url,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, if there is one.
    pub body: Option<Bytes>,
    /// Whether it may be sent again as it is.
    pub resend: Resend,
}

/// Whether a request may be sent again when no answer, or a passing failure, came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// Sending the request twice has the effect of sending it once.
    Yes,
    /// The server may have taken part of the request: the caller has to ask first.
    No,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: None, resend: Resend::Yes }
    }

    /// Sets a header; one that HTTP does not allow is an error of the server's making later on, so it is
    /// left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }
}

impl Http {
    /// A client.
    ///
    /// # Errors
    /// [`Error::Config`] if a certificate, key or proxy cannot be used.
    pub fn new(options: &HttpOptions) -> Result<Self> {
        let client = client(options, &options.tls)?;
        let anonymous = match options.tls.identities.is_empty() {
            true => client.clone(),
            false => self::client(options, &TlsOptions { identities: Vec::new(), ..options.tls.clone() })?,
        };
        let (verify, limits) = (options.tls.verify, options.limits);
        Ok(Self { client, anonymous, driver: Arc::new(Driver::start()?), verify, limits })
    }

    /// The time that servers may take.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The patience with which something is begun.
    pub(crate) fn patience(&self, ctx: &Ctx) -> Patience {
        Patience::new(self.limits, ctx)
    }

    /// Whether the certificates of servers are verified.
    pub(crate) fn verify(&self) -> TlsVerify {
        self.verify
    }

    /// This client without its certificate: for hosts that a server, not the user, has named.
    pub(crate) fn anonymous(&self) -> Self {
        Self { client: self.anonymous.clone(), ..self.clone() }
    }

    /// The body, of at most `limit` bytes, of the answer to `request`.
    ///
    /// # Errors
    /// [`Error::Status`] if the answer is not a success; [`Error::Protocol`] if the body is longer, or redirects lead
    /// nowhere; [`Error::Transport`], [`Error::Cancelled`].
    pub fn fetch(&self, request: &Request, limit: u64, ctx: &Ctx) -> Result<Vec<u8>> {
        let send = |patience: &mut Patience| match self.send(request, patience)? {
            response if response.status().is_success() => Ok(response),
            response => Err(response.into_error(request.method.clone(), patience)),
        };
        Ok(self.read_whole(limit, &mut self.patience(ctx), send)?.1)
    }

    /// Sends `request`, again and again where that can help: no connection, 408, 429, 5xx. Every other
    /// answer is returned, failures included.
    pub(crate) fn send(&self, request: &Request, patience: &mut Patience) -> Result<Response> {
        let mut attempt = 0;
        loop {
            let last = attempt >= self.limits.retries || request.resend == Resend::No;
            let (error, wish) = match self.follow(request, last, patience) {
                Ok(response) if is_passing(response.status()) => {
                    let wish = response.retry_after();
                    (response.into_error(request.method.clone(), patience), wish)
                }
                Ok(response) => return Ok(response),
                Err(error @ Error::Transport { .. }) if !error.is_tls() => (error, None),
                Err(error) => return Err(error),
            };
            tracing::debug!(url = shown(&request.url), why = error.in_short(), attempt, "request failed");
            if last || !patience.pause(attempt, wish, &error.in_short())? {
                return Err(error);
            }
            attempt += 1;
        }
    }

    /// An answer with its body of at most `limit` bytes; when that breaks off, `send` is called again.
    pub(crate) fn read_whole(
        &self,
        limit: u64,
        patience: &mut Patience,
        mut send: impl FnMut(&mut Patience) -> Result<Response>,
    ) -> Result<(Response, Vec<u8>)> {
        let mut attempt = 0;
        loop {
            let mut response = send(patience)?;
            match response.read_whole(limit, patience) {
                Ok(body) => return Ok((response, body)),
                Err(error @ Error::Transport { .. }) => {
                    if !patience.pause(attempt, None, &error.in_short())? {
                        return Err(error);
                    }
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends `request` once and follows redirects. A server that only has to look something up and does not answer
    /// may have lost the request, so that another try helps; one that has to do something may be at it, so it gets all
    /// the time that there is, as it does with the last try.
    fn follow(&self, request: &Request, last: bool, patience: &mut Patience) -> Result<Response> {
        let time = if last || !request.method.is_safe() { patience.left() } else { patience.left() / 2 };
        let until = patience.left().saturating_sub(time);
        let (mut url, mut headers) = (request.url.clone(), request.headers.clone());
        let mut client = &self.client;
        for _ in 0..=MAX_REDIRECTS {
            patience.begin(&url);
            let asked = Instant::now();
            let builder = client.request(request.method.clone(), url.clone()).headers(headers.clone());
            let inner = match &request.body {
                Some(body) if !body.is_empty() => self.send_body(builder, body, patience)?,
                body => {
                    let builder = if body.is_some() { builder.body(Bytes::new()) } else { builder };
                    patience.wait(&self.driver, |patience| patience.left() <= until, builder.send())?
                }
            };
            let inner = match inner {
                Some(Ok(inner)) => inner,
                Some(Err(error)) if error.is_connect() && error.is_timeout() => {
                    let why = format!("no connection within {}", secs(self.limits.connect));
                    return Err(Error::transport(&url, why));
                }
                Some(Err(error)) => return Err(Error::transport(&url, error.without_url())),
                None => return Err(Error::transport(&url, patience.slowness())),
            };
            patience.heard();
            let (ms, status) = (asked.elapsed().as_millis(), inner.status().as_u16());
            tracing::debug!(method = %request.method, url = shown(&url), status, ms, "request");
            let may_follow = matches!(request.method, Method::GET | Method::HEAD);
            if !may_follow || !inner.status().is_redirection() || inner.status() == StatusCode::NOT_MODIFIED {
                return Ok(Response::new(url, inner, Arc::clone(&self.driver)));
            }
            let next = redirected(&url, inner.headers().get(LOCATION))?;
            if next.origin() != url.origin() {
                headers.remove(AUTHORIZATION);
                client = &self.anonymous;
            }
            url = next;
        }
        Err(Error::protocol(&request.url, format!("redirected more than {MAX_REDIRECTS} times")))
    }

    /// Sends a request with a body, which has to keep moving; then the server may think about it.
    fn send_body(
        &self,
        builder: reqwest::RequestBuilder,
        body: &Bytes,
        patience: &mut Patience,
    ) -> Result<Option<reqwest::Result<reqwest::Response>>> {
        let (pieces, sent) = Pieces::new(body.clone());
        let (mut before, all) = (0, body.len() as u64);
        let over = |patience: &mut Patience| {
            let now = sent.bytes();
            patience.moved(now - before);
            before = now;
            if now < all { patience.is_slow() } else { patience.is_over() }
        };
        Ok(patience.wait(&self.driver, over, builder.body(Body::wrap(pieces)).send())?)
    }
}

/// Redirects are followed by us, who know what may go along.
fn client(options: &HttpOptions, tls: &TlsOptions) -> Result<Client> {
    let config = |e: reqwest::Error| Error::Config { what: "HTTP client".into(), why: e.to_string() };
    let mut tls = tls.client_config()?;
    if options.versions == HttpVersions::Both {
        // A configuration that was made before is not told by reqwest what to offer.
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(options.limits.connect)
        .http2_initial_connection_window_size(HTTP2_WINDOW_BYTES)
        // What other clients read, too: proxies write headers in many ways.
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .http1_max_headers(MAX_HEADERS)
        // Sizes and digests are those of the bytes as they are.
        .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
        .user_agent(&options.user_agent);
    if options.versions == HttpVersions::Http1 {
        builder = builder.http1_only();
    }
    for rule in &options.proxies {
        let proxy = match rule {
            ProxyRule::Http(url) => reqwest::Proxy::http(url),
            ProxyRule::Https(url) => reqwest::Proxy::https(url),
            ProxyRule::All(url) => reqwest::Proxy::all(url),
        };
        let except = options.no_proxy.as_deref().and_then(reqwest::NoProxy::from_string);
        builder = builder.proxy(proxy.map_err(config)?.no_proxy(except));
    }
    builder.build().map_err(config)
}

/// Whether an answer with this status may be another one in a moment.
pub(crate) fn is_passing(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS)
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}
