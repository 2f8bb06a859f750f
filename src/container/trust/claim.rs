//! What a signature says: this digest may be called so.
//!
//! ```text
//! {"critical": {"type": "atomic container signature",            GPG
//!                       "cosign container image signature",      sigstore
//!               "image": {"docker-manifest-digest": "sha256:…"},
//!               "identity": {"docker-reference": "host/path:tag"}},
//!  "optional": {…}}
//! ```

use serde::Deserialize;

use super::Candidate;
use crate::container::config::policy::SignedIdentity;

/// Which kind of signature a claim belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClaimKind {
    /// Simple signing with GPG.
    Atomic,
    /// cosign.
    Cosign,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    critical: Critical,
    #[serde(rename = "optional")]
    _optional: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    #[serde(rename = "type")]
    kind: String,
    image: Image,
    identity: Identity,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    #[serde(rename = "docker-reference")]
    reference: String,
}

impl Claim {
    /// Reads a claim whose signature is good. A field that is not known may change its meaning, so it is
    /// refused.
    pub(super) fn parse(bytes: &[u8], kind: ClaimKind) -> Result<Self, String> {
        let claim: Self = serde_json::from_slice(bytes).map_err(|e| format!("what it signs: {e}"))?;
        let fits = match kind {
            ClaimKind::Atomic => claim.critical.kind == "atomic container signature",
            ClaimKind::Cosign => claim.critical.kind == "cosign container image signature",
        };
        if fits { Ok(claim) } else { Err(format!("it signs a {:?}", claim.critical.kind)) }
    }

    /// Whether it is about this image, by a name that the policy accepts.
    pub(super) fn fits(&self, image: &Candidate<'_>, identity: &SignedIdentity) -> Result<(), String> {
        let Critical { image: signed, identity: name, .. } = &self.critical;
        if signed.digest != image.manifest.to_string() {
            return Err(format!("it is for {}", signed.digest));
        }
        if !identity.accepts(image.name, &name.reference) {
            return Err(format!("it is for the name {:?}", name.reference));
        }
        Ok(())
    }
}
