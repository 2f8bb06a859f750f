//! Lists of mirrors: an address on each line, `#` begins a comment.

use super::error::{Error, Result};
use super::server::{MAX_MIRRORS, RemoteServer};
use crate::base::{Ctx, WithCauses};
use crate::net::header::HeaderMap;
use crate::net::{Http, Url};

impl RemoteServer {
    /// The addresses in the list at `url`, without those in front that do not answer. Lines that are no addresses of web
    /// servers are passed over.
    ///
    /// # Errors
    /// [`Error::NoMirror`] if none is left; [`Error::Net`] if the list cannot be fetched.
    pub fn mirrors(http: &Http, url: &Url, headers: &HeaderMap, ctx: &Ctx) -> Result<Vec<Url>> {
        let list = Self::fetch_url(http, url, headers, ctx)?;
        let mut for_others = headers.clone();
        Self::strip_secrets(&mut for_others);
        let list = String::from_utf8_lossy(&list);
        let lines = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let urls = lines.filter_map(|line| Url::parse(line).ok());
        let urls = urls.filter(|url| matches!(url.scheme(), "http" | "https"));
        let mut mirrors: Vec<Url> = urls.take(MAX_MIRRORS).collect();
        // One that answers in front saves every request a detour.
        while let Some(first) = mirrors.first() {
            let server = Self::new(http.clone(), vec![first.clone()], Vec::new(), for_others.clone());
            match server.require("config", ctx) {
                Ok(_) => return Ok(mirrors),
                Err(error) => {
                    ctx.cancel.check()?;
                    tracing::debug!(mirror = %first, error = %WithCauses(&error), "mirror left out");
                    mirrors.remove(0);
                }
            }
        }
        Err(Error::NoMirror(url.to_string()))
    }
}
