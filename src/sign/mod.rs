//! Signatures on commits, summaries and static deltas.
//!
//! Bytes in, values out: which keys are trusted, where a signature is kept and what time it is are the caller's to
//! know. There are OpenPGP's signatures, in [`gpg`], and those of bare keys, which have no owner, no date and no
//! expiry:
//!
//! ```text
//! kind      a key in files and options                       a signature
//! ed25519   base64: 32 bytes; secret: 64, seed then public   64 bytes, of the data itself
//! spki      PEM, in options base64 of DER; secret: PKCS #8   EdDSA; ECDSA, RSA PKCS #1: of the data's SHA-256
//! dummy     the key itself                                   the key itself: for tests
//!
//! PublicKeys::verify(data, signatures) ─► Verified | Unverified
//! BareSigner::sign(data) ─► signature
//! ```
//! All signatures of one kind are an `aay`: of a commit in its detached metadata, of a summary in `summary.sig`, of a
//! static delta in the dictionary behind its superblock's bytes, each under the key [`KeyKind::signature_kind`] tells.
//! Source: libostree ostree-sign.c, ostree-sign-{ed25519,spki,dummy}.c, otcore-{ed25519,spki}-verify.c.

pub mod ed25519;
#[cfg(feature = "openpgp")]
pub mod gpg;
mod key_files;
mod keys;
#[cfg(feature = "openpgp")]
mod more_curves;
mod signer;
pub mod spki;

pub use keys::{BareKey, KeyKind, PublicKeys, UnknownKind, Unverified, Verified};
pub use signer::BareSigner;

use crate::base::{ErrorKind, Kind};

/// What can be wrong with a bare key, or in signing with it. A signature that does not count is an [`Unverified`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key has another length than those of its kind.
    #[error("Invalid {kind} {what}: Ill-formed input: expected {expected} bytes, got {got} bytes", kind = .kind.name())]
    Length {
        /// The kind of key.
        kind: KeyKind,
        /// `public key` or `secret key`.
        what: &'static str,
        /// The length of every such key.
        expected: usize,
        /// The length that was found.
        got: usize,
    },
    /// A key is damaged, or of an algorithm that is not known.
    #[error("Invalid {kind} {what}: {why}", kind = .kind.name())]
    Malformed {
        /// The kind of key.
        kind: KeyKind,
        /// `public key` or `secret key`.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A PEM block holds something else than a key of the kind and half that are looked for.
    #[error("a PEM block '{found}' instead of '{expected}'{}", key_files::advice(.found))]
    Pem {
        /// The label of the block.
        found: String,
        /// The label of what is looked for.
        expected: &'static str,
    },
    /// A file of keys is not in the form that its kind asks for.
    #[error("{0}")]
    File(&'static str),
    /// The arithmetic failed.
    #[error("Failed to sign")]
    Failed,
    /// Dummy signatures prove nothing.
    #[error("dummy signature type is only for ostree testing")]
    OnlyForTests,
}

impl Kind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Length { .. } | Self::Malformed { .. } | Self::Pem { .. } | Self::File(_) => {
                ErrorKind::Damaged
            }
            Self::Failed => ErrorKind::System,
            Self::OnlyForTests => ErrorKind::Unsupported,
        }
    }
}

/// The result of reading a bare key or signing with one.
pub type Result<T, E = Error> = std::result::Result<T, E>;
