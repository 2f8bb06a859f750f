//! Options by which a caller overrides what is configured for images and registries.

use std::fmt;
use std::path::PathBuf;

use crate::container::image::PlatformName;
use crate::net::{Limits, TlsVerify};

/// Options for opening and writing images.
#[derive(Debug, Clone, Default)]
pub struct ImageOptions {
    /// The file of credentials, instead of those of podman, docker and ostree.
    pub authfile: Option<PathBuf>,
    /// The user on whose behalf registries are asked.
    pub who: RegistryUser,
    /// A directory with certificates and keys (`*.crt`, `*.cert`, `*.key`), instead of those of the machine.
    pub cert_dir: Option<PathBuf>,
    /// Whether certificates are verified; if not, plain HTTP will do too. If this is `None`, `registries.conf`
    /// decides.
    pub tls_verify: Option<TlsVerify>,
    /// The choice among several images in an index.
    pub which: IndexChoice,
    /// The time that servers and helpers may take.
    pub limits: Limits,
}

/// The user on whose behalf a registry is asked.
#[derive(Clone, Default)]
pub enum RegistryUser {
    /// The user whose credentials the machine's files and helpers have.
    #[default]
    AsConfigured,
    /// No user, whatever is configured.
    Anonymous,
    /// A user with a password, at the registry that is named; mirrors are asked as configured.
    User {
        /// The user's name.
        user: String,
        /// The user's password.
        password: String,
    },
}

impl fmt::Debug for RegistryUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsConfigured => "AsConfigured",
            Self::Anonymous => "Anonymous",
            Self::User { .. } => "User",
        })
    }
}

/// A choice among the images of an index, which are for several machines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum IndexChoice {
    /// The one for this machine.
    #[default]
    OfThisMachine,
    /// The one for this kind of machine.
    Of(PlatformName),
    /// All images: the index is taken as the image.
    All,
}
