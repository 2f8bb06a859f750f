//! Kinds of errors, which are the same for the errors of all modules.

use std::io;

use super::Cancelled;

/// The sort of an error: what a caller who cannot do anything about the details has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A commit or an image is not accepted: its signer or policy does not vouch for it, or nobody was named to do
    /// so.
    Refused,
    /// Bytes are not what their name, digest or format says.
    Damaged,
    /// Something that is named is not there.
    Missing,
    /// A server cannot be reached, broke off, or answers with an error.
    Network,
    /// A disk, quota or table of the system is full: with more room the same would succeed.
    Exhausted,
    /// Another process holds a lock.
    Locked,
    /// The work was told to stop.
    Cancelled,
    /// Something is not supported here, or cannot be kept in this place.
    Unsupported,
    /// The caller, or a configuration file, asks for something that makes no sense.
    Usage,
    /// The system refuses something else.
    System,
}

/// An error that knows its kind.
pub trait Kind {
    /// The kind of the error: that of its innermost cause.
    fn kind(&self) -> ErrorKind;
}

impl Kind for Cancelled {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Cancelled
    }
}

impl Kind for io::Error {
    fn kind(&self) -> ErrorKind {
        use io::ErrorKind as Io;
        let full = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE, rustix::io::Errno::MLINK];
        if self.raw_os_error().is_some_and(|raw| full.iter().any(|errno| errno.raw_os_error() == raw)) {
            return ErrorKind::Exhausted;
        }
        match self.kind() {
            Io::StorageFull | Io::QuotaExceeded | Io::OutOfMemory | Io::FileTooLarge => ErrorKind::Exhausted,
            Io::NotFound => ErrorKind::Missing,
            Io::InvalidData | Io::UnexpectedEof => ErrorKind::Damaged,
            Io::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::System,
        }
    }
}
