//! What can go wrong with a pull from a remote.

use ostree_format::delta::DeltaName;
use ostree_format::{CommitId, ParseError, RefName};

use crate::base::{Cancelled, ErrorKind, Kind, WithCauses};
use crate::store::Refusal;
use crate::{net, store};

/// The result of every call of a pull from a remote.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with a pull from a remote.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be fetched.
    #[error(transparent)]
    Net(#[from] net::Error),
    /// An object is missing or damaged, or could not be written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The remote has no such ref.
    #[error("No such branch '{0}' in repository summary")]
    NoBranch(RefName),
    /// The file of a ref does not hold a checksum.
    #[error("Fetching checksum for ref ((empty), {name}): Invalid rev {text}")]
    NoRev {
        /// The ref.
        name: RefName,
        /// The start of what is there instead.
        text: String,
    },
    /// All refs were asked for, and nothing lists them.
    #[error("Fetching all refs was requested in mirror mode, but remote repository does not have a summary")]
    NoSummaryToMirror,
    /// The summary needs a signature, and there is none.
    #[error(
        "GPG verification enabled, but no summary found (use gpg-verify-summary=false in remote config to disable)"
    )]
    NoSummaryToVerify,
    /// The summary was refused.
    #[error("{}", WithCauses(&**.0))]
    Refused(Refusal),
    /// The summary cannot be read.
    #[error("{place}")]
    Summary {
        /// The URL or path of the file.
        place: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// A server answers with a web page where a summary should be.
    #[error("{0} is a web page and no summary: is this the URL of a repository?")]
    WebPage(String),
    /// A metalink cannot be read, or what it leads to is not what it tells of.
    #[error("metalink: {0}")]
    Metalink(String),
    /// None of the mirrors in a list can be used.
    #[error("No valid mirrors were found in mirrorlist '{0}'")]
    NoMirror(String),
    /// A static delta is required, and there is none.
    #[error("Static deltas required, but none found for {from} to {to}")]
    NoDelta {
        /// The ref, or nothing for a commit that was asked for itself.
        from: String,
        /// The commit.
        to: CommitId,
    },
    /// A static delta is required, and the remote has none at all.
    #[error("Fetch configured to require static deltas, but no summary deltas or delta index found")]
    NoDeltas,
    /// The superblock of a static delta is not the one that the summary names.
    #[error("Invalid checksum for static delta {0}")]
    WrongDelta(DeltaName),
    /// A static delta is called otherwise than it is: it leads from or to another commit.
    #[error("Static delta {expected} is damaged: its superblock is that of {found}")]
    OtherDelta {
        /// What the remote calls it.
        expected: DeltaName,
        /// The commits that its superblock names.
        found: Box<DeltaName>,
    },
    /// The remote is not an archive.
    #[error("Can't pull from archives with mode \"{0}\"")]
    NotAnArchive(String),
    /// The caller asked for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The work was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Error {
    /// What failed of the store, if it is to blame, and not the remote.
    pub fn store(&self) -> Option<&store::Error> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl Kind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Net(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::NoBranch(_) | Self::NoSummaryToMirror | Self::NoDelta { .. } | Self::NoDeltas => {
                ErrorKind::Missing
            }
            Self::NoRev { .. }
            | Self::Summary { .. }
            | Self::WebPage(_)
            | Self::WrongDelta(_)
            | Self::OtherDelta { .. }
            | Self::Metalink(_) => ErrorKind::Damaged,
            Self::NoMirror(_) => ErrorKind::Network,
            Self::NoSummaryToVerify | Self::Refused(_) => ErrorKind::Refused,
            Self::NotAnArchive(_) => ErrorKind::Unsupported,
            Self::Usage(_) => ErrorKind::Usage,
            Self::Cancelled(_) => ErrorKind::Cancelled,
        }
    }
}
