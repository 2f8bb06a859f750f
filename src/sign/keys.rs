//! Public keys that are trusted, and what comes of signatures by them.

use std::fmt;
use std::str::FromStr;

use ostree_format::commitmeta::SignatureKind;

use super::key_files::{Half, blobs, from_base64};
use super::{Error, Result, ed25519, spki};

/// The number of keys that did not make a signature which an error names.
const MAX_NAMED: usize = 3;

/// A kind of bare key, and of its signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// Ed25519 keys as bare numbers.
    Ed25519,
    /// Keys of several algorithms in X.509's form `SubjectPublicKeyInfo`.
    Spki,
    /// Keys that are their own signatures; for tests.
    Dummy,
}

/// There is no kind of key of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Requested signature type is not implemented")]
pub struct UnknownKind;

impl KeyKind {
    /// The kinds of bare keys, all of them, in the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::Ed25519, Self::Spki, Self::Dummy];

    /// The name in options, in the configuration and in the names of files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Spki => "spki",
            Self::Dummy => "dummy",
        }
    }

    /// Tells where signatures of this kind are kept.
    pub const fn signature_kind(self) -> SignatureKind {
        match self {
            Self::Ed25519 => SignatureKind::Ed25519,
            Self::Spki => SignatureKind::Spki,
            Self::Dummy => SignatureKind::Dummy,
        }
    }
}

impl FromStr for KeyKind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(UnknownKind)
    }
}

/// A bare public key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BareKey {
    /// An Ed25519 key.
    Ed25519(ed25519::Ed25519Key),
    /// A key in the form `SubjectPublicKeyInfo`.
    Spki(spki::SpkiKey),
    /// Whatever the signature has to be; for tests.
    Dummy(Vec<u8>),
}

impl BareKey {
    /// The key that an option gives as text: in base64, except for a dummy one.
    ///
    /// # Errors
    /// [`Error::Length`](super::Error::Length), [`Error::Malformed`](super::Error::Malformed).
    pub fn from_text(kind: KeyKind, text: &str) -> Result<Self> {
        match kind {
            KeyKind::Dummy => Ok(Self::Dummy(text.as_bytes().to_vec())),
            _ => Self::from_bytes(kind, &from_base64(text)),
        }
    }

    fn from_bytes(kind: KeyKind, bytes: &[u8]) -> Result<Self> {
        Ok(match kind {
            KeyKind::Ed25519 => Self::Ed25519(ed25519::Ed25519Key::from_bytes(bytes)?),
            KeyKind::Spki => Self::Spki(spki::SpkiKey::from_der(bytes)?),
            KeyKind::Dummy => Self::Dummy(bytes.to_vec()),
        })
    }

    /// Whether the key made this signature of this data.
    fn made(&self, data: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => key.verify(data, signature),
            Self::Spki(key) => key.verify(data, signature, spki::P384Digest::Sha256),
            Self::Dummy(key) => key == signature,
        }
    }
}

/// The key in hexadecimal digits.
impl fmt::Display for BareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(match self {
            Self::Ed25519(key) => key.as_bytes(),
            Self::Spki(key) => key.as_der(),
            Self::Dummy(key) => key,
        }))
    }
}

/// Public keys of one kind: trusted ones, and those that are revoked whoever trusts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeys {
    kind: KeyKind,
    trusted: Vec<BareKey>,
    revoked: Vec<BareKey>,
}

impl PublicKeys {
    /// No keys of this kind.
    pub const fn new(kind: KeyKind) -> Self {
        Self { kind, trusted: Vec::new(), revoked: Vec::new() }
    }

    /// The kind of the keys.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether no key is trusted.
    pub fn is_empty(&self) -> bool {
        self.trusted.is_empty()
    }

    /// Trusts the key that an option gives as text.
    ///
    /// # Errors
    /// As [`BareKey::from_text`].
    pub fn trust(&mut self, text: &str) -> Result<()> {
        self.trusted.push(BareKey::from_text(self.kind, text)?);
        Ok(())
    }

    /// Trusts the keys in a file: a base64 text a line of Ed25519, where lines may be empty or comments behind a `#`, PEM
    /// blocks `PUBLIC KEY` of spki, a line each of dummy ones. What is no key is left out if something else in the file is
    /// one; returns how many are.
    ///
    /// # Errors
    /// What is wrong with the first key if there is no good one.
    pub fn trust_file(&mut self, text: &str) -> Result<usize> {
        read(self.kind, text, &mut self.trusted)
    }

    /// Revokes the keys in a file, in the form of [`PublicKeys::trust_file`]. Where libostree passes over what is no
    /// key, this does not: a key that was meant to be revoked would go on being trusted.
    ///
    /// # Errors
    /// What is wrong with the first that is none; then no key is revoked.
    pub fn revoke_file(&mut self, text: &str) -> Result<usize> {
        let kind = self.kind;
        let keys = blobs(kind, Half::Public, text).into_iter();
        let keys: Vec<_> = keys.map(|bytes| BareKey::from_bytes(kind, &bytes?)).collect::<Result<_>>()?;
        let says_something =
            text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#'));
        if keys.is_empty() && says_something {
            return Err(Error::File("no valid keys in it"));
        }
        let added = keys.len();
        self.revoked.extend(keys);
        Ok(added)
    }

    /// Looks for a good signature of `data` by a trusted key among `signatures`.
    ///
    /// # Errors
    /// [`Unverified`] says why there is none.
    pub fn verify(&self, data: &[u8], signatures: &[&[u8]]) -> Result<Verified, Unverified> {
        let kind = self.kind;
        if self.trusted.is_empty() && kind != KeyKind::Dummy {
            return Err(Unverified::NoKeys(kind));
        }
        let mut tried = Vec::new();
        for signature in signatures {
            if kind == KeyKind::Ed25519 && signature.len() != ed25519::SIGNATURE_BYTES {
                return Err(Unverified::Length { got: signature.len() });
            }
            // The key that was added last is asked first, as libostree does.
            for key in self.trusted.iter().rev().filter(|key| !self.revoked.contains(key)) {
                if key.made(data, signature) {
                    return Ok(Verified(key.clone()));
                }
                tried.push(key.clone());
            }
        }
        Err(match (kind, signatures) {
            (_, []) => Unverified::NotSigned(kind),
            (KeyKind::Dummy, _) => Unverified::Dummies(signatures.len()),
            _ if tried.is_empty() => Unverified::NotSigned(kind),
            _ => Unverified::ByNone { kind, tried },
        })
    }
}

fn read(kind: KeyKind, text: &str, keys: &mut Vec<BareKey>) -> Result<usize> {
    let (mut added, mut first) = (0, None);
    for bytes in blobs(kind, Half::Public, text) {
        match bytes.and_then(|bytes| BareKey::from_bytes(kind, &bytes)) {
            Ok(key) => {
                added += 1;
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
            Err(error) => first = first.or(Some(error)),
        }
    }
    match first {
        Some(error) if added == 0 => Err(error),
        _ => Ok(added),
    }
}

/// A good signature: the key that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified(pub BareKey);

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            BareKey::Dummy(_) => return f.write_str("dummy: Signature verified"),
            BareKey::Ed25519(_) => KeyKind::Ed25519,
            BareKey::Spki(_) => KeyKind::Spki,
        };
        write!(f, "{}: Signature verified successfully with key '{}'", kind.name(), self.0)
    }
}

/// The reasons for which no signature of one kind counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unverified {
    /// No key of this kind is trusted.
    #[error("signature: {}: no keys loaded", .0.name())]
    NoKeys(KeyKind),
    /// There is no signature of this kind, or every key that is trusted is revoked.
    #[error("{}: no signatures found", .0.name())]
    NotSigned(KeyKind),
    /// An Ed25519 signature has another length than all of them.
    #[error("Invalid signature: Ill-formed input: expected 64 bytes, got {got} bytes")]
    Length {
        /// The length that was found.
        got: usize,
    },
    /// None of the trusted keys made any of the signatures.
    #[error("{}: Signature couldn't be verified{}", .kind.name(), name_keys(tried))]
    ByNone {
        /// The kind of the signatures.
        kind: KeyKind,
        /// The keys, once for each signature.
        tried: Vec<BareKey>,
    },
    /// Dummy signatures, so many, are others than the key.
    #[error("signature: dummy: incorrect signatures found: {0}")]
    Dummies(usize),
}

fn name_keys(keys: &[BareKey]) -> String {
    if keys.len() > MAX_NAMED {
        return format!("; tried {} keys", keys.len());
    }
    let names: Vec<String> = keys.iter().map(|key| format!("key '{key}'")).collect();
    format!(" with: {}", names.join("; "))
}
