//! Certificates ("public keys" in GnuPG's speech): a primary key with its users, subkeys and signatures.
//!
//! ```text
//! public key │ direct signatures, revocations
//!   user id │ self-signatures, other people's │ user id │ …
//!   subkey  │ bindings, revocations           │ subkey  │ …
//! ```
//! GnuPG puts trust packets (tag 12) between them, which mean nothing outside of its own home directory.

use std::collections::HashMap;

use sequoia_openpgp::packet::key::{PublicParts, SecretKeyMaterial};
use sequoia_openpgp::packet::{Key, Signature, UserAttribute, UserID, key};
use sequoia_openpgp::serialize::MarshalInto;
use sequoia_openpgp::{Fingerprint, KeyHandle, Packet};

use super::keyid::KeyQuery;
use super::{Error, Result, packets};

/// The primary key of a certificate.
pub(super) type PrimaryKey = Key<PublicParts, key::PrimaryRole>;
/// A subkey.
pub(super) type Subkey = Key<PublicParts, key::SubordinateRole>;

/// Part of a certificate with the signatures that follow it.
#[derive(Debug, Clone)]
pub(super) struct Signed<T> {
    pub(super) what: T,
    pub(super) signatures: Vec<Signature>,
}

/// One certificate. Nothing of it has been verified; [`Cert::info`] does that for a given time.
#[derive(Debug, Clone)]
pub struct Cert {
    pub(super) primary: Signed<PrimaryKey>,
    pub(super) users: Vec<Signed<UserID>>,
    attributes: Vec<Signed<UserAttribute>>,
    pub(super) subkeys: Vec<Signed<Subkey>>,
}

/// Certificates, each once, in the order in which they were first seen.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    certs: Vec<Cert>,
    by_fingerprint: HashMap<Fingerprint, usize>,
}

impl Keyring {
    /// Reads a keyring: binary (several concatenated, with or without GnuPG's trust packets), ASCII armor
    /// with one block or several, or GnuPG's keybox. Of secret keys the public half is taken.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is neither, or holds something but no key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::with_secrets("keyring", bytes, &mut Vec::new())
    }

    /// [`Keyring::from_bytes`] which keeps the secret halves.
    pub(super) fn with_secrets(
        what: &'static str,
        bytes: &[u8],
        secrets: &mut Vec<(Fingerprint, SecretKeyMaterial)>,
    ) -> Result<Self> {
        let packets = packets::read(what, bytes)?;
        let empty = packets.is_empty();
        let ring = Self::group(packets, secrets);
        if ring.certs.is_empty() && !empty {
            return Err(Error::Malformed { what, why: "it holds no key".into() });
        }
        Ok(ring)
    }

    /// Adds what `other` knows. The signatures of a certificate that both have are united: a revocation
    /// known to any keyring counts.
    ///
    /// Returns how many certificates are new.
    pub fn extend(&mut self, other: Keyring) -> usize {
        let before = self.certs.len();
        other.certs.into_iter().for_each(|cert| self.add(cert));
        self.certs.len() - before
    }

    /// The certificates.
    pub fn certs(&self) -> impl ExactSizeIterator<Item = &Cert> {
        self.certs.iter()
    }

    /// Whether there is no certificate.
    pub fn is_empty(&self) -> bool {
        self.certs.is_empty()
    }

    /// The certificate that goes by `id`: the fingerprint or the long or short key id of its primary key or
    /// of a subkey, `=` and a whole user id, `<` mail address `>`, or part of a user id.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Ambiguous`].
    pub fn find(&self, id: &str) -> Result<&Cert> {
        let query = KeyQuery::parse(id);
        let mut found = self.certs.iter().filter(|cert| query.matches(cert));
        match (found.next(), found.next()) {
            (Some(cert), None) => Ok(cert),
            (None, _) => Err(Error::NotFound(id.to_owned())),
            _ => Err(Error::Ambiguous(id.to_owned())),
        }
    }

    /// A keyring of those certificates only that go by one of `ids`, in that order.
    ///
    /// # Errors
    /// As [`Keyring::find`].
    pub fn select<S: AsRef<str>>(&self, ids: &[S]) -> Result<Keyring> {
        let mut ring = Keyring::default();
        for id in ids {
            ring.add(self.find(id.as_ref())?.clone());
        }
        Ok(ring)
    }

    /// The binary form, which GnuPG and C ostree read as `pubring.gpg` and `REMOTE.trustedkeys.gpg`.
    ///
    /// # Errors
    /// [`Error::Malformed`] if a packet cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        for packet in self.certs.iter().flat_map(Cert::packets) {
            let bytes =
                packet.to_vec().map_err(|e| Error::Malformed { what: "keyring", why: e.to_string() })?;
            out.extend(bytes);
        }
        Ok(out)
    }

    /// Every key, primary or subkey, that `handle` names.
    pub(super) fn keys<'a>(
        &'a self,
        handle: &'a KeyHandle,
    ) -> impl Iterator<Item = (&'a Cert, KeyIndex)> + 'a {
        self.certs.iter().flat_map(move |cert| {
            cert.key_indexes()
                .filter(move |i| cert.key(*i).is_some_and(|key| key.key_handle().aliases(handle)))
                .map(move |i| (cert, i))
        })
    }

    /// The primary key with this fingerprint.
    pub(super) fn primary_key(&self, fingerprint: &Fingerprint) -> Option<&PrimaryKey> {
        self.by_fingerprint.get(fingerprint).map(|at| &self.certs[*at].primary.what)
    }

    fn add(&mut self, cert: Cert) {
        match self.by_fingerprint.get(&cert.fingerprint()) {
            Some(&at) => self.certs[at].unite(cert),
            None => {
                self.by_fingerprint.insert(cert.fingerprint(), self.certs.len());
                self.certs.push(cert);
            }
        }
    }

    /// Packets before the first key, and those that are not understood, are passed over with all the
    /// signatures behind them.
    fn group(packets: Vec<Packet>, secrets: &mut Vec<(Fingerprint, SecretKeyMaterial)>) -> Self {
        let mut ring = Self::default();
        let mut builder = Builder::default();
        for packet in packets {
            let primary = match packet {
                Packet::PublicKey(key) => key,
                Packet::SecretKey(key) => {
                    let (key, secret) = key.take_secret();
                    secrets.push((key.fingerprint(), secret));
                    key
                }
                Packet::SecretSubkey(key) => {
                    let (key, secret) = key.take_secret();
                    secrets.push((key.fingerprint(), secret));
                    builder.push(Packet::PublicSubkey(key));
                    continue;
                }
                other => {
                    builder.push(other);
                    continue;
                }
            };
            if let Some(cert) = builder.start(primary) {
                ring.add(cert);
            }
        }
        if let Some(cert) = builder.cert {
            ring.add(cert);
        }
        ring
    }
}

/// The place of a key in a certificate: the primary key, or a subkey by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyIndex {
    Primary,
    Subkey(usize),
}

impl Cert {
    /// The fingerprint of the primary key, which names the certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.primary.what.fingerprint()
    }

    /// All keys.
    pub(super) fn key_indexes(&self) -> impl Iterator<Item = KeyIndex> + use<> {
        std::iter::once(KeyIndex::Primary).chain((0..self.subkeys.len()).map(KeyIndex::Subkey))
    }

    /// The key at this place.
    pub(super) fn key(&self, index: KeyIndex) -> Option<&Key<PublicParts, key::UnspecifiedRole>> {
        match index {
            KeyIndex::Primary => Some(self.primary.what.role_as_unspecified()),
            KeyIndex::Subkey(i) => self.subkeys.get(i).map(|k| k.what.role_as_unspecified()),
        }
    }

    /// Takes over what `other`, a copy of the same certificate, has more.
    fn unite(&mut self, other: Cert) {
        unite_signatures(&mut self.primary.signatures, other.primary.signatures);
        unite(&mut self.users, other.users, |a, b| a == b);
        unite(&mut self.attributes, other.attributes, |a, b| a == b);
        unite(&mut self.subkeys, other.subkeys, |a, b| a.public_eq(b));
    }

    fn packets(&self) -> Vec<Packet> {
        fn put<T: Clone>(out: &mut Vec<Packet>, part: &Signed<T>, wrap: impl Fn(T) -> Packet) {
            out.push(wrap(part.what.clone()));
            out.extend(part.signatures.iter().cloned().map(Packet::Signature));
        }
        let mut out = Vec::new();
        put(&mut out, &self.primary, Packet::PublicKey);
        self.users.iter().for_each(|user| put(&mut out, user, Packet::UserID));
        self.attributes.iter().for_each(|a| put(&mut out, a, Packet::UserAttribute));
        self.subkeys.iter().for_each(|key| put(&mut out, key, Packet::PublicSubkey));
        out
    }
}

fn unite<T>(into: &mut Vec<Signed<T>>, from: Vec<Signed<T>>, same: impl Fn(&T, &T) -> bool) {
    for part in from {
        match into.iter_mut().find(|have| same(&have.what, &part.what)) {
            Some(have) => unite_signatures(&mut have.signatures, part.signatures),
            None => into.push(part),
        }
    }
}

fn unite_signatures(into: &mut Vec<Signature>, from: Vec<Signature>) {
    for signature in from {
        if !into.iter().any(|have| have.normalized_eq(&signature)) {
            into.push(signature);
        }
    }
}

/// What the next signature packet belongs to.
#[derive(Debug, Clone, Copy, Default)]
enum Last {
    Primary,
    User,
    Attribute,
    Subkey,
    #[default]
    Nothing,
}

/// The certificate being read.
#[derive(Default)]
struct Builder {
    cert: Option<Cert>,
    last: Last,
}

impl Builder {
    /// Starts the next certificate and hands out the one before.
    fn start(&mut self, primary: PrimaryKey) -> Option<Cert> {
        let primary = Signed { what: primary, signatures: Vec::new() };
        self.last = Last::Primary;
        self.cert.replace(Cert { primary, users: Vec::new(), attributes: Vec::new(), subkeys: Vec::new() })
    }

    fn push(&mut self, packet: Packet) {
        let Some(cert) = &mut self.cert else { return };
        match packet {
            Packet::UserID(what) => {
                cert.users.push(Signed { what, signatures: Vec::new() });
                self.last = Last::User;
            }
            Packet::UserAttribute(what) => {
                cert.attributes.push(Signed { what, signatures: Vec::new() });
                self.last = Last::Attribute;
            }
            Packet::PublicSubkey(what) => {
                cert.subkeys.push(Signed { what, signatures: Vec::new() });
                self.last = Last::Subkey;
            }
            Packet::Signature(signature) => {
                let place = match self.last {
                    Last::Primary => Some(&mut cert.primary.signatures),
                    Last::User => cert.users.last_mut().map(|part| &mut part.signatures),
                    Last::Attribute => cert.attributes.last_mut().map(|part| &mut part.signatures),
                    Last::Subkey => cert.subkeys.last_mut().map(|part| &mut part.signatures),
                    Last::Nothing => None,
                };
                place.into_iter().for_each(|signatures| signatures.push(signature.clone()));
            }
            // Neither ends what it stands behind.
            Packet::Trust(_) | Packet::Marker(_) => {}
            Packet::Unknown(unknown) if unknown.tag() == sequoia_openpgp::packet::Tag::Signature => {}
            _ => self.last = Last::Nothing,
        }
    }
}
