//! `policy.json`: which images are accepted, and whose signatures they need.
//!
//! ```text
//! { "default": [{"type": "reject"}],
//!   "transports": { "docker": { "quay.io/org": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": …}],
//!                               "": [{"type": "insecureAcceptAnything"}] } } }
//!
//! scope         which list of requirements an image has to fulfil: that of the most specific scope
//! requirement   one of them
//! identity      which name a signature has to carry
//! ```
//! It is read as strictly as containers/image does: a key twice, a field that is not known or of another type, an
//! empty list make the whole file useless. A requirement that can be read and not checked (keyless signatures)
//! lets no image in where it applies, and matters nowhere else.
//! Source: containers-policy.json(5), containers/image signature/policy_config.go.

mod identity;
mod requirement;
mod scope;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use identity::SignedIdentity;
pub use requirement::{Keys, Requirement};
#[cfg(feature = "net")]
pub(in crate::container) use scope::wildcards;

use crate::container::image::{ConfigError, Object, Unique, given};

/// A whole policy.
#[derive(Debug, Clone)]
pub struct Policy {
    default: Vec<Requirement>,
    transports: BTreeMap<String, BTreeMap<String, Vec<Requirement>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    default: List,
    #[serde(default, deserialize_with = "given")]
    transports: Option<Unique<Unique<List>>>,
}

/// What an image must fulfil; never empty.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<Requirement>")]
struct List(Vec<Requirement>);

impl TryFrom<Vec<Requirement>> for List {
    type Error = &'static str;

    fn try_from(list: Vec<Requirement>) -> Result<Self, Self::Error> {
        match list.is_empty() {
            true => Err("an empty list of requirements; write insecureAcceptAnything or reject"),
            false => Ok(Self(list)),
        }
    }
}

impl Policy {
    /// Reads a file; `file` is its name for messages.
    ///
    /// # Errors
    /// If it is not JSON of the expected shape, or holds a requirement of an unknown type: what is not
    /// understood cannot be enforced.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, ConfigError> {
        let Object(raw): Object<Raw> =
            serde_json::from_slice(bytes).map_err(|e| ConfigError::new(file, e))?;
        let mut transports = BTreeMap::new();
        for (transport, Unique(lists)) in raw.transports.map_or_else(BTreeMap::new, |t| t.0) {
            for scope in lists.keys() {
                scope::check(&transport, scope).map_err(|why| ConfigError::new(file, why))?;
            }
            let scopes = lists.into_iter().map(|(scope, list)| (scope, list.0)).collect();
            transports.insert(transport, scopes);
        }
        Ok(Self { default: raw.default.0, transports })
    }

    /// Whether images that the policy says nothing else about are accepted unsigned.
    pub fn default_accepts_anything(&self) -> bool {
        self.default.iter().all(|r| *r == Requirement::InsecureAcceptAnything)
    }

    /// The requirements that an image must fulfil; `reference` is its full name in the transport: for `docker`
    /// `host/path:tag`, for `oci` and `oci-archive` `/path[:tag]`, for `dir` `/path`.
    pub fn requirements(&self, transport: &str, reference: &str) -> &[Requirement] {
        let Some(scopes) = self.transports.get(transport) else { return &self.default };
        let found = scope::of_image(transport, reference).into_iter().find_map(|scope| scopes.get(&scope));
        found.or_else(|| scopes.get("")).unwrap_or(&self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REJECT: &str = r#"[{"type": "reject"}]"#;

    #[test]
    fn the_most_specific_scope_decides() {
        let json = br#"{"default": [{"type": "reject"}], "transports": {
            "docker": {
                "quay.io/org": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}],
                "quay.io/org/open": [{"type": "insecureAcceptAnything"}],
                "quay.io/org/app@sha256:00": [{"type": "insecureAcceptAnything"}],
                "*.example.com": [{"type": "insecureAcceptAnything"}]},
            "oci": {"/srv/a@b": [{"type": "insecureAcceptAnything"}], "/srv/x:1": [{"type": "insecureAcceptAnything"}]},
            "dir": {"/srv": [{"type": "insecureAcceptAnything"}], "/srv/a:b": [{"type": "reject"}]}}}"#;
        let policy = Policy::parse("policy.json", json).unwrap();
        let kind = |reference| &policy.requirements("docker", reference)[0];
        assert!(matches!(kind("quay.io/org/app:1"), Requirement::SignedBy { .. }));
        assert_eq!(*kind("quay.io/org/open:1"), Requirement::InsecureAcceptAnything);
        assert_eq!(*kind("quay.io/org/app:1@sha256:00"), Requirement::InsecureAcceptAnything);
        assert_eq!(*kind("a.b.example.com/x:1"), Requirement::InsecureAcceptAnything);
        assert_eq!(*kind("a.b.example.com:5000/x:1"), Requirement::InsecureAcceptAnything);
        assert_eq!(*kind("example.com/x:1"), Requirement::Reject);
        assert_eq!(*kind("quay.io/organic/app:1"), Requirement::Reject);
        for (transport, reference, accepted) in [
            ("oci", "/x:1", false),
            ("oci", "/srv/a@b/c:1", true),
            ("oci", "/srv/a", false),
            ("oci", "/srv/x:1", true),
            ("oci", "/srv/x:2", false),
            ("dir", "/srv/a:b/c", false),
            ("dir", "/srv/a", true),
            ("docker-archive", "/srv/a", false),
        ] {
            let first = &policy.requirements(transport, reference)[0];
            assert_eq!(*first == Requirement::InsecureAcceptAnything, accepted, "{transport}:{reference}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for bad in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"default": []}"#,
            r#"{"default": null}"#,
            r#"{"default": {"type": "reject"}}"#,
            r#"{"default": ["reject"]}"#,
            r#"{"default": [["reject"]]}"#,
            r#"[[{"type": "reject"}], {}]"#,
            &format!(r#"{{"default": {REJECT}, "defualt": {REJECT}}}"#),
            &format!(r#"{{"default": {REJECT}, "default": {REJECT}}}"#),
            &format!(r#"{{"default": {REJECT}}} {{}}"#),
            &format!(r#"{{"default": {REJECT}, "transports": null}}"#),
            &format!(r#"{{"default": {REJECT}, "transports": {{"docker": null}}}}"#),
            &format!(r#"{{"default": {REJECT}, "transports": {{"docker": {{}}, "docker": {{}}}}}}"#),
            &format!(
                r#"{{"default": {REJECT}, "transports": {{"docker": {{"a": {REJECT}, "a": {REJECT}}}}}}}"#
            ),
            &format!(r#"{{"default": {REJECT}, "transports": {{"dir": {{"/": {REJECT}}}}}}}"#),
        ] {
            assert!(Policy::parse("x", bad.as_bytes()).is_err(), "{bad}");
        }
        let good =
            format!(r#"{{"default": {REJECT}, "transports": {{"new": {{"any": {REJECT}}}, "dir": {{}}}}}}"#);
        Policy::parse("x", good.as_bytes()).unwrap();
    }
}
