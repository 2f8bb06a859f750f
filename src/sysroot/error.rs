//! What can go wrong with a sysroot.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use ostree_format::{Checksum, CommitId, ParseError};

use super::{DeploymentId, Stateroot, Unsealed};
use crate::base::{Cancelled, ErrorKind, Kind, VerityDigest, fs};
use crate::store;

/// The result of every call on a sysroot.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with a sysroot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The repository of the sysroot, or a checkout of it, failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A file of the sysroot is not what it should be.
    #[error("{what}")]
    Invalid {
        /// The file or argument.
        what: String,
        /// What is wrong, and where.
        source: ParseError,
    },
    /// A system call failed.
    #[error("{op} {}", path.display())]
    Io {
        /// The operation that was tried.
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Something failed in a step that has a name.
    #[error("{step}")]
    In {
        /// The step.
        step: String,
        /// What failed in it.
        source: Box<Error>,
    },
    /// A directory has no repository where a sysroot has its own.
    #[error("not a sysroot: it has no ostree/repo")]
    NotASysroot,
    /// There is no stateroot of this name.
    #[error("No such stateroot: {0}")]
    NoStateroot(Stateroot),
    /// No stateroot was named, and none is booted from which it could be taken.
    #[error("Not currently booted into an OSTree system, and no stateroot was named")]
    WhichStateroot,
    /// The running system was not booted from this sysroot.
    #[error("Not currently booted into an OSTree system")]
    NotBooted,
    /// The system is booted from this sysroot, and no boot entry leads to the deployment that it runs.
    #[error("Unexpected state: /run/ostree-booted found{0}")]
    BootedIsLost(&'static str),
    /// The tree has no kernel.
    #[error("Failed to find kernel in /usr/lib/modules, /usr/lib/ostree-boot or /boot")]
    NoKernel,
    /// The names of the kernel and of what belongs to it carry different checksums.
    #[error("Mismatched kernel checksum {kernel} vs {other} {actual}")]
    KernelMismatch {
        /// The checksum in the kernel's name.
        kernel: Checksum,
        /// What does not fit.
        other: &'static str,
        /// The checksum in the name of that.
        actual: Checksum,
    },
    /// The tree has files in `/etc` and a `/usr/etc` as well.
    #[error("Tree contains both /etc and /usr/etc")]
    BothEtcs,
    /// The new default of `/etc` has a directory where the administrator has a file.
    #[error("Modified config file newly defaults to directory '{}', cannot merge", .0.display())]
    EtcConflict(PathBuf),
    /// The tree does not say what it is called.
    #[error("No PRETTY_NAME or ID in /etc/os-release")]
    NoTitle,
    /// `/boot` is on a file system without symbolic links.
    #[error("The directory /boot cannot currently be a vfat filesystem")]
    VfatBoot,
    /// A kernel, or what belongs to it, does not fit into `/boot`.
    #[error("copy {file} into boot: {bytes} bytes are needed, and {free_bytes} are free")]
    BootFull {
        /// The name of the file.
        file: String,
        /// The size of the file.
        bytes: u64,
        /// The bytes that are free without it.
        free_bytes: u64,
        /// The error of the system.
        source: io::Error,
    },
    /// The running kernel does not load that of a deployment.
    #[error("Loading kernel {kernel} into kexec{advice}")]
    Kexec {
        /// The file of the kernel, from the root of the sysroot.
        kernel: String,
        /// What it takes.
        advice: &'static str,
        /// The error of the system.
        source: io::Error,
    },
    /// There are deployments, and in `boot` is nothing that boots them: most likely its file system is not mounted.
    #[error(
        "There are deployments, but nothing in boot leads to them: mount its file system there. If all boot entries are lost for good, make the directory boot/ostree: then every deployment is deleted"
    )]
    BootIsElsewhere,
    /// `ostree` and its repository are on different file systems.
    #[error("Unexpected state: ostree/ and ostree/repo are on different file systems")]
    RepositoryElsewhere,
    /// A deployment that boot entries should name is not there.
    #[error("Unable to find expected deployment root: {}", .0.path())]
    NoDeploymentRoot(DeploymentId),
    /// The deployment that runs would lose its boot entry.
    #[error("Attempting to remove booted deployment")]
    RemovesBooted,
    /// A deployment that somebody named does not exist.
    #[error("{0}")]
    NoSuchDeployment(String),
    /// The deployment whose configuration a staged one takes over is gone.
    #[error("Failed to find merge deployment {commit}.{serial} for staged")]
    NoMergeDeployment {
        /// The commit of the deployment.
        commit: CommitId,
        /// The number of the deployment.
        serial: u32,
    },
    /// `prepare-root.conf` of a deployment cannot be understood.
    #[error("Parsing prepare-root config")]
    RootConfig(#[from] super::prepare_root::RootConfigError),
    /// The composefs image of a deployment is another one than its commit says.
    #[error("Generated composefs image digest ({digest}) is not what commit {commit} says")]
    WrongImage {
        /// The commit.
        commit: CommitId,
        /// The digest of the image.
        digest: VerityDigest,
    },
    /// `prepare-root.conf` asks for a signed composefs, and an initramfs would not let the deployment be the root.
    #[error(
        "prepare-root.conf has composefs.enabled=signed, and the machine would not boot commit {commit}: {why}"
    )]
    Unsealed {
        /// The commit.
        commit: CommitId,
        /// What it lacks.
        why: Unsealed,
    },
    /// A soft reboot keeps the kernel that runs, and the deployment has another one, or other arguments for it.
    #[error("Cannot soft-reboot to deployment with different kernel state")]
    OtherKernel,
    /// The root that a soft reboot was to lead to cannot be taken away.
    #[error(transparent)]
    NextRoot(#[from] super::prepare_root::Error),
    /// Another process holds the lock.
    #[error("the sysroot is locked by another process")]
    Locked,
    /// The caller asked for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The work was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Error {
    /// An [`Error::Io`].
    pub fn io(op: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Io { op, path: path.into(), source: source.into() }
    }

    /// An [`Error::Io`] of what `path` names from the open directory `dir`, which says where that lies.
    pub(super) fn at(
        dir: impl AsFd,
        op: &'static str,
        path: impl AsRef<Path>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::io(op, fs::place(dir, path), source)
    }

    /// An [`Error::Invalid`] of `what`.
    pub fn invalid(what: impl Into<String>) -> impl FnOnce(ParseError) -> Self {
        let what = what.into();
        move |source| Self::Invalid { what, source }
    }

    /// An [`Error::In`].
    pub fn within(step: impl Into<String>) -> impl FnOnce(Self) -> Self {
        let step = step.into();
        move |source| Self::In { step, source: Box::new(source) }
    }
}

impl Kind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::In { source, .. } => source.kind(),
            Self::Invalid { .. } | Self::KernelMismatch { .. } | Self::BothEtcs | Self::NoTitle => {
                ErrorKind::Damaged
            }
            Self::RootConfig(_) | Self::WrongImage { .. } => ErrorKind::Damaged,
            Self::Io { source, .. } | Self::BootFull { source, .. } | Self::Kexec { source, .. } => {
                Kind::kind(source)
            }
            Self::NotASysroot
            | Self::NoStateroot(_)
            | Self::NotBooted
            | Self::BootedIsLost(_)
            | Self::NoKernel
            | Self::NoDeploymentRoot(_)
            | Self::BootIsElsewhere
            | Self::NoSuchDeployment(_)
            | Self::NoMergeDeployment { .. } => ErrorKind::Missing,
            Self::NextRoot(error) => error.kind(),
            Self::VfatBoot | Self::RepositoryElsewhere | Self::OtherKernel => ErrorKind::Unsupported,
            Self::RemovesBooted | Self::EtcConflict(_) | Self::WhichStateroot | Self::Usage(_) => {
                ErrorKind::Usage
            }
            Self::Unsealed { .. } => ErrorKind::Refused,
            Self::Locked => ErrorKind::Locked,
            Self::Cancelled(_) => ErrorKind::Cancelled,
        }
    }
}
