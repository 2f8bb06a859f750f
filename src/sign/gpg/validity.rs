//! What a certificate's own signatures say of its keys and users at a given time, by GnuPG 2.2's rules:
//!
//! * a signature counts if it verifies under the primary key, is not made with MD5, bears no critical
//!   subpacket that is not understood, and has not itself expired;
//! * the primary key expires when its newest direct signature says so; if that says nothing, when the newest
//!   self-signature says so of the user that was certified last, among those whose self-signature does;
//! * a subkey expires when its newest binding says so, and is expired as soon as the primary key is;
//! * any revocation that verifies counts for ever, whatever its date; of the primary key also one by a key of the
//!   same keyring that a direct signature, however old, gives the right to it;
//! * a key whose users are all revoked stays good; what it may do, and how long, is what it last said of them, where
//!   GnuPG then takes it to be without limits;
//! * a key may sign if the key flags next to the expiry say so, or there are none and its algorithm can; a subkey, if
//!   it has signed, too, that it belongs to the primary key.

use std::time::SystemTime;

use sequoia_openpgp::Fingerprint;
use sequoia_openpgp::packet::signature::subpacket::{SubpacketTag, SubpacketValue};
use sequoia_openpgp::packet::{Key, Signature, UserID, key};
use sequoia_openpgp::types::{HashAlgorithm, KeyFlags, SignatureType};

use super::UserName;
use super::keyring::{Cert, KeyIndex, Keyring, PrimaryKey, Signed, Subkey};

/// A certificate at a given time, for listing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertInfo {
    /// The primary key.
    pub primary: KeyInfo,
    /// The users; the primary one first, the others in the order of the file.
    pub users: Vec<UserInfo>,
    /// The subkeys.
    pub subkeys: Vec<KeyInfo>,
}

/// A key at a given time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// The fingerprint.
    pub fingerprint: Fingerprint,
    /// The time at which the key was made.
    pub created: SystemTime,
    /// The time at which the key expires or has expired.
    pub expires: Option<SystemTime>,
    /// Whether that time has come, for this key or for the primary key above it.
    pub expired: bool,
    /// Whether it has been revoked.
    pub revoked: bool,
    /// Whether no valid self-signature or binding supports it.
    pub invalid: bool,
    /// Whether it is meant to sign data.
    pub for_signing: bool,
}

/// A user of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserInfo {
    /// The whole user id.
    pub id: String,
    /// The parts of the user id: name, comment and address.
    pub name: UserName,
    /// Whether the user, or the whole certificate, has been revoked.
    pub revoked: bool,
    /// Whether no valid self-signature supports it.
    pub invalid: bool,
}

impl Cert {
    /// Verifies the self-signatures and says what holds at the time `now`. Keys of `keyring` may have revoked the
    /// certificate, where it gave them the right to.
    pub fn info(&self, keyring: &Keyring, now: SystemTime) -> CertInfo {
        let mut users: Vec<User<'_>> = self.users.iter().map(|user| User::new(user, self, now)).collect();
        let primary = self.primary_info(&users, keyring, now);
        let subkeys = self.subkeys.iter().map(|subkey| self.subkey_info(subkey, &primary, now)).collect();
        if let Some(first) = primary_user(&users) {
            users[..=first].rotate_right(1);
        }
        let users = users.iter().map(|user| user.info(&primary)).collect();
        CertInfo { primary, users, subkeys }
    }

    fn primary_info(&self, users: &[User<'_>], keyring: &Keyring, now: SystemTime) -> KeyInfo {
        let key = &self.primary.what;
        let direct = newest(self.direct_signatures().filter(|s| holds(s, now)));
        let all_revoked = users.iter().all(|user| user.valid().is_none());
        let said = users.iter().filter_map(|user| if all_revoked { user.certified } else { user.valid() });
        let by_user = |has: fn(&Signature) -> bool| newest(said.clone().filter(|s| has(s)));
        let expiry = direct
            .filter(|s| s.key_validity_period().is_some())
            .or_else(|| by_user(|s| s.key_validity_period().is_some_and(|p| !p.is_zero())));
        let flags =
            direct.filter(|s| s.key_flags().is_some()).or_else(|| by_user(|s| s.key_flags().is_some()));
        let expires = expiry.and_then(|s| s.key_expiration_time(key));
        KeyInfo {
            fingerprint: key.fingerprint(),
            created: key.creation_time(),
            expires,
            expired: expires.is_some_and(|at| at <= now),
            revoked: self.is_revoked(keyring),
            invalid: direct.is_none() && users.iter().all(|user| user.last.is_none()),
            for_signing: for_signing(flags.and_then(|s| s.key_flags()), key.role_as_unspecified()),
        }
    }

    /// The genuine signatures of the owner about the primary key itself, also those that hold no longer.
    fn direct_signatures(&self) -> impl Iterator<Item = &Signature> + Clone {
        let key = &self.primary.what;
        self.primary.signatures.iter().filter(move |s| {
            s.typ() == SignatureType::DirectKey
                && acceptable(s, self)
                && s.verify_direct_key(key, key).is_ok()
        })
    }

    /// Whether the owner revoked the certificate, or a key of `keyring` that the owner gave the right to.
    fn is_revoked(&self, keyring: &Keyring) -> bool {
        let key = &self.primary.what;
        let of_kind = |s: &&Signature| s.typ() == SignatureType::KeyRevocation && is_understood(s);
        self.primary.signatures.iter().filter(of_kind).any(|s| {
            if acceptable(s, self) && s.verify_primary_key_revocation(key, key).is_ok() {
                return true;
            }
            let named = self.direct_signatures().flat_map(|s| s.revocation_keys());
            let mut revokers = named.filter_map(|named| keyring.primary_key(named.revoker().1));
            revokers.any(|revoker| s.verify_primary_key_revocation(revoker, key).is_ok())
        })
    }

    fn subkey_info(&self, subkey: &Signed<Subkey>, primary: &KeyInfo, now: SystemTime) -> KeyInfo {
        let (top, key) = (&self.primary.what, &subkey.what);
        let binding = newest(subkey.signatures.iter().filter(|s| {
            s.typ() == SignatureType::SubkeyBinding
                && counts(s, self, now)
                && s.verify_subkey_binding(top, top, key).is_ok()
        }));
        let revoked = subkey.signatures.iter().any(|s| {
            s.typ() == SignatureType::SubkeyRevocation
                && acceptable(s, self)
                && s.verify_subkey_revocation(top, top, key).is_ok()
        });
        let expires = binding.and_then(|s| s.key_expiration_time(key));
        KeyInfo {
            fingerprint: key.fingerprint(),
            created: key.creation_time(),
            expires,
            expired: primary.expired || expires.is_some_and(|at| at <= now),
            revoked: revoked || primary.revoked,
            invalid: binding.is_none() || primary.invalid,
            for_signing: for_signing(binding.and_then(|s| s.key_flags()), key.role_as_unspecified())
                && binding.is_some_and(|s| is_signed_back(s, top, key)),
        }
    }
}

impl CertInfo {
    /// What holds of one of the keys.
    pub(super) fn key(&self, index: KeyIndex) -> Option<&KeyInfo> {
        match index {
            KeyIndex::Primary => Some(&self.primary),
            KeyIndex::Subkey(i) => self.subkeys.get(i),
        }
    }
}

/// A user with the newest signature of the owner about it, a certification or a revocation, and the newest
/// certification.
struct User<'a> {
    id: &'a UserID,
    last: Option<&'a Signature>,
    certified: Option<&'a Signature>,
}

impl<'a> User<'a> {
    fn new(user: &'a Signed<UserID>, cert: &Cert, now: SystemTime) -> Self {
        let verified: Vec<_> = user
            .signatures
            .iter()
            .filter(|s| {
                is_about_user(s) && counts(s, cert, now) && verify_user(s, &cert.primary.what, &user.what)
            })
            .collect();
        let certifications = verified.iter().copied().filter(|s| !is_user_revocation(s));
        Self { id: &user.what, certified: newest(certifications), last: newest(verified.iter().copied()) }
    }

    /// The newest signature, if it is a certification.
    fn valid(&self) -> Option<&'a Signature> {
        self.last.filter(|s| !is_user_revocation(s))
    }

    fn info(&self, primary: &KeyInfo) -> UserInfo {
        let id = String::from_utf8_lossy(self.id.value()).into_owned();
        let revoked = self.last.is_some() && self.valid().is_none();
        UserInfo {
            name: UserName::parse(&id),
            id,
            revoked: revoked || primary.revoked,
            invalid: self.last.is_none(),
        }
    }
}

/// The user that stands for the certificate: of those marked as primary, else of all, the one certified last.
/// Of equally new ones the greater id wins, so that it is the same one everywhere.
fn primary_user(users: &[User<'_>]) -> Option<usize> {
    let rank = |user: &User<'_>| {
        let s = user.valid()?;
        Some((s.primary_userid().unwrap_or(false), s.signature_creation_time()?))
    };
    users
        .iter()
        .enumerate()
        .filter_map(|(at, user)| Some(((rank(user)?, user.id.value()), at)))
        .max()
        .map(|(_, at)| at)
}

fn is_user_revocation(signature: &Signature) -> bool {
    signature.typ() == SignatureType::CertificationRevocation
}

fn is_about_user(signature: &Signature) -> bool {
    matches!(
        signature.typ(),
        SignatureType::GenericCertification
            | SignatureType::PersonaCertification
            | SignatureType::CasualCertification
            | SignatureType::PositiveCertification
            | SignatureType::CertificationRevocation
    )
}

fn verify_user(signature: &Signature, key: &PrimaryKey, user: &UserID) -> bool {
    match signature.typ() {
        SignatureType::CertificationRevocation => signature.verify_userid_revocation(key, key, user),
        _ => signature.verify_userid_binding(key, key, user),
    }
    .is_ok()
}

/// The signature made last; of equally old ones the one that stands last.
fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>) -> Option<&'a Signature> {
    signatures.max_by_key(|s| s.signature_creation_time())
}

/// Whether a self-signature is worth verifying, and still holds at the time `now`.
fn counts(signature: &Signature, cert: &Cert, now: SystemTime) -> bool {
    acceptable(signature, cert) && holds(signature, now)
}

fn holds(signature: &Signature, now: SystemTime) -> bool {
    signature.signature_expiration_time().is_none_or(|at| at > now)
}

/// Whether a self-signature is worth verifying: not another person's, and made in a way that is understood.
fn acceptable(signature: &Signature, cert: &Cert) -> bool {
    let handle = cert.primary.what.key_handle();
    let issuers = signature.get_issuers();
    (issuers.is_empty() || issuers.iter().any(|issuer| issuer.aliases(&handle))) && is_understood(signature)
}

/// Whether nothing about a signature forbids to trust it: MD5, and critical subpackets that are not known,
/// which whoever made the signature wanted to be refused then.
pub(super) fn is_understood(signature: &Signature) -> bool {
    let known = |tag| {
        !matches!(
            tag,
            SubpacketTag::Unknown(_)
                | SubpacketTag::Private(_)
                | SubpacketTag::Reserved(_)
                | SubpacketTag::PlaceholderForBackwardCompatibility
                | SubpacketTag::NotationData
        )
    };
    signature.hash_algo() != HashAlgorithm::MD5
        && signature.hashed_area().iter().all(|packet| {
            !packet.critical()
                || known(packet.tag()) && !matches!(packet.value(), SubpacketValue::Unknown { .. })
        })
}

fn for_signing<P: key::KeyParts>(flags: Option<KeyFlags>, key: &Key<P, key::UnspecifiedRole>) -> bool {
    key.pk_algo().for_signing() && flags.is_none_or(|flags| flags.for_signing())
}

/// Whether a binding holds the signature of the subkey that it belongs to the primary key: without it, anybody could
/// pass off another's key, and what it signed, as their own.
fn is_signed_back(binding: &Signature, top: &PrimaryKey, key: &Subkey) -> bool {
    binding.subpackets(SubpacketTag::EmbeddedSignature).any(|packet| match packet.value() {
        SubpacketValue::EmbeddedSignature(back) => {
            is_understood(back) && back.verify_primary_key_binding(top, key).is_ok()
        }
        _ => false,
    })
}
