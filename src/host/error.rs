//! What can be wrong with a machine's configuration, and with what it leads to.

mod helper;

use std::io;
use std::path::{Path, PathBuf};

use ostree_format::{ParseError, RemoteName};

use crate::base::{Cancelled, ErrorKind, Kind};
#[cfg(feature = "container")]
use crate::container::image::{self, ConfigError, ImageReference};
#[cfg(feature = "openpgp")]
use crate::sign::gpg;
use crate::sign::{self, KeyKind};
use crate::store;
use crate::sysroot::prepare_root;

pub use helper::HelperProblem;

/// What went wrong on the way to a repository, key or image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory could not be read or written.
    #[error("{op} {}", path.display())]
    Io {
        /// What was tried, such as `"Reading"`.
        op: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file should be text.
    #[error("{} is not UTF-8", .0.display())]
    NotUtf8(PathBuf),
    /// The kernel does not take rights from this process as it should.
    #[error("The kernel refuses to confine this process: {0}")]
    Confine(String),
    /// There is no directory where a repository should be.
    #[error("Opening repository {}: No such file or directory", .0.display())]
    NoRepository(PathBuf),
    /// A directory is not a repository, as it should be.
    #[error("{} is not an ostree repository", .0.display())]
    NotARepository(PathBuf),
    /// A repository could not be opened.
    #[error("Opening repository {}", path.display())]
    Repository {
        /// The path of the repository.
        path: PathBuf,
        /// What is wrong with it.
        source: store::Error,
    },
    /// A repository could not be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A service of the system could not be started.
    #[error("Failed to start {name}: {why}")]
    Service {
        /// The service.
        name: &'static str,
        /// What was wrong.
        why: String,
    },
    /// A sysroot could not be read or written.
    #[error(transparent)]
    Sysroot(#[from] crate::sysroot::Error),
    /// A deployment cannot become the root file system, or its mounts cannot be changed.
    #[error(transparent)]
    Booting(#[from] prepare_root::Error),
    /// No remote of this name is configured.
    #[error("Remote \"{0}\" not found")]
    RemoteNotFound(RemoteName),
    /// The configuration of a remote gives no URL.
    #[error("No \"url\" option in remote \"{0}\"")]
    NoUrl(RemoteName),
    /// A remote cannot be used as it is configured.
    #[error("{0}")]
    RemoteConfig(String),
    #[cfg(feature = "net")]
    /// A server could not be asked.
    #[error(transparent)]
    Net(#[from] crate::net::Error),
    #[cfg(feature = "net")]
    /// A file of a remote could not be had.
    #[error(transparent)]
    Remote(#[from] crate::remote::Error),
    /// A value of a format cannot be read.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A configuration file cannot be read.
    #[error("{}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong in it, and where.
        source: ParseError,
    },
    #[cfg(feature = "openpgp")]
    /// A file holds no OpenPGP keys, or keys that cannot be read.
    #[error("{}", path.display())]
    Keys {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        source: gpg::Error,
    },
    #[cfg(feature = "openpgp")]
    /// Something could not be signed, or a signature not be read.
    #[error(transparent)]
    Gpg(#[from] gpg::Error),
    /// A file holds no bare keys of the kind that it should, or keys that cannot be read.
    #[error("{}", path.display())]
    BareKeys {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: sign::Error,
    },
    /// Something could not be signed with a bare key.
    #[error(transparent)]
    Sign(#[from] sign::Error),
    /// Signatures of this kind are asked for, and no keys are configured.
    #[error("No keys found for required signapi type {}", .0.name())]
    NoKeys(KeyKind),
    /// A path of `gpgkeypath` leads nowhere.
    #[error("gpgkeypath: opendir({}): No such file or directory", .0.display())]
    NoKeyPath(PathBuf),
    /// The place of the secret keys is unknown: neither the caller nor the environment gives it.
    #[error("it is not known where the secret keys are: neither GNUPGHOME nor HOME is set")]
    NoSecretKeys,
    /// There is nothing where secret keys should be.
    #[error("Opening {}: No such file or directory", .0.display())]
    NoSecretKeysAt(PathBuf),
    /// A good signature was asked for.
    #[error("{0}")]
    NotSigned(String),
    #[cfg(feature = "container")]
    /// An image could not be opened, read or written.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// Something is wrong at a place that has a name, such as an archive.
    #[error("{place}")]
    At {
        /// The name.
        place: String,
        /// What is wrong there.
        source: Box<Error>,
    },
    #[cfg(feature = "container")]
    /// A file of podman's or skopeo's configuration cannot be understood.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A registry's configuration does not allow what was asked for.
    #[error("{0}")]
    Registries(String),
    /// A short name of an image cannot be completed.
    #[error("{why}")]
    ShortName {
        /// The name.
        name: String,
        /// Why it cannot be completed.
        why: String,
    },
    /// The name of an image cannot be read.
    #[error("Image {name:?}")]
    ImageName {
        /// The name.
        name: String,
        /// What is wrong with it, and where.
        source: ParseError,
    },
    #[cfg(feature = "container")]
    /// Images of this kind are not read here.
    #[error("{_0}: images of {} cannot be read", _0.transport())]
    CannotRead(ImageReference),
    #[cfg(feature = "container")]
    /// Images of this kind are not written here.
    #[error("{_0}: images cannot be written to {}", _0.transport())]
    CannotWrite(ImageReference),
    #[cfg(feature = "container")]
    /// An image is written under a tag, not under a digest, which is known only afterwards.
    #[error("an image is pushed to a tag, not to the digest {0}")]
    PushToDigest(image::Digest),
    /// A directory of certificates that was named does not exist.
    #[error("directory of certificates {}: no such directory", .0.display())]
    NoCertificateDirectory(PathBuf),
    /// The private key of a client certificate could not be read.
    #[error("Client certificate {}", certificate.display())]
    ClientKey {
        /// The certificate.
        certificate: PathBuf,
        /// What is wrong with the file of its key.
        source: Box<Error>,
    },
    /// A private key without its client certificate.
    #[error("Client key {}: {}, its certificate, is not there; *.crt are authorities", key.display(), certificate.display())]
    NoClientCertificate {
        /// The key.
        key: PathBuf,
        /// Where its certificate has to be.
        certificate: PathBuf,
    },
    /// The file of credentials that was named does not exist.
    #[error("the file of credentials {} does not exist", .0.display())]
    NoAuthFile(PathBuf),
    /// A path that should be an archive is a directory, a pipe or a device.
    #[error("Opening {}: it is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// A credential helper gave no credentials.
    #[error("{program} for {server}: {problem}")]
    Helper {
        /// The program.
        program: String,
        /// The registry that it was asked about.
        server: String,
        /// What was wrong.
        problem: HelperProblem,
    },
    #[cfg(feature = "container")]
    /// A policy does not let an image in, or cannot be asked about it.
    #[error("Policy {}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<image::Error>,
    },
    /// The name of a place on another machine cannot be read.
    #[error("{name:?}")]
    SshPlace {
        /// The name.
        name: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// A program on another machine could not be started, or failed.
    #[error("{place}: {why}")]
    Ssh {
        /// The place on the other machine.
        place: String,
        /// What is known of the failure.
        why: String,
    },
    /// A signature was demanded of an image, and no policy asks for one.
    #[error("{0}")]
    NoPolicy(String),
    /// The work was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// The result of looking at the machine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Kind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => Kind::kind(source),
            Self::Repository { source, .. } | Self::Store(source) => source.kind(),
            Self::Sysroot(source) => source.kind(),
            Self::Booting(source) => source.kind(),
            Self::BareKeys { source, .. } | Self::Sign(source) => source.kind(),
            Self::At { source, .. } | Self::ClientKey { source, .. } => source.kind(),
            Self::Helper { problem: HelperProblem::Io(source), .. } => Kind::kind(source),
            Self::Helper { problem: HelperProblem::Cancelled(_), .. } | Self::Cancelled(_) => {
                ErrorKind::Cancelled
            }
            #[cfg(feature = "net")]
            Self::Net(source) => source.kind(),
            #[cfg(feature = "net")]
            Self::Remote(source) => source.kind(),
            #[cfg(feature = "openpgp")]
            Self::Keys { source, .. } | Self::Gpg(source) => source.kind(),
            #[cfg(feature = "container")]
            Self::Image(source) => source.kind(),
            #[cfg(feature = "container")]
            Self::Policy { source, .. } => source.kind(),
            #[cfg(feature = "container")]
            Self::CannotRead(_) | Self::CannotWrite(_) => ErrorKind::Unsupported,
            #[cfg(feature = "container")]
            Self::Config(_) | Self::PushToDigest(_) => ErrorKind::Usage,
            Self::NoRepository(_)
            | Self::NotARepository(_)
            | Self::RemoteNotFound(_)
            | Self::NoKeys(_)
            | Self::NoKeyPath(_)
            | Self::NoSecretKeys
            | Self::NoSecretKeysAt(_)
            | Self::NoCertificateDirectory(_)
            | Self::NoClientCertificate { .. }
            | Self::NoAuthFile(_) => ErrorKind::Missing,
            Self::NotSigned(_) | Self::NoPolicy(_) => ErrorKind::Refused,
            Self::Ssh { .. } => ErrorKind::Network,
            Self::Confine(_) | Self::Service { .. } | Self::Helper { .. } => ErrorKind::System,
            Self::NotUtf8(_)
            | Self::NoUrl(_)
            | Self::RemoteConfig(_)
            | Self::Parse(_)
            | Self::KeyFile { .. }
            | Self::Registries(_)
            | Self::ShortName { .. }
            | Self::ImageName { .. }
            | Self::NotAFile(_)
            | Self::SshPlace { .. } => ErrorKind::Usage,
        }
    }
}

impl Error {
    /// What failed of a repository, if that is to blame.
    pub fn store(&self) -> Option<&store::Error> {
        match self {
            Self::Store(error) | Self::Repository { source: error, .. } => Some(error),
            Self::At { source, .. } => source.store(),
            #[cfg(feature = "container")]
            Self::Image(error) => error.store(),
            #[cfg(feature = "net")]
            Self::Remote(error) => error.store(),
            _ => None,
        }
    }

    /// Turns an I/O error into [`Error::Io`]: what was tried, on which file, and what the system said.
    pub(super) fn io(op: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { op, path, source }
    }
}
