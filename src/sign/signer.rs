//! Secret keys to sign with.

use super::ed25519::Ed25519Secret;
use super::key_files::{Half, blobs, from_base64};
use super::spki::SpkiSecret;
use super::{Error, KeyKind, Result};

/// A bare secret key that signs.
#[derive(Debug)]
#[non_exhaustive]
pub enum BareSigner {
    /// An Ed25519 key.
    Ed25519(Ed25519Secret),
    /// A key in the form of PKCS #8.
    Spki(SpkiSecret),
    /// Whatever the signature shall be; for tests.
    Dummy(Vec<u8>),
}

impl BareSigner {
    /// The key that an option gives as text: in base64, except for a dummy one.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Malformed`].
    pub fn from_text(kind: KeyKind, text: &str) -> Result<Self> {
        match kind {
            KeyKind::Dummy => Ok(Self::Dummy(text.as_bytes().to_vec())),
            _ => Self::from_bytes(kind, &from_base64(text)),
        }
    }

    /// The keys in a file: a base64 text a line of Ed25519, where lines may be empty or comments behind a `#`, PEM blocks
    /// `PRIVATE KEY` of spki, a line each of dummy ones.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Pem`], [`Error::Length`], [`Error::Malformed`] for the first key that is none.
    pub fn read_file(kind: KeyKind, text: &str) -> Result<Vec<Self>> {
        let key = |bytes: Result<Vec<u8>>| Self::from_bytes(kind, &bytes?);
        blobs(kind, Half::Secret, text).into_iter().map(key).collect()
    }

    fn from_bytes(kind: KeyKind, bytes: &[u8]) -> Result<Self> {
        Ok(match kind {
            KeyKind::Ed25519 => Self::Ed25519(Ed25519Secret::from_bytes(bytes)?),
            KeyKind::Spki => Self::Spki(SpkiSecret::from_pkcs8(bytes)?),
            KeyKind::Dummy => Self::Dummy(bytes.to_vec()),
        })
    }

    /// The kind of the key, which is that of its signatures.
    pub fn kind(&self) -> KeyKind {
        match self {
            Self::Ed25519(_) => KeyKind::Ed25519,
            Self::Spki(_) => KeyKind::Spki,
            Self::Dummy(_) => KeyKind::Dummy,
        }
    }

    /// The signature of some data.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn sign(&self, data: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Self::Ed25519(key) => Ok(key.sign(data)),
            Self::Spki(key) => key.sign(data),
            Self::Dummy(key) => Ok(key.clone()),
        }
    }
}
