//! What keeps a server from serving at all.

use std::io;

/// The result of [`serve`](super::serve).
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What keeps a server from serving at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection can be taken.
    #[error("cannot listen: {0}")]
    Listen(#[source] io::Error),
    /// The certificate or its key cannot be used.
    #[error("TLS: {0}")]
    Tls(String),
}
