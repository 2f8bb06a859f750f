//! The configuration of podman and skopeo, read as they read it.
//!
//! ```text
//! any_case     what auth's JSON may be written in: keys in any case
//! auth         auth.json, config.json: who we are at which registry
//! registries   registries.conf: mirrors, blocked and insecure registries, short names
//! policy       policy.json: which images are accepted, signed by whom
//! yaml         the form of registries.d, which says where signatures lie: trust::lookaside
//! ```
//! Bytes in, values out: the program finds and opens the files.

#[cfg(feature = "net")]
mod any_case;
#[cfg(feature = "net")]
pub mod auth;
pub mod policy;
pub mod registries;
#[cfg(feature = "net")]
pub(super) mod yaml;
