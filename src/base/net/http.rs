//! Requests with retries, and redirects that carry no credentials to another host: neither `Authorization` nor
//! the client certificate. Certificate authorities are trusted for whatever host, as in podman and skopeo.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use reqwest::blocking::Client;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};

use super::error::{Error, Result, shown};
use super::response::Response;
use super::tls::{TlsOptions, TlsVerify};
use crate::base::{Cancel, Ctx};

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 10;
/// A line that takes less in a second is broken.
const MIN_BYTES_PER_SEC: u64 = 16 * 1024;
/// The longest that a server's `Retry-After` is honoured.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// How to connect.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// TLS.
    pub tls: TlsOptions,
    /// Proxies, the first that fits is used.
    pub proxies: Vec<ProxyRule>,
    /// Hosts reached without a proxy, in the syntax of `NO_PROXY`.
    pub no_proxy: Option<String>,
    /// How often a request is tried again.
    pub retries: u32,
    /// How long a server may be silent.
    pub silence: Duration,
    /// Sent as `User-Agent`.
    pub user_agent: String,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            tls: TlsOptions::default(),
            proxies: Vec::new(),
            no_proxy: None,
            retries: 5,
            silence: Duration::from_secs(60),
            user_agent: concat!("ostree-rs/", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// A proxy for the URLs of one scheme.
#[derive(Debug, Clone)]
pub enum ProxyRule {
    /// For `http://`.
    Http(String),
    /// For `https://`.
    Https(String),
    /// For both.
    All(String),
}

/// A client for any number of requests at once.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    /// Shows no client certificate, which is for the host that was asked for only.
    anonymous: Client,
    verify: TlsVerify,
    retries: u32,
    silence: Duration,
}

/// A request whose body is in memory, so that it can be sent again.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Where it goes.
    pub url: Url,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Option<Bytes>,
    /// Whether it may be sent again as it is.
    pub resend: Resend,
}

/// Whether a request may be sent again when no answer, or a passing failure, came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// It does the same twice as once.
    Yes,
    /// Part of it may have been taken: the caller has to ask first.
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
        let anonymous = match &options.tls.identity {
            Some(_) => self::client(options, &TlsOptions { identity: None, ..options.tls.clone() })?,
            None => client.clone(),
        };
        let (verify, retries, silence) = (options.tls.verify, options.retries, options.silence);
        Ok(Self { client, anonymous, verify, retries, silence })
    }

    /// Whether the certificates of servers are verified.
    pub(crate) fn verify(&self) -> TlsVerify {
        self.verify
    }

    /// The same without the client certificate: for hosts that are none of our choosing.
    pub(crate) fn anonymous(&self) -> Self {
        Self { client: self.anonymous.clone(), ..self.clone() }
    }

    /// Sends `request`, again and again where that can help: no connection, 408, 429, 5xx. Every other
    /// answer is returned, failures included.
    ///
    /// # Errors
    /// [`Error::Transport`], [`Error::Protocol`] for redirects that lead nowhere, [`Error::Cancelled`];
    /// [`Error::Status`] if it is still worth a retry after the last one.
    pub fn send(&self, request: &Request, ctx: &Ctx) -> Result<Response> {
        let mut attempt = 0;
        loop {
            ctx.cancel.check()?;
            let (error, wish) = match self.follow(request) {
                Ok(response) if is_passing(response.status()) => {
                    let wish = response.header(RETRY_AFTER).and_then(delay);
                    (response.into_error(request.method.clone()), wish)
                }
                Ok(response) => return Ok(response),
                Err(error @ Error::Transport { .. }) if !error.is_tls() => (error, None),
                Err(error) => return Err(error),
            };
            if attempt >= self.retries || request.resend == Resend::No {
                return Err(error);
            }
            wait(wish.unwrap_or_else(|| back_off(attempt)), &ctx.cancel)?;
            attempt += 1;
        }
    }

    /// [`Http::send`]; an answer that is not a success becomes an error.
    ///
    /// # Errors
    /// [`Error::Status`], and as [`Http::send`].
    pub fn send_ok(&self, request: &Request, ctx: &Ctx) -> Result<Response> {
        let response = self.send(request, ctx)?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(response.into_error(request.method.clone()))
        }
    }

    /// An answer with its body of at most `limit` bytes; when that breaks off, `send` is called again.
    ///
    /// # Errors
    /// What `send` gives; [`Error::Protocol`] if the body is longer, [`Error::Transport`] if it breaks off
    /// once more than is retried.
    pub fn read_whole(
        &self,
        limit: u64,
        ctx: &Ctx,
        mut send: impl FnMut() -> Result<Response>,
    ) -> Result<(Response, Vec<u8>)> {
        let mut attempt = 0;
        loop {
            let mut response = send()?;
            match response.read_whole(limit) {
                Ok(body) => return Ok((response, body)),
                Err(Error::Transport { .. }) if attempt < self.retries => {
                    wait(back_off(attempt), &ctx.cancel)?;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn retries(&self) -> u32 {
        self.retries
    }

    /// Sends `request` once and follows redirects.
    fn follow(&self, request: &Request) -> Result<Response> {
        let (mut url, mut headers) = (request.url.clone(), request.headers.clone());
        let mut client = &self.client;
        for _ in 0..=MAX_REDIRECTS {
            let mut builder = client.request(request.method.clone(), url.clone()).headers(headers.clone());
            if let Some(body) = &request.body {
                let slow = Duration::from_secs(body.len() as u64 / MIN_BYTES_PER_SEC);
                builder = builder.timeout(self.silence + slow).body(body.clone());
            }
            let inner = builder.send().map_err(|e| Error::transport(&url, e.without_url()))?;
            let may_follow = matches!(request.method, Method::GET | Method::HEAD);
            if !may_follow || !inner.status().is_redirection() || inner.status() == StatusCode::NOT_MODIFIED {
                return Ok(Response { url, inner });
            }
            let target = inner.headers().get(LOCATION).and_then(|v| v.to_str().ok());
            let target = target.ok_or_else(|| Error::protocol(&url, "redirected without a Location"))?;
            let next = url
                .join(target)
                .map_err(|e| Error::protocol(&url, format!("redirected to {target:?}: {e}")))?;
            if url.scheme() == "https" && next.scheme() != "https" {
                return Err(Error::protocol(&url, format!("redirected away from TLS, to {}", shown(&next))));
            }
            if next.origin() != url.origin() {
                headers.remove(AUTHORIZATION);
                client = &self.anonymous;
            }
            url = next;
        }
        Err(Error::protocol(&request.url, format!("redirected more than {MAX_REDIRECTS} times")))
    }
}

/// Redirects are followed by us, who know what may go along.
fn client(options: &HttpOptions, tls: &TlsOptions) -> Result<Client> {
    let config = |e: reqwest::Error| Error::Config { what: "HTTP client".into(), why: e.to_string() };
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls.client_config()?)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(options.silence)
        .connect_timeout(options.silence)
        .user_agent(&options.user_agent);
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
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// How long `Retry-After` asks to wait: so many seconds, or until a date.
fn delay(value: &str) -> Option<Duration> {
    if let Ok(secs) = value.trim().parse() {
        return Some(Duration::from_secs(secs));
    }
    let until = SystemTime::from(chrono::DateTime::parse_from_rfc2822(value.trim()).ok()?);
    // A date that has passed asks for no more than the usual pause.
    until.duration_since(SystemTime::now()).ok()
}

/// 0.2 s, doubled with each attempt.
pub(crate) fn back_off(attempt: u32) -> Duration {
    Duration::from_millis(200).saturating_mul(1 << attempt.min(10))
}

/// Sleeps, but not past a cancellation.
pub(crate) fn wait(time: Duration, cancel: &Cancel) -> Result<()> {
    let end = Instant::now() + time.min(MAX_DELAY);
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        cancel.check()?;
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
    Ok(cancel.check()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after() {
        assert_eq!(delay("7"), Some(Duration::from_secs(7)));
        assert_eq!(delay("Wed, 21 Oct 2015 07:28:00 GMT"), None);
        let later = delay("Fri, 01 Jan 2100 00:00:00 GMT").unwrap();
        assert!(later > Duration::from_secs(3600));
        assert_eq!(delay("soon"), None);
    }
}
