//! Checks whether an image has the signatures that the policy asks for.
//!
//! ```text
//! policy ► requirements for this image ► every one must hold
//!    signedBy        a GPG "simple signing" message by one of the keys        claim
//!    sigstoreSigned  a cosign signature by one of the keys                    sigstore, claim
//! both sign a claim: {"critical": {"image": {"docker-manifest-digest"}, "identity": {"docker-reference"}}}
//! ```
//! Where signatures lie is in `lookaside` and [`Signatures`]; files are read by the caller.
//! Source: containers-policy.json(5), containers/image docs/containers-signature.5.md.

mod admitted;
mod claim;
#[cfg(feature = "net")]
mod lookaside;
mod public_key;
#[cfg(feature = "net")]
mod sigstore;

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use admitted::{Admitted, PolicyVerdict};
#[cfg(feature = "net")]
pub use lookaside::{LookasideConfig, gpg_signatures};
pub use public_key::PublicKey;
#[cfg(feature = "net")]
pub use sigstore::sigstore_signatures;

use self::claim::{Claim, ClaimKind};
use crate::container::config::policy::{Keys, Policy, Requirement, SignedIdentity};
use crate::container::image::{Digest, Error, Result};
#[cfg(feature = "openpgp")]
use crate::sign::gpg::{Keyring, SignedMessage, verify as verify_gpg};

/// An image that a policy is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The policy's name for the transport: `docker`, `oci`, `dir` …
    pub transport: &'a str,
    /// The full name of the image in that transport.
    pub name: &'a str,
    /// The digest of its manifest.
    pub manifest: Digest,
}

/// A source of signatures and keys; asked only if a requirement needs them.
pub trait Signatures {
    /// The signed messages of simple signing.
    ///
    /// # Errors
    /// What the network or the file system says.
    fn gpg(&self) -> Result<Vec<Vec<u8>>>;

    /// The signatures of cosign.
    ///
    /// # Errors
    /// As [`Signatures::gpg`].
    fn sigstore(&self) -> Result<Vec<SigstoreSignature>>;

    /// A file of keys that the policy names.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn key_file(&self, path: &str) -> Result<Vec<u8>>;
}

/// A claim and a signature of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigstoreSignature {
    /// The claim: JSON.
    pub payload: Vec<u8>,
    /// The signature of exactly these bytes, in base64, as it stands in the registry.
    pub signature: String,
}

/// Checks an image against a policy at the time `now`.
///
/// # Errors
/// [`Error::Refused`] says which requirement does not hold, and why no signature fulfils it.
pub fn check(policy: &Policy, image: &Candidate<'_>, from: &dyn Signatures, now: SystemTime) -> Result<()> {
    for requirement in policy.requirements(image.transport, image.name) {
        match requirement {
            Requirement::InsecureAcceptAnything => {}
            Requirement::Reject => return Err(refused(image, "the policy rejects it")),
            Requirement::SignedBy { keys, identity } => {
                signed_by(image, from, &named(keys, from)?, identity, now)?;
            }
            Requirement::SigstoreSigned { keys, identity } => {
                sigstore_signed(image, from, &named(keys, from)?, identity)?;
            }
            Requirement::Unchecked(asked) => {
                let why = format!("the policy asks for {asked}, which this program cannot check");
                return Err(refused(image, &why));
            }
        }
    }
    Ok(())
}

/// Whether the policy accepts this image without any signature, and so vouches for nothing.
pub fn accepts_anything(policy: &Policy, image: &Candidate<'_>) -> bool {
    let requirements = policy.requirements(image.transport, image.name);
    requirements.iter().all(|r| *r == Requirement::InsecureAcceptAnything)
}

fn refused(image: &Candidate<'_>, why: &str) -> Error {
    let why = format!("{} ({}): {why}", image.name, image.manifest);
    Error::Refused(why)
}

/// What a policy names as a key: the file, or else the field that it stands in, and the bytes.
type NamedKey<'a> = (&'a str, Vec<u8>);

fn named<'a>(keys: &'a Keys, from: &dyn Signatures) -> Result<Vec<NamedKey<'a>>> {
    let files = keys.paths.iter().map(|path| Ok((path.as_str(), from.key_file(path)?)));
    let mut named = files.collect::<Result<Vec<_>>>()?;
    named.extend(keys.data.iter().map(|bytes| ("keyData", bytes.clone())));
    match named.is_empty() {
        true => Err(Error::Image("a requirement in the policy names no key".into())),
        false => Ok(named),
    }
}

#[cfg(not(feature = "openpgp"))]
fn signed_by(
    image: &Candidate<'_>,
    _: &dyn Signatures,
    _: &[NamedKey<'_>],
    _: &SignedIdentity,
    _: SystemTime,
) -> Result<()> {
    Err(refused(image, "the policy asks for a GPG signature, and this program was built without OpenPGP"))
}

#[cfg(feature = "openpgp")]
fn signed_by(
    image: &Candidate<'_>,
    from: &dyn Signatures,
    keys: &[NamedKey<'_>],
    identity: &SignedIdentity,
    now: SystemTime,
) -> Result<()> {
    let mut keyring = Keyring::default();
    for (name, key) in keys {
        let key = Keyring::from_bytes(key).map_err(|e| Error::Image(format!("{name}: {e}")))?;
        keyring.extend(key);
    }
    if keyring.is_empty() {
        let names: Vec<_> = keys.iter().map(|(name, _)| *name).collect();
        return Err(Error::Image(format!("{}: no OpenPGP key is there", names.join(", "))));
    }
    let one = |bytes: &Vec<u8>| -> Result<(), String> {
        let message = SignedMessage::parse(bytes).map_err(|e| e.to_string())?;
        let signatures = message.signatures.iter().map(Vec::as_slice);
        let verdicts = verify_gpg(&keyring, &message.content, signatures, now);
        // Exactly one, or it is not clear whose claim this is.
        let [verdict] = &verdicts[..] else {
            return Err(format!("it has {} signatures, not one", verdicts.len()));
        };
        if !verdict.is_valid() {
            return Err(format!("its signature {}", verdict.status));
        }
        Claim::parse(&message.content, ClaimKind::Atomic)?.fits(image, identity)
    };
    any(image, "GPG", &from.gpg()?, one)
}

fn sigstore_signed(
    image: &Candidate<'_>,
    from: &dyn Signatures,
    keys: &[NamedKey<'_>],
    identity: &SignedIdentity,
) -> Result<()> {
    let read = |(name, pem): &NamedKey<'_>| {
        PublicKey::from_pem(pem).map_err(|e| Error::Image(format!("{name}: {e}")))
    };
    let keys = keys.iter().map(read).collect::<Result<Vec<_>>>()?;
    let one = |signature: &SigstoreSignature| -> Result<(), String> {
        let decoded = STANDARD.decode(&signature.signature);
        let decoded = decoded.map_err(|e| format!("its signature is no base64: {e}"))?;
        if !keys.iter().any(|key| key.verify(&signature.payload, &decoded)) {
            return Err("it is not by one of the keys".into());
        }
        Claim::parse(&signature.payload, ClaimKind::Cosign)?.fits(image, identity)
    };
    any(image, "sigstore", &from.sigstore()?, one)
}

/// One good signature suffices.
fn any<T>(
    image: &Candidate<'_>,
    kind: &str,
    signatures: &[T],
    check: impl Fn(&T) -> Result<(), String>,
) -> Result<()> {
    let mut reasons = Vec::new();
    for signature in signatures {
        match check(signature) {
            Ok(()) => return Ok(()),
            Err(why) => reasons.push(why),
        }
    }
    let why = match reasons.is_empty() {
        true => format!("it has no {kind} signature, and the policy asks for one"),
        false => format!("no {kind} signature is good: {}", reasons.join("; ")),
    };
    Err(refused(image, &why))
}
