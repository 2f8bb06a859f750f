//! The claim in a signature: an image with this digest may have this name.
//!
//! ```text
//! {"critical": {"type": "atomic container signature",            GPG
//!                       "cosign container image signature",      sigstore
//!               "image": {"docker-manifest-digest": "sha256:…"},
//!               "identity": {"docker-reference": "host/path:tag"}},
//!  "optional": {…}}
//! ```

use serde::Deserialize;
use serde_json::Value;

use super::Candidate;
use crate::container::config::policy::SignedIdentity;
use crate::container::image::{Object, Unique};

/// The kind of signature that a claim belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClaimKind {
    /// Simple signing with GPG.
    #[cfg_attr(not(feature = "openpgp"), allow(dead_code, reason = "GPG signatures alone have it"))]
    Atomic,
    /// cosign.
    Cosign,
}

/// What is signed. Every field has to be there, once, and no other.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    critical: Object<Critical>,
    // Named, or serde would let it be left out.
    #[serde(deserialize_with = "Option::deserialize")]
    optional: Option<Unique<Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    #[serde(rename = "type")]
    kind: String,
    image: Object<Image>,
    identity: Object<Identity>,
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
        let claim: Object<Self> = serde_json::from_slice(bytes).map_err(|e| format!("what it signs: {e}"))?;
        let Object(claim) = claim;
        let expected = match kind {
            ClaimKind::Atomic => "atomic container signature",
            ClaimKind::Cosign => "cosign container image signature",
        };
        let named = &claim.critical.0.kind;
        if named != expected {
            return Err(format!("it signs a {named:?}"));
        }
        claim.check_optional(kind).map_err(|why| format!("what it signs: {why}"))?;
        Ok(claim)
    }

    /// The two fields that are known have their types; others may be anything.
    fn check_optional(&self, kind: ClaimKind) -> Result<(), &'static str> {
        let Some(Unique(optional)) = &self.optional else {
            // cosign writes null for none.
            return if kind == ClaimKind::Cosign { Ok(()) } else { Err("\"optional\" is null") };
        };
        let creator_ok = match optional.get("creator") {
            None | Some(Value::Null | Value::String(_)) => true,
            Some(_) => false,
        };
        let timestamp_ok = match optional.get("timestamp") {
            None | Some(Value::Null) => true,
            Some(value) => value.as_f64().is_some_and(is_whole),
        };
        match (creator_ok, timestamp_ok) {
            (false, _) => Err("optional.creator is no text"),
            (_, false) => Err("optional.timestamp is no whole number"),
            _ => Ok(()),
        }
    }

    /// Whether it is about this image, by a name that the policy accepts.
    pub(super) fn fits(&self, image: &Candidate<'_>, identity: &SignedIdentity) -> Result<(), String> {
        let Object(Critical { image: Object(signed), identity: Object(name), .. }) = &self.critical;
        if signed.digest != image.manifest.to_string() {
            return Err(format!("it is for {}", signed.digest));
        }
        if !identity.accepts(image.name, &name.reference) {
            // cosign names no tags, and the policy's default wants one.
            let is_of_repository = SignedIdentity::MatchRepository.accepts(image.name, &name.reference);
            let hint = if is_of_repository {
                "; a signedIdentity of the type matchRepository accepts it"
            } else {
                ""
            };
            return Err(format!("it is for the name {:?}{hint}", name.reference));
        }
        Ok(())
    }
}

/// Whether a number counts whole seconds, so many that 64 bits can hold them.
fn is_whole(seconds: f64) -> bool {
    const END: f64 = 9_223_372_036_854_775_808.0;
    seconds.fract() == 0.0 && (-END..END).contains(&seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_that_are_well_formed() {
        let critical = r#"{"type": "atomic container signature", "image": {"docker-manifest-digest": "sha256:00"},
                           "identity": {"docker-reference": "q.io/a:1"}}"#;
        let claim = |optional: &str| format!(r#"{{"critical": {critical}{optional}}}"#);
        for (json, good) in [
            (claim(r#", "optional": {}"#), true),
            (
                claim(r#", "optional": {"creator": "x", "timestamp": 1.7e9, "more": [{"a": 1, "a": 2}]}"#),
                true,
            ),
            (claim(r#", "optional": {"creator": null, "timestamp": null}"#), true),
            (claim(""), false),
            (claim(r#", "optional": null"#), false),
            (claim(r#", "optional": []"#), false),
            (claim(r#", "optional": {"creator": 1}"#), false),
            (claim(r#", "optional": {"timestamp": 1.5}"#), false),
            (claim(r#", "optional": {"timestamp": 1e19}"#), false),
            (claim(r#", "optional": {"timestamp": 9223372036854775807}"#), false),
            (claim(r#", "optional": {"timestamp": "1"}"#), false),
            (claim(r#", "optional": {"x": 1, "x": 1}"#), false),
            (claim(r#", "optional": {}, "optional": {}"#), false),
            (claim(r#", "optional": {}, "more": 1"#), false),
            (claim(r#", "optional": {}"#).replace("{\"type\"", "{\"x\": 1, \"type\""), false),
            (format!("[{critical}, {{}}]"), false),
        ] {
            assert_eq!(Claim::parse(json.as_bytes(), ClaimKind::Atomic).is_ok(), good, "{json}");
            let cosign = json.replace("atomic container", "cosign container image");
            let null = json.contains("\"optional\": null");
            assert_eq!(Claim::parse(cosign.as_bytes(), ClaimKind::Cosign).is_ok(), good || null, "{cosign}");
        }
    }
}
