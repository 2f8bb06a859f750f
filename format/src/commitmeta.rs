//! Files beside a commit that are no part of it: detached metadata, and the tombstone of a deleted commit.
//!
//! ```text
//! CHECKSUM.commitmeta         a{sv}, signatures above all; an empty file if all of it was removed
//! CHECKSUM.tombstone-commit   a{sv}  {'commit': <b'CHECKSUM'>}
//! ```
//!
//! Neither is named by the checksum of its bytes. Source: libostree ostree-repo-commit.c:3111-3148,
//! ostree-repo.c:4478-4500, ostree-core.c:2673-2720.

use crate::variant::{Dict, Value};
use crate::{CommitId, ParseError, Result};

/// A kind of signature, of a commit in its detached metadata or of the summary in `summary.sig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureKind {
    /// A detached OpenPGP signature.
    Gpg,
    /// An ed25519 signature: its 64 bytes.
    Ed25519,
    /// Made with a key in X.509's `SubjectPublicKeyInfo` form.
    Spki,
    /// The key itself; for tests.
    Dummy,
}

impl SignatureKind {
    /// The kinds of signatures, all of them.
    pub const ALL: [Self; 4] = [Self::Gpg, Self::Ed25519, Self::Spki, Self::Dummy];

    /// The key under which a dictionary holds the signatures.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Gpg => "ostree.gpgsigs",
            Self::Ed25519 => "ostree.sign.ed25519",
            Self::Spki => "ostree.sign.spki",
            Self::Dummy => "ostree.sign.dummy",
        }
    }
}

/// The signatures of one kind in detached metadata or in `summary.sig`.
///
/// # Errors
/// If the value has another type than `aay`.
pub fn signatures(metadata: &Dict, kind: SignatureKind) -> Result<Vec<&[u8]>> {
    match metadata.get_bytes_array(kind.key()) {
        Some(signatures) => Ok(signatures),
        None if metadata.contains_key(kind.key()) => {
            Err(ParseError::invalid("signatures", 0, format!("the type of '{}' is not 'aay'", kind.key())))
        }
        None => Ok(Vec::new()),
    }
}

/// Sets the signatures of one kind; without any, the key goes away. The keys are in the order of a `GVariantDict`
/// after it, as libostree writes them.
pub fn set_signatures(metadata: &mut Dict, kind: SignatureKind, signatures: Vec<Vec<u8>>) {
    if signatures.is_empty() {
        metadata.remove(kind.key());
    } else {
        metadata.insert(kind.key(), Value::bytes_array(signatures));
    }
    *metadata = metadata.hash_ordered();
}

/// Adds a signature behind those that are there.
///
/// # Errors
/// As [`signatures`].
pub fn add_signature(metadata: &mut Dict, kind: SignatureKind, signature: Vec<u8>) -> Result<()> {
    let mut all: Vec<_> = signatures(metadata, kind)?.into_iter().map(<[u8]>::to_vec).collect();
    all.push(signature);
    set_signatures(metadata, kind, all);
    Ok(())
}

/// The bytes of the tombstone of `commit`.
pub fn tombstone(commit: &CommitId) -> Vec<u8> {
    let mut dict = Dict::new();
    dict.push("commit", format!("{commit}\0").into_bytes());
    dict.to_bytes()
}

/// The commit whose tombstone `data` is.
///
/// # Errors
/// If it is not a tombstone.
pub fn parse_tombstone(data: &[u8]) -> Result<CommitId> {
    let dict = Dict::parse(data)?;
    let invalid = || ParseError::invalid("tombstone", 0, "no commit in it");
    let hex = dict.get_bytes("commit").and_then(|hex| str::from_utf8(hex.strip_suffix(b"\0")?).ok());
    Ok(CommitId::new(hex.ok_or_else(invalid)?.parse()?))
}
