//! What people have configured for podman and skopeo, read the same way.
//!
//! ```text
//! auth         auth.json, config.json: who we are at which registry
//! registries   registries.conf: mirrors, blocked and insecure registries, short names
//! policy       policy.json: which images are accepted, signed by whom
//! ```
//! Bytes in, values out: the program finds and opens the files.

pub mod auth;
pub mod policy;
pub mod registries;

/// A configuration file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {why}")]
pub struct ConfigError {
    /// The file.
    pub file: String,
    /// Where and what is wrong.
    pub why: String,
}

impl ConfigError {
    pub(crate) fn new(file: &str, why: impl std::fmt::Display) -> Self {
        Self { file: file.into(), why: why.to_string() }
    }
}
