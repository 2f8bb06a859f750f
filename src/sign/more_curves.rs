//! Curves that ring lacks, by the arithmetic that is there for OpenPGP: Ed448, and ECDSA with P-384 and P-521.
//!
//! ```text
//! SEQUENCE { INTEGER, SEQUENCE { OID … }, OCTET STRING key, … }                                 PKCS #8, RFC 5958
//!   Ed448   OCTET STRING, 57 bytes
//!   ECDSA   SEQUENCE { INTEGER 1, OCTET STRING number, …, [1] { BIT STRING point } }            RFC 5915
//! ```

use std::time::UNIX_EPOCH;

use ring::digest::{SHA256, digest};
use sequoia_openpgp::crypto::mpi::{self, MPI, ProtectedMPI};
use sequoia_openpgp::crypto::{KeyPair, Signer as _};
use sequoia_openpgp::packet::Key;
use sequoia_openpgp::packet::key::{Key4, Key6, PublicParts, UnspecifiedRole};
use sequoia_openpgp::types::{Curve, HashAlgorithm, PublicKeyAlgorithm};

use super::spki::{Algorithm, algorithm_of, element};

/// Bytes of a number of P-521's field.
const P521_BYTES: usize = 66;

/// What stands for the hash algorithm where a digest is handed over as it is.
const HASH: HashAlgorithm = HashAlgorithm::SHA256;

type PublicKey = Key<PublicParts, UnspecifiedRole>;

/// Whether the key made this signature of this message.
pub(super) fn verify(algorithm: Algorithm, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let judge = || {
        let signature = match algorithm {
            Algorithm::Ed448 => mpi::Signature::Ed448 { s: Box::new(signature.try_into().ok()?) },
            _ => {
                let (body, rest) = element(0x30, signature)?;
                let (r, after) = element(0x02, body)?;
                let (s, end) = element(0x02, after)?;
                if !rest.is_empty() || !end.is_empty() {
                    return None;
                }
                mpi::Signature::ECDSA { r: MPI::new(r), s: MPI::new(s) }
            }
        };
        public_key(algorithm, key)?.verify(&signature, HASH, &signed(algorithm, message)).ok()
    };
    judge().is_some()
}

/// A secret key on one of these curves.
pub(super) struct CurveSecret {
    algorithm: Algorithm,
    pair: KeyPair,
}

impl std::fmt::Debug for CurveSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CurveSecret({:?})", self.algorithm)
    }
}

impl CurveSecret {
    /// Reads a key in the form of PKCS #8; `None` if it is damaged or on another curve.
    pub(super) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let (outer, _) = element(0x30, der)?;
        let (_version, after) = element(0x02, outer)?;
        let (identifier, after) = element(0x30, after)?;
        let (inner, _) = element(0x04, after)?;
        let algorithm = algorithm_of(identifier)?;
        let pair = match algorithm {
            Algorithm::Ed448 => {
                let (number, _) = element(0x04, inner)?;
                let key = Key6::import_secret_ed448(number, UNIX_EPOCH).ok()?;
                Key::<_, UnspecifiedRole>::from(key).into_keypair().ok()?
            }
            Algorithm::P384 | Algorithm::P521 => ecdsa_pair(algorithm, inner)?,
            _ => return None,
        };
        Some(Self { algorithm, pair })
    }

    /// The signature of a message; `None` if the arithmetic fails, or the public key does not find it good.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signed = signed(self.algorithm, message);
        let signature = self.pair.clone().sign(HASH, &signed).ok()?;
        self.pair.public().verify(&signature, HASH, &signed).ok()?;
        match signature {
            mpi::Signature::Ed448 { s } => Some(s.to_vec()),
            mpi::Signature::ECDSA { r, s } => {
                Some(sequence(&[integer(r.value()), integer(s.value())].concat()))
            }
            _ => None,
        }
    }
}

fn ecdsa_pair(algorithm: Algorithm, key: &[u8]) -> Option<KeyPair> {
    let (body, _) = element(0x30, key)?;
    let (_version, after) = element(0x02, body)?;
    let (number, after) = element(0x04, after)?;
    // The parameters, which the algorithm has told already, may be left out.
    let after = element(0xa0, after).map_or(after, |(_, after)| after);
    let (point, _) = element(0xa1, after)?;
    let (bits, _) = element(0x03, point)?;
    let public = public_key(algorithm, bits.strip_prefix(&[0])?)?;
    let secret = mpi::SecretKeyMaterial::ECDSA { scalar: ProtectedMPI::from(number.to_vec()) };
    public.add_secret(secret.into()).0.into_keypair().ok()
}

fn public_key(algorithm: Algorithm, key: &[u8]) -> Option<PublicKey> {
    let on = |curve| (PublicKeyAlgorithm::ECDSA, mpi::PublicKey::ECDSA { curve, q: MPI::new(key) });
    let (kind, numbers) = match algorithm {
        Algorithm::Ed448 => {
            (PublicKeyAlgorithm::Ed448, mpi::PublicKey::Ed448 { a: Box::new(key.try_into().ok()?) })
        }
        Algorithm::P384 => on(Curve::NistP384),
        Algorithm::P521 => on(Curve::NistP521),
        _ => return None,
    };
    Some(Key4::<_, UnspecifiedRole>::new(UNIX_EPOCH, kind, numbers).ok()?.into())
}

/// What the arithmetic works on: the message, or its SHA-256.
fn signed(algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
    let digest = || digest(&SHA256, message).as_ref().to_vec();
    match algorithm {
        Algorithm::Ed448 => message.to_vec(),
        // A number that is short for its curve, as the arithmetic wants it.
        Algorithm::P521 => {
            let digest = digest();
            [vec![0; P521_BYTES - digest.len()], digest].concat()
        }
        _ => digest(),
    }
}

/// A positive INTEGER of DER.
fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = &number[zeros..];
    let sign = if digits.first().is_none_or(|first| *first >= 0x80) { &[0][..] } else { &[] };
    tagged(0x02, &[sign, digits].concat())
}

fn sequence(content: &[u8]) -> Vec<u8> {
    tagged(0x30, content)
}

/// An element of DER of less than 256 bytes.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes()[size_of::<usize>() - 1];
    let head = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
    [head, content.to_vec()].concat()
}
