//! OpenPGP signatures, with the rules GnuPG 2.2 goes by, as libostree does through gpgme.
//!
//! ```text
//! keyring files ─► packets ─► Keyring of Certs ─┐
//!                                               ├─► verify(.., now) ─► [Verdict] ─► require_valid
//! signed bytes, signature packets ──────────────┘                          └─► describe
//! secret keys, GnuPG home ─► SecretKeys ─► signer(id, now) ─► Signer::sign ─► detached signature
//! ```
//!
//! Packets and arithmetic are `sequoia-openpgp`'s; what makes a signature count is decided here
//! (`validity`, `verify`), because keys and signatures of old repositories, SHA-1 ones above all, have to
//! stay as valid as C ostree finds them, and because ostree tells an expired signature, an expired key and
//! a revoked key apart.

mod agent;
mod describe;
pub mod fuzz;
mod generate;
mod homedir;
mod keyid;
mod keyring;
mod message;
mod packets;
mod secret;
mod userid;
mod validity;
mod verify;

pub use describe::Invalid;
pub use generate::NewKey;
pub use keyring::{Cert, Keyring};
pub use message::SignedMessage;
pub use secret::{SecretKeys, Signer};
pub use sequoia_openpgp::types::{HashAlgorithm, PublicKeyAlgorithm};
pub use sequoia_openpgp::{Fingerprint, KeyHandle, KeyID};
pub use userid::{UserName, WkdUrls};
pub use validity::{CertInfo, KeyInfo, UserInfo};
pub use verify::{SignatureVerdict, Status, Unusable, lookup, require_valid, verify};

use crate::base::{ErrorKind, Kind};

/// What can go wrong with keys. A signature that does not count is no error but a [`SignatureVerdict`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Input in none of the forms that are read, or damaged.
    #[error("not a valid {what}: {why}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// No key goes by that id.
    #[error("no gpg key found with ID {0}")]
    NotFound(String),
    /// Several keys go by that id.
    #[error("gpg key ID {0} is ambiguous; try the fingerprint instead")]
    Ambiguous(String),
    /// The certificate is there but holds no key one can sign with at that moment.
    #[error("gpg key {key} cannot sign: {why}")]
    CannotSign {
        /// The primary key.
        key: Fingerprint,
        /// Why it cannot sign.
        why: CannotSign,
    },
    /// The arithmetic failed: the secret key does not belong to the public one, or is of an unsupported kind.
    #[error("signing with gpg key {key}: {why}")]
    Signing {
        /// The signing key.
        key: Fingerprint,
        /// What the cryptography says.
        why: String,
    },
    /// A file of a GnuPG home directory cannot be read.
    #[error("reading {path}: {why}")]
    Io {
        /// Relative to the home directory.
        path: String,
        /// What the system says.
        why: String,
    },
}

impl Kind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed { .. } => ErrorKind::Damaged,
            Self::NotFound(_) => ErrorKind::Missing,
            Self::Ambiguous(_) => ErrorKind::Usage,
            Self::CannotSign { .. } => ErrorKind::Unsupported,
            Self::Signing { .. } | Self::Io { .. } => ErrorKind::System,
        }
    }
}

/// The reasons for which a certificate has no usable signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotSign {
    /// There are public keys only.
    #[error("its secret key is not available")]
    NoSecret,
    /// The secret key needs a passphrase.
    #[error("its secret key is protected by a passphrase; export it without one, or use a secret key file")]
    Protected,
    /// The secret key lies on a smart card.
    #[error("its secret key is on a smart card")]
    Card,
    /// Expired at the time of signing.
    #[error("it has expired")]
    Expired,
    /// Revoked by its owner.
    #[error("it has been revoked")]
    Revoked,
    /// No self-signature allows it to sign.
    #[error("it is not meant for signing, or no valid self-signature says so")]
    NotForSigning,
}

/// The result of everything here that reads keys.
pub type Result<T, E = Error> = std::result::Result<T, E>;
