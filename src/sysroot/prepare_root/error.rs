//! What keeps a deployment from becoming the root.

use std::io;
use std::path::PathBuf;

use ostree_format::{CommitId, ParseError};

use super::cmdline::UnknownSlot;
use super::config::RootConfigError;
use super::units::NoStateroot;
use crate::base::{ErrorKind, Kind, VerityDigest};
use crate::sign::Unverified;

/// The result of every step.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What keeps a deployment from becoming the root.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command line names no deployment.
    #[error("No ostree target found: the kernel's command line has no ostree=")]
    NoTarget,
    /// Android's boot loader names a slot that is neither `_a` nor `_b`.
    #[error(transparent)]
    Slot(#[from] UnknownSlot),
    /// What the command line names is not a link to a deployment.
    #[error("OSTree target is not a symbolic link: {0}")]
    NotALink(String),
    /// `prepare-root.conf` cannot be understood.
    #[error("Parsing rootfs config")]
    Config(#[from] RootConfigError),
    /// The command line names a deployment whose stateroot cannot be told.
    #[error(transparent)]
    NoStateroot(#[from] NoStateroot),
    /// A file or directory could not be read or made.
    #[error("{op} {}", path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A mount could not be made, changed or taken away.
    #[error("{what} {}", path.display())]
    Mount {
        /// What was tried.
        what: &'static str,
        /// The place.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A path is to be an option of a mount, and no text.
    #[error("{} is not UTF-8", .0.display())]
    NotUtf8(PathBuf),
    /// A transient root needs composefs.
    #[error("Must enable composefs with root.transient")]
    TransientWithoutComposefs,
    /// composefs is asked for, and the deployment has no image.
    #[error("composefs: the deployment has no image .ostree.cfs")]
    NoImage,
    /// A soft reboot leads to composefs alone.
    #[error(
        "soft reboot not supported without composefs: prepare-root.conf of the deployment has no composefs.enabled"
    )]
    NextWithoutComposefs,
    /// What the kernel has mounted as its root is a deployment already.
    #[error("the root that the kernel has mounted is a deployment, and no disk with deployments")]
    NotPhysical,
    /// A signature is asked for, and no initramfs has brought the key along.
    #[error("composefs.enabled=signed needs an initramfs, which has the key")]
    SignedWithoutInitramfs,
    /// A signature is asked for, and the image is no file that the kernel verifies.
    #[error("fsverity not enabled on composefs image")]
    NoVerity,
    /// The image is another one than the commit says.
    #[error("Wrong fsverity digest in composefs image: expected {expected}, it has {actual}")]
    WrongImage {
        /// The digest in the commit.
        expected: VerityDigest,
        /// The digest of the image.
        actual: VerityDigest,
    },
    /// A file of public keys has none.
    #[error("public key file specified, but no public keys found: /{0}")]
    NoKeys(String),
    /// The name of a deployment is not a commit, a dot and a number.
    #[error("{} is not named by its commit", .0.display())]
    Unnamed(PathBuf),
    /// The repository does not have the deployment's commit.
    #[error("Error loading signatures from repo: no commit {0}")]
    NoCommit(CommitId),
    /// The commit has no signatures by keys of this kind.
    #[error("Signature validation requested, but no signatures in commit {0}")]
    NotSigned(CommitId),
    /// No key vouches for the commit.
    #[error("Checking commit signature: {0}")]
    Unverified(Unverified),
    /// The commit does not say what its image is.
    #[error("Signature validation requested, but no valid digest in commit {0}")]
    NoDigest(CommitId),
    /// The commit, or what was detached of it, is damaged.
    #[error("Error loading signatures from repo")]
    Damaged(#[from] ParseError),
}

impl Kind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } | Self::Mount { source, .. } => Kind::kind(source),
            Self::NoTarget | Self::NoCommit(_) | Self::NoImage => ErrorKind::Missing,
            Self::NotSigned(_) | Self::Unverified(_) | Self::WrongImage { .. } | Self::NoVerity => {
                ErrorKind::Refused
            }
            Self::NextWithoutComposefs | Self::SignedWithoutInitramfs => ErrorKind::Unsupported,
            _ => ErrorKind::Damaged,
        }
    }
}

/// Names the file that could not be read or made.
pub(super) fn io_error(op: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
    let path = path.into();
    move |source| Error::Io { op, path, source }
}
