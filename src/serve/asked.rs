//! A request, as far as it counts: method, path, and three headers.

use hyper::header::{HOST, HeaderMap, HeaderName, IF_NONE_MATCH, IF_RANGE, RANGE};
use hyper::{Method, Request};

use super::limits::MAX_PATH_BYTES;

/// What a client asks for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Only the headers of the answer are wanted.
    pub(super) is_head: bool,
    /// The parts of the path between slashes, decoded. The last is empty if the path ends with a slash.
    pub(super) path: Vec<String>,
    /// What stands behind the `?`, by names, decoded.
    query: Vec<(String, String)>,
    /// The header `Host`, if it is a name or address and perhaps a port.
    pub(super) host: Option<String>,
    /// The header `If-None-Match`.
    pub(super) if_none_match: Option<String>,
    /// The header `Range`.
    pub(super) range: Option<String>,
    /// The header `If-Range`.
    pub(super) if_range: Option<String>,
}

/// Why a request is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// A request that wants to change something.
    Method,
    /// A path that is no text, or too long.
    Path,
}

impl Asked {
    pub(super) fn of<B>(request: &Request<B>) -> Result<Self, Refused> {
        let is_head = match *request.method() {
            Method::GET => false,
            Method::HEAD => true,
            _ => return Err(Refused::Method),
        };
        let (path, headers) = (request.uri().path(), request.headers());
        if path.len() > MAX_PATH_BYTES {
            return Err(Refused::Path);
        }
        let parts = path.strip_prefix('/').ok_or(Refused::Path)?.split('/');
        Ok(Self {
            is_head,
            path: parts.map(decode).collect::<Option<_>>().ok_or(Refused::Path)?,
            query: request.uri().query().map(pairs).unwrap_or_default(),
            host: text(headers, &HOST).filter(|host| is_host(host)),
            if_none_match: text(headers, &IF_NONE_MATCH),
            range: text(headers, &RANGE),
            if_range: text(headers, &IF_RANGE),
        })
    }

    /// A request for all of what has this path.
    pub(super) fn path(path: Vec<String>) -> Self {
        Self { path, ..Self::default() }
    }

    /// A request without conditions.
    pub(super) fn nothing() -> Self {
        Self::default()
    }

    /// The value of a parameter behind the `?`.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    /// The path as slices, to be matched.
    pub(super) fn parts(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b))
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        Some((decode(name)?, decode(value)?))
    };
    query.split('&').filter_map(pair).collect()
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Turns `%2B` into `+`; `None` if what comes out is no text, or holds a NUL.
fn decode(part: &str) -> Option<String> {
    let mut out = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                let mut value = [0];
                hex::decode_to_slice(digits, &mut value).ok()?;
                value[0]
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok().filter(|text| !text.contains('\0'))
}
