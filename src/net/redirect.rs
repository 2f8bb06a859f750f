//! Where a redirect leads: to HTTP, and never away from TLS.

use reqwest::Url;
use reqwest::header::HeaderValue;

use super::error::shown;
use super::{Error, Result};

/// The URL that `location` leads to from `from`.
pub(super) fn redirected(from: &Url, location: Option<&HeaderValue>) -> Result<Url> {
    let target = location.map(text).ok_or_else(|| Error::protocol(from, "redirected without a Location"))?;
    let next =
        from.join(&target).map_err(|e| Error::protocol(from, format!("redirected to {target:?}: {e}")))?;
    if !matches!(next.scheme(), "http" | "https") {
        return Err(Error::protocol(from, format!("redirected to {}, which is not HTTP", shown(&next))));
    }
    if from.scheme() == "https" && next.scheme() != "https" {
        return Err(Error::protocol(from, format!("redirected away from TLS, to {}", shown(&next))));
    }
    Ok(next)
}

/// A Location as URLs are written: storage puts names of files into it whose bytes are not ASCII.
fn text(location: &HeaderValue) -> String {
    let mut out = String::new();
    for byte in location.as_bytes() {
        match byte.is_ascii() {
            true => out.push(char::from(*byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
