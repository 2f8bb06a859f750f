//! What a caller may say of images and registries instead of what is configured.

use std::fmt;
use std::path::PathBuf;

use crate::container::image::PlatformName;
use crate::net::{Limits, TlsVerify};

/// How images are opened and written.
#[derive(Debug, Clone, Default)]
pub struct ImageOptions {
    /// The file of credentials, instead of those of podman, docker and ostree.
    pub authfile: Option<PathBuf>,
    /// Who asks.
    pub who: WhoAsks,
    /// A directory with certificates and keys (`*.crt`, `*.cert`, `*.key`), instead of those of the machine.
    pub cert_dir: Option<PathBuf>,
    /// Whether certificates are verified; without, plain HTTP will do too. As `registries.conf` says if it is not said.
    pub tls_verify: Option<TlsVerify>,
    /// Which image of several is meant.
    pub which: WhichImage,
    /// How long servers and helpers may take.
    pub limits: Limits,
}

/// Who asks a registry.
#[derive(Clone, Default)]
pub enum WhoAsks {
    /// Whom files and helpers know.
    #[default]
    AsConfigured,
    /// Nobody, whatever is configured.
    Anonymous,
    /// This user, at the registry that is named; mirrors are asked as configured.
    User {
        /// The user's name.
        user: String,
        /// And password.
        password: String,
    },
}

impl fmt::Debug for WhoAsks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsConfigured => "AsConfigured",
            Self::Anonymous => "Anonymous",
            Self::User { .. } => "User",
        })
    }
}

/// Which image of an index of images for several machines is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum WhichImage {
    /// The one for this machine.
    #[default]
    OfThisMachine,
    /// The one for this kind of machine.
    Of(PlatformName),
    /// All of them: the index is the image.
    All,
}
