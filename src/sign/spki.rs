//! Keys in X.509's form `SubjectPublicKeyInfo`, which `openssl` and others write as PEM.
//!
//! ```text
//! SEQUENCE { SEQUENCE { OID algorithm, parameters }, BIT STRING key }       RFC 5280
//! ```
//! libostree signs and verifies by the digest that OpenSSL takes if none is named: none of its own with Ed25519, SHA-256
//! with everything else, on P-384 too.

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    ED25519, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    UnparsedPublicKey, VerificationAlgorithm,
};

use super::key_files::Half;
#[cfg(feature = "openpgp")]
use super::more_curves;
use super::{Error, KeyKind, Result};

/// The algorithm of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    P256,
    P384,
    #[cfg(feature = "openpgp")]
    P521,
    Ed25519,
    #[cfg(feature = "openpgp")]
    Ed448,
    Rsa,
}

/// The algorithm identifiers that are known, as they stand in the key.
const ALGORITHMS: &[(&[u8], Algorithm)] = &[
    // id-ecPublicKey, prime256v1
    (
        &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
        Algorithm::P256,
    ),
    // id-ecPublicKey, secp384r1
    (&[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 5, 0x2b, 0x81, 4, 0, 34], Algorithm::P384),
    // id-ecPublicKey, secp521r1
    #[cfg(feature = "openpgp")]
    (&[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 5, 0x2b, 0x81, 4, 0, 35], Algorithm::P521),
    // id-Ed448
    #[cfg(feature = "openpgp")]
    (&[0x06, 3, 0x2b, 0x65, 0x71], Algorithm::Ed448),
    // id-Ed25519
    (&[0x06, 3, 0x2b, 0x65, 0x70], Algorithm::Ed25519),
    // rsaEncryption, NULL
    (&[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 0x05, 0], Algorithm::Rsa),
];

/// The algorithm that an identifier names.
pub(super) fn algorithm_of(identifier: &[u8]) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(known, _)| *known == identifier).map(|(_, algorithm)| *algorithm)
}

/// A digest that goes with P-384.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum P384Digest {
    /// OpenSSL's, if none is named; libostree's, podman's, cosign's up to version 2.
    Sha256,
    /// The one with as many bits as the curve; cosign's since version 3.
    Sha384,
}

/// A public key: ECDSA with P-256, P-384 or P-521, Ed25519, Ed448, RSA from 2,048 bits. Without the feature `openpgp`
/// there are neither P-521 nor Ed448.
#[derive(Clone, PartialEq, Eq)]
pub struct SpkiKey {
    der: Vec<u8>,
    algorithm: Algorithm,
    /// The key alone, as ring wants it: for RSA that is the SEQUENCE of modulus and exponent.
    key: Vec<u8>,
}

impl std::fmt::Debug for SpkiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SpkiKey({:?}, {})", self.algorithm, hex::encode(&self.der))
    }
}

impl SpkiKey {
    /// Reads a key in DER form.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is none, or of an algorithm that is not known.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        let unknown = || malformed(Half::Public, "of an algorithm that is not known, or damaged");
        Self::parse(der).ok_or_else(unknown)
    }

    fn parse(der: &[u8]) -> Option<Self> {
        let (outer, rest) = element(0x30, der)?;
        let (identifier, after) = element(0x30, outer)?;
        let (bits, end) = element(0x03, after)?;
        let (&unused, key) = bits.split_first()?;
        if !rest.is_empty() || !end.is_empty() || unused != 0 {
            return None;
        }
        Some(Self { der: der.to_vec(), algorithm: algorithm_of(identifier)?, key: key.to_vec() })
    }

    /// The key in DER form.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Whether the key made this signature of this message.
    pub fn verify(&self, message: &[u8], signature: &[u8], p384: P384Digest) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match (self.algorithm, p384) {
            (Algorithm::P256, _) => &ECDSA_P256_SHA256_ASN1,
            (Algorithm::P384, P384Digest::Sha256) => &ECDSA_P384_SHA256_ASN1,
            (Algorithm::P384, P384Digest::Sha384) => &ECDSA_P384_SHA384_ASN1,
            (Algorithm::Ed25519, _) => &ED25519,
            (Algorithm::Rsa, _) => &RSA_PKCS1_2048_8192_SHA256,
            #[cfg(feature = "openpgp")]
            (other, _) => return more_curves::verify(other, &self.key, message, signature),
        };
        UnparsedPublicKey::new(algorithm, &self.key).verify(message, signature).is_ok()
    }
}

/// A secret key: ECDSA with P-256, P-384 or P-521, Ed25519, Ed448, RSA from 2,048 to 4,096 bits. Without the feature
/// `openpgp` there are neither P-384 nor P-521 nor Ed448.
#[derive(Debug)]
pub struct SpkiSecret(Pair);

#[derive(Debug)]
enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
    #[cfg(feature = "openpgp")]
    Other(Box<more_curves::CurveSecret>),
}

impl SpkiSecret {
    /// Reads a key in the form of PKCS #8.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is none, or of an algorithm that is not known.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let ed25519 = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(Pair::Ed25519);
        let p256 = || {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &SystemRandom::new());
            pair.ok().map(Pair::P256)
        };
        let rsa = || RsaKeyPair::from_pkcs8(der).ok().map(Box::new).map(Pair::Rsa);
        let pair = ed25519().or_else(p256).or_else(rsa);
        #[cfg(feature = "openpgp")]
        let pair = pair.or_else(|| more_curves::CurveSecret::from_pkcs8(der).map(Box::new).map(Pair::Other));
        let unknown = || malformed(Half::Secret, "of an algorithm that is not known, or damaged");
        pair.map(Self).ok_or_else(unknown)
    }

    /// The signature of a message.
    ///
    /// # Errors
    /// [`Error::Failed`] if there is no randomness, or the numbers of the key do not fit each other.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.0 {
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::P256(pair) => {
                let signature = pair.sign(&random, message).map_err(|_| Error::Failed)?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.map_err(|_| Error::Failed).map(|()| signature)
            }
            #[cfg(feature = "openpgp")]
            Pair::Other(pair) => pair.sign(message).ok_or(Error::Failed),
        }
    }
}

fn malformed(half: Half, why: &'static str) -> Error {
    Error::Malformed { kind: KeyKind::Spki, what: half.name(), why }
}

/// The content of the DER element `tag` at the start of `der`, and what follows it.
pub(super) fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let size = usize::from(first & 0x7f);
            let length = rest.get(..size)?.iter().fold(0, |n, b| n << 8 | usize::from(*b));
            (length, &rest[size..])
        }
        _ => return None,
    };
    (found == tag && length <= rest.len()).then(|| rest.split_at(length))
}
