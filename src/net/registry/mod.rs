//! A client for one repository of a registry: the OCI distribution specification and Docker's schema 2.
//!
//! ```text
//! GET  /v2/NAME/manifests/REF        PUT the same
//! GET  /v2/NAME/blobs/DIGEST         HEAD the same
//! POST /v2/NAME/blobs/uploads/       PATCH, PUT what its Location says
//! GET  /v2/NAME/referrers/DIGEST     /v2/NAME/tags/list
//! ```
//! Source: OCI distribution specification 1.1; for tokens the Docker registry token specification.

mod auth;
mod blobs;
mod challenge;
mod lists;
mod upload;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ostree_format::Checksum;
use reqwest::header::{ACCEPT, CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};
use serde::de::IgnoredAny;

use super::error::{Login, host, shown};
use super::response::{MAX_WORDS, words};
use super::{Error, Http, Limits, Patience, Request, Response, Result};
use crate::base::Ctx;

pub use auth::Credentials;
pub use upload::{Line, SMALLEST_CHUNK_BYTES, Upload};

/// The largest manifest that is read, in bytes (the specification asks for 4 MiB at least).
pub const MAX_MANIFEST_BYTES: u64 = 16 * 1024 * 1024;
/// The version of the signatures that a registry itself keeps.
const SIGNATURE_VERSION: u32 = 2;
/// The header in which a registry tells the digest of what it answers.
const DIGEST_HEADER: &str = "docker-content-digest";

/// One repository of a registry; clones share its tokens.
#[derive(Debug, Clone)]
pub struct Registry {
    http: Http,
    base: Url,
    name: String,
    credentials: Option<Credentials>,
    tokens: Arc<Mutex<auth::Tokens>>,
}

/// The access that a request needs; registries give a token for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegistryAccess {
    /// Reading.
    Pull,
    /// Reading and writing.
    Push,
}

/// A manifest as the registry has it. Its digest is not verified here.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The bytes of the manifest.
    pub bytes: Vec<u8>,
    /// The media type, if the registry gives it.
    pub media_type: Option<String>,
    /// The digest, if the registry gives it.
    pub digest: Option<String>,
}

impl Registry {
    /// The repository `name` at `base`, such as `https://quay.io`.
    ///
    /// # Errors
    /// [`Error::Config`] if the two make no URL.
    pub fn new(http: Http, base: &str, name: &str, credentials: Option<Credentials>) -> Result<Self> {
        let bad = |why: String| Error::Config { what: format!("registry {base}"), why };
        let base: Url = base.parse().map_err(|e| bad(format!("{e}")))?;
        if base.host_str().is_none() {
            return Err(bad("no host".into()));
        }
        Ok(Self { http, base, name: name.into(), credentials, tokens: Arc::default() })
    }

    /// The name of the repository.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The registry and the repository, for messages: `HOST[:PORT]/NAME`.
    pub fn place(&self) -> String {
        format!("{}/{}", host(&self.base), self.name)
    }

    /// The time that the registry may take.
    pub fn limits(&self) -> Limits {
        self.http.limits()
    }

    fn url(&self, rest: &str) -> Result<Url> {
        let url = self.base.join(&format!("/v2/{}/{rest}", self.name));
        url.map_err(|e| Error::Config { what: format!("{}/{rest}", self.name), why: e.to_string() })
    }

    /// Asks whether a registry answers here at all, with or without letting us in.
    ///
    /// # Errors
    /// [`Error::Transport`] if nobody answers, [`Error::Protocol`] if it is no registry.
    pub fn ping(&self, ctx: &Ctx) -> Result<()> {
        let url = self.base.join("/v2/").map_err(|e| Error::protocol(&self.base, e.to_string()))?;
        let response = self.http.send(&Request::new(Method::GET, url), &mut self.http.patience(ctx))?;
        match response.status() {
            s if s.is_success() || s == StatusCode::UNAUTHORIZED || s == StatusCode::FORBIDDEN => Ok(()),
            s => Err(Error::protocol(&response.url, format!("not a registry: {s}"))),
        }
    }

    /// The manifest that a tag or digest names, in one of the media types `accept`.
    ///
    /// # Errors
    /// [`Error::Status`] (see [`Error::is_not_found`]), [`Error::NotJson`], and what the network gives.
    pub fn manifest(&self, reference: &str, accept: &[&str], ctx: &Ctx) -> Result<Manifest> {
        let request = Request::new(Method::GET, self.url(&format!("manifests/{reference}"))?);
        let request = request.header(ACCEPT, &accept.join(", "));
        let (response, bytes) = self.read(&request, &mut self.http.patience(ctx))?;
        response.refuse_error("manifest", &bytes)?;
        response.parse::<BTreeMap<String, IgnoredAny>>("manifest", &bytes)?;
        let media_type = response.header(CONTENT_TYPE).map(str::to_string);
        let digest = response.header(DIGEST_HEADER).map(str::to_string);
        Ok(Manifest { bytes, media_type, digest })
    }

    /// The digest of the manifest that a tag names, without fetching it; `None` if there is no such tag, or
    /// the registry does not tell.
    ///
    /// # Errors
    /// What the network gives.
    pub fn manifest_digest(&self, reference: &str, accept: &[&str], ctx: &Ctx) -> Result<Option<String>> {
        let request = Request::new(Method::HEAD, self.url(&format!("manifests/{reference}"))?);
        let patience = &mut self.http.patience(ctx);
        let response =
            self.send(&request.header(ACCEPT, &accept.join(", ")), RegistryAccess::Pull, patience)?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(None),
            s if s.is_success() => Ok(response.header(DIGEST_HEADER).map(str::to_string)),
            _ => Err(self.failed(response, Method::HEAD, patience)),
        }
    }

    /// Stores a manifest under a tag or its digest.
    ///
    /// # Errors
    /// [`Error::Status`] and what the network gives.
    pub fn put_manifest(&self, reference: &str, media_type: &str, bytes: &[u8], ctx: &Ctx) -> Result<()> {
        let request = Request::new(Method::PUT, self.url(&format!("manifests/{reference}"))?)
            .header(CONTENT_TYPE, media_type)
            .body(bytes.to_vec());
        self.send_ok(&request, RegistryAccess::Push, &mut self.http.patience(ctx)).map(drop)
    }

    /// The GPG signatures that the registry itself keeps of an image, if it is one that keeps them
    /// (`X-Registry-Supports-Signatures`, as OpenShift's).
    ///
    /// # Errors
    /// [`Error::NotJson`] if the answer is no list of signatures; what the network gives.
    pub fn signatures(&self, image: &Checksum, ctx: &Ctx) -> Result<Option<Vec<Vec<u8>>>> {
        #[derive(serde::Deserialize)]
        struct List {
            signatures: Vec<Signature>,
        }
        #[derive(serde::Deserialize)]
        struct Signature {
            #[serde(rename = "type")]
            kind: String,
            #[serde(rename = "schemaVersion")]
            version: u32,
            content: String,
        }
        let root = self.base.join("/v2/").map_err(|e| Error::protocol(&self.base, e.to_string()))?;
        let patience = &mut self.http.patience(ctx);
        let response = self.send(&Request::new(Method::GET, root), RegistryAccess::Pull, patience)?;
        if response.header("x-registry-supports-signatures") != Some("1") {
            return Ok(None);
        }
        let path = format!("/extensions/v2/{}/signatures/sha256:{image}", self.name);
        let url = self.base.join(&path).map_err(|e| Error::protocol(&self.base, e.to_string()))?;
        let (response, bytes) = self.read(&Request::new(Method::GET, url.clone()), patience)?;
        let list: List = response.parse("list of signatures", &bytes)?;
        let atomic = list.signatures.iter().filter(|s| s.kind == "atomic" && s.version == SIGNATURE_VERSION);
        let decoded = atomic.map(|s| STANDARD.decode(&s.content));
        let decoded: Result<Vec<_>, _> = decoded.collect();
        decoded.map(Some).map_err(|e| Error::protocol(&url, format!("signature: {e}")))
    }

    fn send(&self, request: &Request, access: RegistryAccess, patience: &mut Patience) -> Result<Response> {
        self.send_scoped(request, access, None, patience)
    }

    fn send_ok(
        &self,
        request: &Request,
        access: RegistryAccess,
        patience: &mut Patience,
    ) -> Result<Response> {
        let response = self.send(request, access, patience)?;
        match response.status() {
            s if s.is_success() => Ok(response),
            _ => Err(self.failed(response, request.method.clone(), patience)),
        }
    }

    /// A successful answer with its short body, which may break off on its way.
    fn read(&self, request: &Request, patience: &mut Patience) -> Result<(Response, Vec<u8>)> {
        let send = |patience: &mut Patience| self.send_ok(request, RegistryAccess::Pull, patience);
        self.http.read_whole(MAX_MANIFEST_BYTES, patience, send)
    }

    /// Sends a request to where the registry said; credentials go along only to the registry itself, and
    /// nothing goes there in the clear if the registry speaks TLS.
    fn send_at(
        &self,
        request: &Request,
        access: RegistryAccess,
        patience: &mut Patience,
    ) -> Result<Response> {
        if request.url.origin() == self.base.origin() {
            return self.send(request, access, patience);
        }
        if self.base.scheme() == "https" && request.url.scheme() != "https" {
            return Err(Error::protocol(
                &self.base,
                format!("leads away from TLS, to {}", shown(&request.url)),
            ));
        }
        self.http.anonymous().send(request, patience)
    }

    /// The error that a failed answer stands for. Where a redirect led nobody asks who we are: there, other
    /// credentials are of no use.
    fn failed(&self, response: Response, method: Method, patience: &Patience) -> Error {
        match response.url.origin() == self.base.origin() {
            true => self.refused(response, method, patience),
            false => response.into_error(method, patience),
        }
    }

    /// The error of the registry itself, or of the server of its tokens.
    fn refused(&self, response: Response, method: Method, patience: &Patience) -> Error {
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.denied(response, patience),
            _ => response.into_error(method, patience),
        }
    }

    /// What to tell somebody who is not let in.
    fn denied(&self, mut response: Response, patience: &Patience) -> Error {
        let asked = response.headers(WWW_AUTHENTICATE);
        let (login, hint) = match &self.credentials {
            _ if !asked.is_empty() && challenge::parse(&asked).is_empty() => {
                let asked = words(asked.join(", ").as_bytes(), MAX_WORDS);
                (Login::Insufficient, format!("how it wants to be told who asks is not known: {asked}"))
            }
            Some(_) => (Login::Insufficient, "the credentials given for it do not suffice".to_owned()),
            None => (Login::None, "it wants credentials and none are configured".to_owned()),
        };
        let said = match response.words(patience) {
            said if said.is_empty() => said,
            said => format!(" ({said})"),
        };
        let why = format!("{}{said} for {}: {hint}", response.status(), self.name);
        Error::Denied { host: host(&self.base), why, login }
    }
}
