//! What can go wrong between two ends of a pipe.

use std::io;

use super::frame::VERSION;
use crate::base::{Cancelled, ErrorKind, Kind};
use crate::store;

/// The result of talking to the other side.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong while commits go through a pipe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store on this side.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The stream ended, or the pipe was closed, before the work was done.
    #[error("the connection ended before the work was done")]
    BrokenOff,
    /// The stream could not be read or written.
    #[error("the connection broke: {0}")]
    Stream(io::Error),
    /// Something else than a receiver or sender is at the other end.
    #[error("no ostree-rs answers there; what came instead begins with {0:?}")]
    NotSpoken(String),
    /// The other side is of another time.
    #[error("the other side speaks version {0} of the protocol, and this one version {VERSION}")]
    Version(u32),
    /// The other side does not keep to the protocol.
    #[error("the other side breaks the protocol: {0}")]
    Protocol(&'static str),
    /// What the other side says that went wrong there.
    #[error("{0}")]
    Peer(String),
    /// A ref of the receiver was changed while objects were on their way.
    #[error("ref {0} was changed by somebody else in the meantime")]
    RefChanged(ostree_format::RefName),
    /// The work was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Error {
    /// What failed of the store on this side, if it is to blame.
    pub fn store(&self) -> Option<&store::Error> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }

    /// Of reading or writing a stream.
    pub(super) fn stream(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => Self::BrokenOff,
            _ => Self::Stream(error),
        }
    }
}

impl Kind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            // What the other side could not do says nothing against what came before.
            Self::BrokenOff | Self::Stream(_) | Self::Peer(_) => ErrorKind::Network,
            Self::RefChanged(_) => ErrorKind::Locked,
            Self::NotSpoken(_) | Self::Protocol(_) => ErrorKind::Damaged,
            Self::Version(_) => ErrorKind::Unsupported,
            Self::Cancelled(_) => ErrorKind::Cancelled,
        }
    }
}
