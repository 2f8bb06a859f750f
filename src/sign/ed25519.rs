//! Ed25519 keys, as libostree keeps them: bare numbers.

use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};

use super::key_files::Half;
use super::{Error, KeyKind, Result};

/// Bytes of a public key.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// Bytes of a secret key: the seed, then the public key.
pub const SECRET_KEY_BYTES: usize = 64;
/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// A public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ed25519Key([u8; PUBLIC_KEY_BYTES]);

impl Ed25519Key {
    /// The key with these bytes.
    ///
    /// # Errors
    /// [`Error::Length`] if there are not 32.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Ok(Self(exactly(Half::Public, bytes)?))
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the key made this signature of this message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

/// A secret key with its public one.
#[derive(Debug)]
pub struct Ed25519Secret(Ed25519KeyPair);

impl Ed25519Secret {
    /// The key with these bytes: 32 of the seed, and the public key.
    ///
    /// # Errors
    /// [`Error::Length`] if there are not 64; [`Error::Malformed`] if the public key belongs to another seed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bytes: [u8; SECRET_KEY_BYTES] = exactly(Half::Secret, bytes)?;
        let (seed, public) = bytes.split_at(SECRET_KEY_BYTES - PUBLIC_KEY_BYTES);
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public);
        let other = |_| Error::Malformed {
            kind: KeyKind::Ed25519,
            what: Half::Secret.name(),
            why: "its second half is the public key of another one",
        };
        pair.map(Self).map_err(other)
    }

    /// The signature of a message.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

fn exactly<const N: usize>(half: Half, bytes: &[u8]) -> Result<[u8; N]> {
    let wrong =
        |_| Error::Length { kind: KeyKind::Ed25519, what: half.name(), expected: N, got: bytes.len() };
    bytes.try_into().map_err(wrong)
}
