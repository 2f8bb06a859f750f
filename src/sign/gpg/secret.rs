//! Secret keys: choosing one by name, and signing with it.

use std::time::SystemTime;

use sequoia_openpgp::crypto::hash::Hash as _;
use sequoia_openpgp::crypto::mpi::{self, PublicKey};
use sequoia_openpgp::crypto::{KeyPair, S2K, Signer as _};
use sequoia_openpgp::packet::key::{PublicParts, SecretKeyMaterial, UnspecifiedRole};
use sequoia_openpgp::packet::signature::Signature4;
use sequoia_openpgp::packet::signature::subpacket::{Subpacket, SubpacketArea, SubpacketValue};
use sequoia_openpgp::packet::{Key, Signature};
use sequoia_openpgp::serialize::MarshalInto;
use sequoia_openpgp::types::{Curve, HashAlgorithm, SignatureType, Timestamp};
use sequoia_openpgp::{Fingerprint, Packet};

use super::agent::AgentKey;
use super::keyid::KeyQuery;
use super::keyring::KeyIndex;
use super::{CannotSign, Cert, CertInfo, Error, Keyring, Result};
use crate::base::debug_fields;

/// Certificates, and the secret halves of some of their keys.
#[derive(Clone, Default)]
pub struct SecretKeys {
    pub(super) public: Keyring,
    secrets: Vec<(Fingerprint, Secret)>,
}

debug_fields!(SecretKeys { public });

/// The secret half of a key, if one can get at it.
#[derive(Clone)]
pub(super) enum Secret {
    /// The numbers.
    Clear(SecretKeyMaterial),
    /// Numbers that are encrypted with a passphrase.
    Protected,
    /// Numbers on a smart card.
    Card,
}

/// A key ready to sign.
#[derive(Clone)]
pub struct Signer {
    primary: Fingerprint,
    pair: KeyPair,
}

debug_fields!(Signer { primary });

impl SecretKeys {
    /// Reads what `gpg --export-secret-keys` writes, armored or binary, or a `secring.gpg` of GnuPG 1.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not that. Keys protected by a passphrase are no error before they are
    /// used.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut secrets = Vec::new();
        let public = Keyring::with_secrets("secret keyring", bytes, &mut secrets)?;
        let secrets = secrets.into_iter().filter_map(|(key, secret)| Some((key, Secret::new(secret)?)));
        Ok(Self { public, secrets: secrets.collect() })
    }

    /// Adds certificates and their newer self-signatures.
    pub(super) fn add_public(&mut self, keyring: Keyring) {
        self.public.extend(keyring);
    }

    /// Adds what `other` knows.
    pub fn extend(&mut self, other: SecretKeys) {
        self.public.extend(other.public);
        self.secrets.extend(other.secrets);
    }

    /// Gives an agent's key to the public key that it belongs to, if there is one.
    pub(super) fn add_agent_key(&mut self, agent: &AgentKey) {
        let fingerprints: Vec<Fingerprint> = self
            .public
            .certs()
            .flat_map(|cert| cert.key_indexes().filter_map(|index| cert.key(index)))
            .filter(|key| agent.belongs_to(key.mpis()))
            .map(Key::fingerprint)
            .collect();
        for fingerprint in fingerprints {
            self.secrets.push((fingerprint, agent.secret.clone()));
        }
    }

    /// The certificates, with or without secret keys.
    pub fn public(&self) -> &Keyring {
        &self.public
    }

    /// The key to sign with for `id` (see [`Keyring::find`]) at the time `now`: the subkey that `id` names,
    /// else, as `gpg` chooses, the newest subkey that may sign, else the primary key.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no certificate goes by `id`, [`Error::Ambiguous`] if several with secret keys do,
    /// [`Error::CannotSign`] if the one has no secret key or cannot sign now.
    pub fn signer(&self, id: &str, now: SystemTime) -> Result<Signer> {
        let query = KeyQuery::parse(id);
        let mut found = self.public.certs().filter(|cert| query.matches(cert) && self.has_secret(cert));
        let Some(cert) = found.next() else {
            return Err(match self.public.certs().find(|cert| query.matches(cert)) {
                Some(cert) => Error::CannotSign { key: cert.fingerprint(), why: CannotSign::NoSecret },
                None => Error::NotFound(id.to_owned()),
            });
        };
        if found.next().is_some() {
            return Err(Error::Ambiguous(id.to_owned()));
        }
        let info = cert.info(&self.public, now);
        let newest_first = |index: &KeyIndex| std::cmp::Reverse(info.key(*index).map(|key| key.created));
        let mut candidates: Vec<KeyIndex> = cert.key_indexes().skip(1).collect();
        candidates.sort_by_key(newest_first);
        candidates.push(KeyIndex::Primary);
        if let Some(named) = query.matching_key(cert).filter(|index| *index != KeyIndex::Primary) {
            candidates.insert(0, named);
        }
        let mut why = CannotSign::NotForSigning;
        for index in candidates {
            match self.try_key(cert, &info, index, now) {
                Ok(signer) => return Ok(signer),
                // Of several reasons the one that is not in the nature of the key.
                Err(CannotSign::NotForSigning) => {}
                Err(reason) => why = reason,
            }
        }
        Err(Error::CannotSign { key: cert.fingerprint(), why })
    }

    fn has_secret(&self, cert: &Cert) -> bool {
        let keys = cert.key_indexes().filter_map(|index| cert.key(index));
        keys.map(Key::fingerprint).any(|key| self.secrets.iter().any(|(owner, _)| *owner == key))
    }

    fn try_key(
        &self,
        cert: &Cert,
        info: &CertInfo,
        index: KeyIndex,
        now: SystemTime,
    ) -> Result<Signer, CannotSign> {
        let (Some(key), Some(state)) = (cert.key(index), info.key(index)) else {
            return Err(CannotSign::NotForSigning);
        };
        if !state.for_signing || state.invalid || state.created > now {
            return Err(CannotSign::NotForSigning);
        }
        if state.revoked {
            return Err(CannotSign::Revoked);
        }
        if state.expired {
            return Err(CannotSign::Expired);
        }
        let secret = self.secret(&key.fingerprint())?.clone();
        let (key, _) = key.clone().add_secret(secret);
        let pair = key.into_keypair().map_err(|_| CannotSign::Protected)?;
        Ok(Signer { primary: cert.fingerprint(), pair })
    }

    /// The best that is known of the secret half of `key`.
    fn secret(&self, key: &Fingerprint) -> Result<&SecretKeyMaterial, CannotSign> {
        let mut why = CannotSign::NoSecret;
        for (_, secret) in self.secrets.iter().filter(|(owner, _)| owner == key) {
            match secret {
                Secret::Clear(numbers) => return Ok(numbers),
                Secret::Protected => why = CannotSign::Protected,
                Secret::Card => why = CannotSign::Card,
            }
        }
        Err(why)
    }
}

impl Secret {
    /// Takes the secret half of a key; `None` for the stub that GnuPG exports in the place of a secret key it does
    /// not have.
    fn new(secret: SecretKeyMaterial) -> Option<Self> {
        match &secret {
            SecretKeyMaterial::Unencrypted(_) => Some(Self::Clear(secret)),
            SecretKeyMaterial::Encrypted(encrypted) => match encrypted.s2k() {
                S2K::Private { .. } => None,
                _ => Some(Self::Protected),
            },
        }
    }
}

impl Signer {
    /// The fingerprint of the signing key.
    pub fn fingerprint(&self) -> Fingerprint {
        self.pair.public().fingerprint()
    }

    /// The fingerprint of the certificate.
    pub fn primary_fingerprint(&self) -> Fingerprint {
        self.primary.clone()
    }

    /// A detached binary signature over `data`, dated `time` (whole seconds), with what GnuPG puts into one
    /// and nothing random: with RSA and EdDSA, the same input gives the same bytes.
    ///
    /// # Errors
    /// [`Error::Signing`], also if the signature does not verify: then the secret key is damaged.
    pub fn sign(&self, data: &[u8], time: SystemTime) -> Result<Vec<u8>> {
        self.try_sign(data, time).map_err(|e| Error::Signing { key: self.fingerprint(), why: e.to_string() })
    }

    fn try_sign(&self, data: &[u8], time: SystemTime) -> sequoia_openpgp::Result<Vec<u8>> {
        let key = self.pair.public();
        let algorithm = hash_for(key);
        let subpacket = |value| Subpacket::new(value, false);
        let hashed = SubpacketArea::new(vec![
            subpacket(SubpacketValue::IssuerFingerprint(key.fingerprint()))?,
            subpacket(SubpacketValue::SignatureCreationTime(Timestamp::try_from(time)?))?,
        ])?;
        let unhashed = SubpacketArea::new(vec![subpacket(SubpacketValue::Issuer(key.keyid()))?])?;
        let packet = |prefix, numbers| {
            let (hashed, unhashed) = (hashed.clone(), unhashed.clone());
            Signature4::new(
                SignatureType::Binary,
                key.pk_algo(),
                algorithm,
                hashed,
                unhashed,
                prefix,
                numbers,
            )
        };
        // What is hashed does not include the prefix and the numbers.
        let blank = packet([0; 2], mpi::Signature::Unknown { mpis: Box::new([]), rest: Box::new([]) });
        let mut hash = algorithm.context()?.for_signature(4);
        hash.update(data);
        blank.hash(&mut hash)?;
        let digest = hash.into_digest()?;
        let numbers = self.pair.clone().sign(algorithm, &digest)?;
        let signature = Signature::from(packet([digest[0], digest[1]], numbers));
        signature.verify_message(key, data)?;
        Packet::from(signature).to_vec()
    }
}

/// SHA-256, or what the curve asks for.
fn hash_for(key: &Key<PublicParts, UnspecifiedRole>) -> HashAlgorithm {
    match key.mpis() {
        PublicKey::ECDSA { curve: Curve::NistP384, .. } => HashAlgorithm::SHA384,
        PublicKey::ECDSA { curve: Curve::NistP521, .. } | PublicKey::EdDSA { .. } => HashAlgorithm::SHA512,
        _ => HashAlgorithm::SHA256,
    }
}
