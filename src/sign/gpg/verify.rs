//! Detached signatures against a keyring: which key made each, and whether it counts.
//!
//! One signature has one [`Status`], decided in GnuPG's order: the key is missing, or unusable; the
//! signature is bad; it has expired; its key has expired; its key is revoked; it is good. libostree accepts
//! data with at least one good signature ([`require_valid`]).

use std::time::SystemTime;

use sequoia_openpgp::crypto::hash::Context;
use sequoia_openpgp::packet::key::{PublicParts, UnspecifiedRole};
use sequoia_openpgp::packet::{Key, Signature};
use sequoia_openpgp::types::{HashAlgorithm, PublicKeyAlgorithm, SignatureType};
use sequoia_openpgp::{Fingerprint, KeyHandle, Packet};

use super::keyring::KeyIndex;
use super::{Cert, CertInfo, Invalid, Keyring, Result, UserName, packets, validity};

/// The result of verifying one signature; its text ends the sentence "The signature …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Status {
    /// Made by a key of the keyring over exactly this data, and nothing has expired or been revoked.
    #[error("is good")]
    Good,
    /// The signature is genuine but was to hold for a time that is over.
    #[error("has expired")]
    SignatureExpired,
    /// The signature is genuine, but its key has expired since, or the primary key above it has.
    #[error("is by a key that has expired")]
    KeyExpired,
    /// The signature is genuine but its key has been revoked.
    #[error("is by a key that was revoked")]
    KeyRevoked,
    /// The keyring does not hold the key.
    #[error("is by none of the keys")]
    KeyMissing,
    /// The key did not make this signature over this data.
    #[error("was not made by its key, or over something else")]
    Bad,
    /// The signature cannot count, whatever the data.
    #[error("{0}")]
    Unusable(Unusable),
}

/// The reasons for which a signature cannot count; the text ends the sentence "The signature …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// The packet is no signature, or of a version that is not understood.
    #[error("cannot be read")]
    Malformed,
    /// The signature is of another kind than "binary document".
    #[error("is of a kind that does not sign files")]
    Kind,
    /// Made with MD5, with an algorithm that is not there, or with a critical extension that is not known.
    #[error("is made with MD5, or with an algorithm, a curve or an extension that is not known here")]
    Unsupported,
    /// The key is not bound to its certificate by a valid self-signature, or not meant for signing.
    #[error("is by a key that may not sign, or that is not bound to its certificate")]
    Key,
    /// The key claims to be younger than its signature, or than the present.
    #[error("is by a key that says it was made later")]
    Time,
}

/// One signature and what is known about it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SignatureVerdict {
    /// Whether it counts.
    pub status: Status,
    /// The signing key: its fingerprint if it was found, else what the signature says of it.
    pub key: Option<KeyHandle>,
    /// The primary key above (or equal to) the signing key, if that was found.
    pub primary: Option<Fingerprint>,
    /// The time at which the signature says it was made. Unless the status is one of a genuine signature, anybody may
    /// have written this and the next three fields.
    pub created: Option<SystemTime>,
    /// The time at which the signature expires or has expired.
    pub expires: Option<SystemTime>,
    /// The key's algorithm as the signature names it.
    pub public_key_algorithm: Option<PublicKeyAlgorithm>,
    /// The hash algorithm.
    pub hash_algorithm: Option<HashAlgorithm>,
    /// The time at which the signing key expires or has expired.
    pub key_expires: Option<SystemTime>,
    /// The time at which the primary key expires or has expired.
    pub primary_expires: Option<SystemTime>,
    /// The primary user of the certificate.
    pub user: Option<UserName>,
}

impl SignatureVerdict {
    /// Whether the signature counts.
    pub fn is_valid(&self) -> bool {
        self.status == Status::Good
    }
}

/// Checks every signature of `signatures`, each a string of one or more OpenPGP signature packets (as the
/// elements of `ostree.gpgsigs` are), over `data` at the time `now`.
///
/// A string that is no signature gives a verdict, too, so that the number of signatures stays true.
pub fn verify<'a>(
    keyring: &Keyring,
    data: &[u8],
    signatures: impl IntoIterator<Item = &'a [u8]>,
    now: SystemTime,
) -> Vec<SignatureVerdict> {
    let mut check = Check { keyring, data, now, hashed: Vec::new() };
    let mut verdicts = Vec::new();
    for bytes in signatures {
        match packets::read("signature", bytes) {
            Ok(packets) if !packets.is_empty() => {
                verdicts.extend(packets.iter().filter_map(|packet| check.packet(packet)));
            }
            _ => verdicts.push(SignatureVerdict::unusable(Unusable::Malformed)),
        }
    }
    verdicts
}

/// libostree's rule: at least one signature is good.
///
/// # Errors
/// [`Invalid`] says of every signature why it is not.
pub fn require_valid(verdicts: Vec<SignatureVerdict>) -> Result<Vec<SignatureVerdict>, Invalid> {
    if verdicts.iter().any(SignatureVerdict::is_valid) { Ok(verdicts) } else { Err(Invalid { verdicts }) }
}

/// The place of the first verdict about a signature by the certificate that goes by `id` in `keyring`.
///
/// # Errors
/// As [`Keyring::find`].
pub fn lookup(keyring: &Keyring, verdicts: &[SignatureVerdict], id: &str) -> Result<Option<usize>> {
    let cert = keyring.find(id)?;
    let made_it = |verdict: &SignatureVerdict| {
        let Some(handle) = &verdict.key else { return false };
        keyring.keys(handle).any(|(owner, _)| owner.fingerprint() == cert.fingerprint())
    };
    Ok(verdicts.iter().position(made_it))
}

/// The state of one run.
struct Check<'a> {
    keyring: &'a Keyring,
    data: &'a [u8],
    now: SystemTime,
    /// The data hashed once with each algorithm that was met.
    hashed: Vec<(HashAlgorithm, u8, Context)>,
}

impl Check<'_> {
    fn packet(&mut self, packet: &Packet) -> Option<SignatureVerdict> {
        match packet {
            Packet::Signature(signature) => Some(self.signature(signature)),
            Packet::Marker(_) | Packet::Trust(_) => None,
            _ => Some(SignatureVerdict::unusable(Unusable::Malformed)),
        }
    }

    fn signature(&mut self, signature: &Signature) -> SignatureVerdict {
        let mut verdict = SignatureVerdict {
            key: signature.get_issuers().into_iter().next(),
            created: signature.signature_creation_time(),
            public_key_algorithm: Some(signature.pk_algo()),
            hash_algorithm: Some(signature.hash_algo()),
            ..SignatureVerdict::unusable(Unusable::Malformed)
        };
        // A short key id can fit several keys: the one that made it counts, else the first.
        let issuers = signature.get_issuers();
        let mut first = None;
        for (cert, index) in issuers.iter().flat_map(|issuer| self.keyring.keys(issuer)) {
            let info = cert.info(self.keyring, self.now);
            let status = self.by_key(signature, cert, &info, index);
            let genuine = !matches!(status, Status::Bad | Status::Unusable(_));
            if first.is_none() || genuine {
                first = Some((status, info, index));
            }
            if genuine {
                break;
            }
        }
        match first {
            Some((status, info, index)) => verdict.fill(signature, status, &info, index),
            None => verdict.status = Status::KeyMissing,
        }
        verdict
    }

    /// What becomes of `signature` if that key made it.
    fn by_key(&mut self, signature: &Signature, cert: &Cert, info: &CertInfo, index: KeyIndex) -> Status {
        let (Some(key), Some(state)) = (cert.key(index), info.key(index)) else { return Status::KeyMissing };
        if signature.typ() != SignatureType::Binary {
            return Status::Unusable(Unusable::Kind);
        }
        if !validity::is_understood(signature) {
            return Status::Unusable(Unusable::Unsupported);
        }
        if state.invalid || !state.for_signing {
            return Status::Unusable(Unusable::Key);
        }
        if state.created > self.now || signature.signature_creation_time().is_none_or(|at| at < state.created)
        {
            return Status::Unusable(Unusable::Time);
        }
        let Some(genuine) = self.arithmetic(signature, key) else {
            return Status::Unusable(Unusable::Unsupported);
        };
        if !genuine {
            Status::Bad
        } else if signature.signature_expiration_time().is_some_and(|at| at <= self.now) {
            Status::SignatureExpired
        } else if state.expired {
            Status::KeyExpired
        } else if state.revoked {
            Status::KeyRevoked
        } else {
            Status::Good
        }
    }

    /// Whether the numbers fit; nothing if the algorithms are not there.
    fn arithmetic(&mut self, signature: &Signature, key: &Key<PublicParts, UnspecifiedRole>) -> Option<bool> {
        if !signature.pk_algo().is_supported() {
            return None;
        }
        if signature.salt().is_some() {
            return Some(signature.verify_message(key, self.data).is_ok());
        }
        let hash = self.hash(signature.hash_algo(), signature.version())?;
        Some(signature.verify_hash(key, hash).is_ok())
    }

    fn hash(&mut self, algorithm: HashAlgorithm, version: u8) -> Option<Context> {
        if let Some((.., hash)) = self.hashed.iter().find(|(a, v, _)| *a == algorithm && *v == version) {
            return Some(hash.clone());
        }
        let mut hash = algorithm.context().ok()?.for_signature(version);
        hash.update(self.data);
        self.hashed.push((algorithm, version, hash.clone()));
        Some(hash)
    }
}

impl SignatureVerdict {
    fn unusable(why: Unusable) -> Self {
        Self {
            status: Status::Unusable(why),
            key: None,
            primary: None,
            created: None,
            expires: None,
            public_key_algorithm: None,
            hash_algorithm: None,
            key_expires: None,
            primary_expires: None,
            user: None,
        }
    }

    /// Adds what the certificate says.
    fn fill(&mut self, signature: &Signature, status: Status, info: &CertInfo, index: KeyIndex) {
        self.status = status;
        self.primary = Some(info.primary.fingerprint.clone());
        self.expires = signature.signature_expiration_time();
        self.primary_expires = info.primary.expires;
        self.user = info.users.first().map(|user| user.name.clone());
        if let Some(key) = info.key(index) {
            self.key = Some(KeyHandle::Fingerprint(key.fingerprint.clone()));
            self.key_expires = key.expires;
        }
    }
}
