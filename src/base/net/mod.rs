//! HTTP for everything above: one client, blocking calls, retries, and bodies that resume where they were cut.
//!
//! ```text
//! registry   OCI distribution: manifests, blobs, uploads, tokens
//! body       a response body that asks for the rest with `Range` when the connection breaks
//! response   status, headers, body
//! http       requests with retries, and redirects that carry no credentials to another host
//! tls        roots, client certificates
//! ```
//! reqwest runs its requests on a thread of its own; nothing of that shows here. Proxies are told by the
//! caller: the library does not read the environment.

mod body;
mod error;
mod http;
pub mod registry;
mod response;
mod tls;

pub use body::Resumed;
pub use error::{Error, Result};
pub use http::{Http, HttpOptions, ProxyRule, Request, Resend};
pub use reqwest::{Method, StatusCode, Url};
pub use response::Response;
pub use tls::{Identity, TlsOptions, TlsVerify};
