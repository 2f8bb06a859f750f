//! HTTP for everything above: one client, blocking calls, retries, and bodies that resume where they were cut.
//!
//! ```text
//! registry   OCI distribution: manifests, blobs, uploads, tokens
//! downloads  many files at once, each a task: small ones into memory, large ones into files that a later run goes on with
//! body       a response body that asks for the rest with `Range` when the connection breaks
//! several    many parts of a body in one answer
//! response   status, headers, body; coding: bodies that were compressed on their way
//! http       requests with retries, and redirects that carry no credentials to another host; redirect: where these lead
//! pieces     a request's body that tells how much of it is on its way
//! patience   how long all of this may take
//! driver     the thread that moves bytes
//! tls        roots; identity: client certificates
//! ```
//! Every wait ends at once when the work is cancelled. Proxies and certificate authorities are told by the caller:
//! neither the environment nor the system's files are read here.

mod body;
mod coding;
mod downloads;
mod driver;
mod error;
mod http;
mod identity;
mod patience;
mod pieces;
mod redirect;
pub mod registry;
mod response;
mod several;
mod tls;

pub(crate) use body::Reopen;
pub use body::Resumed;
pub use downloads::{Downloads, FetchedBody, FetchedFile, FileRequest, HeldBytes, Spill, SpillBegun};
pub(crate) use error::shown;
pub use error::{Error, Login, Result, TlsProblem};
pub use http::{Http, HttpOptions, HttpVersions, ProxyRule, Request, Resend};
pub use identity::{Identity, PemFile};
pub use patience::Limits;
pub(crate) use patience::Patience;
pub use reqwest::header;
pub use reqwest::{Method, StatusCode, Url};
pub use response::Response;
pub use rustls::pki_types::CertificateDer;
pub use tls::{Authorities, TlsOptions, TlsVerify};
