//! What keeps a server from serving at all, and an export from being made.

use std::io;

use crate::base::{ErrorKind, Kind};

/// The result of [`serve`](super::serve) and [`export`](super::export()).
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What keeps a server from serving at all, and an export from being made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection can be taken.
    #[error("cannot listen")]
    Listen(#[source] io::Error),
    /// Something cannot be exported.
    #[error("export of {path}: {why}")]
    Export {
        /// The file that was to be written.
        path: String,
        /// The reason.
        why: String,
    },
    /// The export was told to stop.
    #[error("cancelled")]
    Cancelled,
    /// The certificate or its key cannot be used.
    #[error("TLS: {0}")]
    Tls(String),
}

impl Kind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Listen(source) => Kind::kind(source),
            Self::Export { .. } => ErrorKind::System,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::Tls(_) => ErrorKind::Usage,
        }
    }
}
