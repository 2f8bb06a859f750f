//! `policy.json`: which images are accepted, and whose signatures they need.
//!
//! ```text
//! { "default": [{"type": "reject"}],
//!   "transports": { "docker": { "quay.io/org": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": …}],
//!                               "": [{"type": "insecureAcceptAnything"}] } } }
//! ```
//! The most specific scope decides: the whole reference, the repository, its parents, `*.` wildcards of the
//! host, then the transport's `""`, then `default`. Every requirement of the list must hold.
//! Source: containers-policy.json(5).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ConfigError;

/// A whole policy.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    default: Vec<Requirement>,
    #[serde(default)]
    transports: BTreeMap<String, BTreeMap<String, Vec<Requirement>>>,
}

/// What an image must fulfil.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Requirement {
    /// Nothing.
    InsecureAcceptAnything,
    /// No image fulfils it.
    Reject,
    /// A GPG "simple signing" signature by one of the keys.
    SignedBy {
        /// `GPGKeys`
        key_type: String,
        /// A file of keys.
        key_path: Option<String>,
        /// Files of keys.
        key_paths: Option<Vec<String>>,
        /// Keys in base64.
        key_data: Option<String>,
        /// What the signature must name.
        #[serde(default)]
        signed_identity: SignedIdentity,
    },
    /// A sigstore (cosign) signature by the key.
    SigstoreSigned {
        /// A PEM file with a public key.
        key_path: Option<String>,
        /// PEM files with public keys.
        key_paths: Option<Vec<String>>,
        /// A PEM public key in base64.
        key_data: Option<String>,
        /// Several of them.
        key_datas: Option<Vec<String>>,
        /// What the signature must name.
        #[serde(default)]
        signed_identity: SignedIdentity,
    },
}

/// What name a signature must carry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum SignedIdentity {
    /// The same reference, tag included.
    MatchExact,
    /// The same reference; if the image was asked for by digest, the same repository.
    #[default]
    MatchRepoDigestOrExact,
    /// The same repository.
    MatchRepository,
    /// This reference.
    ExactReference {
        /// The reference.
        docker_reference: String,
    },
    /// This repository.
    ExactRepository {
        /// The repository.
        docker_repository: String,
    },
    /// As [`SignedIdentity::MatchRepoDigestOrExact`], after a prefix was replaced.
    RemapIdentity {
        /// The prefix that images are asked for with.
        prefix: String,
        /// The prefix that signatures carry.
        signed_prefix: String,
    },
}

/// A reference split for comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<'a> {
    /// `host/path`
    pub repository: &'a str,
    /// The tag, if the image was asked for by one.
    pub tag: Option<&'a str>,
    /// The digest, if the image was asked for by one: `sha256:…`.
    pub digest: Option<&'a str>,
}

impl<'a> Name<'a> {
    /// Splits `host[:port]/path[:tag][@digest]`.
    pub fn parse(text: &'a str) -> Self {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let slash = rest.rfind('/').map_or(0, |at| at + 1);
        match rest[slash..].find(':') {
            Some(at) => Self { repository: &rest[..slash + at], tag: Some(&rest[slash + at + 1..]), digest },
            None => Self { repository: rest, tag: None, digest },
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
        let policy: Self = serde_json::from_slice(bytes).map_err(|e| ConfigError::new(file, e))?;
        let lists = policy.transports.values().flat_map(BTreeMap::values).chain([&policy.default]);
        if let Some(why) = lists.clone().flatten().find_map(Requirement::fault) {
            return Err(ConfigError::new(file, why));
        }
        if lists.into_iter().any(Vec::is_empty) {
            return Err(ConfigError::new(
                file,
                "an empty list of requirements; write insecureAcceptAnything or reject",
            ));
        }
        Ok(policy)
    }

    /// Whether images that the policy says nothing else about are accepted unsigned.
    pub fn default_accepts_anything(&self) -> bool {
        self.default.iter().all(|r| *r == Requirement::InsecureAcceptAnything)
    }

    /// What an image must fulfil; `reference` is its full name in the transport (for `docker`:
    /// `host/path:tag`).
    pub fn requirements(&self, transport: &str, reference: &str) -> &[Requirement] {
        let Some(scopes) = self.transports.get(transport) else { return &self.default };
        let name = Name::parse(reference);
        let parents = std::iter::successors(Some(name.repository), |scope| Some(scope.rsplit_once('/')?.0));
        let host = name.repository.split('/').next().unwrap_or_default();
        let found = scopes
            .get(reference)
            .or_else(|| parents.into_iter().find_map(|scope| scopes.get(scope)))
            .or_else(|| wildcards(host).find_map(|scope| scopes.get(&scope)))
            .or_else(|| scopes.get(""));
        found.unwrap_or(&self.default)
    }
}

/// The wildcard scopes that a host falls under, the narrowest first; whatever its port.
pub(in crate::container) fn wildcards(host: &str) -> impl Iterator<Item = String> {
    let domain = host.split(':').next().unwrap_or_default();
    domain.match_indices('.').map(|(at, _)| format!("*{}", &domain[at..]))
}

impl Requirement {
    /// What makes no sense about it. Keys that come from two places may be one more than was meant.
    fn fault(&self) -> Option<&'static str> {
        let places = match self {
            Self::InsecureAcceptAnything | Self::Reject => return None,
            Self::SignedBy { key_path, key_paths, key_data, .. } => {
                [key_path.is_some(), key_paths.is_some(), key_data.is_some(), false]
            }
            Self::SigstoreSigned { key_path, key_paths, key_data, key_datas, .. } => {
                [key_path.is_some(), key_paths.is_some(), key_data.is_some(), key_datas.is_some()]
            }
        };
        (places.into_iter().filter(|given| *given).count() != 1)
            .then_some("a requirement names its keys by exactly one of keyPath, keyPaths, keyData, keyDatas")
    }
}

impl SignedIdentity {
    /// Whether a signature that names `signed` is good for an image asked for as `wanted`.
    pub fn accepts(&self, wanted: &str, signed: &str) -> bool {
        let (want, sign) = (Name::parse(wanted), Name::parse(signed));
        match self {
            Self::MatchExact => {
                want.tag.is_some() && want.repository == sign.repository && want.tag == sign.tag
            }
            Self::MatchRepoDigestOrExact => match (want.digest, want.tag) {
                (Some(_), _) => want.repository == sign.repository,
                (None, Some(_)) => want.repository == sign.repository && want.tag == sign.tag,
                (None, None) => false,
            },
            Self::MatchRepository => want.repository == sign.repository,
            Self::ExactReference { docker_reference } => {
                let exact = Name::parse(docker_reference);
                exact == sign
            }
            Self::ExactRepository { docker_repository } => docker_repository == sign.repository,
            Self::RemapIdentity { prefix, signed_prefix } => {
                let rest = want.repository.strip_prefix(prefix.as_str());
                let rest = rest.filter(|r| r.is_empty() || r.starts_with('/'));
                let mapped = match rest {
                    Some(rest) => format!("{signed_prefix}{rest}{}", &wanted[want.repository.len()..]),
                    None => wanted.to_string(),
                };
                Self::MatchRepoDigestOrExact.accepts(&mapped, signed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_scope_decides() {
        let json = br#"{"default": [{"type": "reject"}], "transports": {"docker": {
            "quay.io/org": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}],
            "quay.io/org/open": [{"type": "insecureAcceptAnything"}],
            "*.example.com": [{"type": "insecureAcceptAnything"}]}}}"#;
        let policy = Policy::parse("policy.json", json).unwrap();
        let kind = |reference| &policy.requirements("docker", reference)[0];
        assert!(matches!(kind("quay.io/org/app:1"), Requirement::SignedBy { .. }));
        assert_eq!(*kind("quay.io/org/open:1"), Requirement::InsecureAcceptAnything);
        assert_eq!(*kind("a.b.example.com/x:1"), Requirement::InsecureAcceptAnything);
        assert_eq!(*kind("a.b.example.com:5000/x:1"), Requirement::InsecureAcceptAnything);
        assert_eq!(*kind("example.com/x:1"), Requirement::Reject);
        assert_eq!(*kind("quay.io/organic/app:1"), Requirement::Reject);
        assert_eq!(policy.requirements("oci", "/x:1"), [Requirement::Reject]);
        assert!(Policy::parse("x", br#"{"default": []}"#).is_err());
        assert!(Policy::parse("x", br#"{"default": [{"type": "magic"}]}"#).is_err());
        assert!(Policy::parse("x", br#"{"default": [{"type": "reject"}], "defualt": []}"#).is_err());
        // What is not understood, or could be read in two ways, is not passed over.
        for bad in [
            r#"{"type": "sigstoreSigned", "keyPath": "/k", "rekorPublicKeyPath": "/r"}"#,
            r#"{"type": "sigstoreSigned", "fulcio": {}}"#,
            r#"{"type": "sigstoreSigned", "keyPath": "/k", "keyData": "aa"}"#,
            r#"{"type": "signedBy", "keyType": "GPGKeys"}"#,
            r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k", "signedIdentity": {"type": "x"}}"#,
        ] {
            let policy = format!(r#"{{"default": [{bad}]}}"#);
            assert!(Policy::parse("x", policy.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn signed_identities() {
        let exact = SignedIdentity::default();
        assert!(exact.accepts("quay.io/a/b:1", "quay.io/a/b:1"));
        assert!(!exact.accepts("quay.io/a/b:1", "quay.io/a/b:2"));
        assert!(exact.accepts("quay.io/a/b@sha256:00", "quay.io/a/b:2"));
        assert!(SignedIdentity::MatchRepository.accepts("quay.io/a/b:1", "quay.io/a/b:2"));
        assert!(!SignedIdentity::MatchRepository.accepts("quay.io/a/b:1", "quay.io/a/bc:1"));
        assert!(SignedIdentity::MatchExact.accepts("quay.io/a/b:1", "quay.io/a/b:1"));
        assert!(!SignedIdentity::MatchExact.accepts("quay.io/a/b:1", "quay.io/a/b:2"));
        assert!(!SignedIdentity::MatchExact.accepts("quay.io/a/b@sha256:00", "quay.io/a/b:1"));
        let one = SignedIdentity::ExactReference { docker_reference: "quay.io/a/b@sha256:00".into() };
        assert!(one.accepts("mirror/x:7", "quay.io/a/b@sha256:00"));
        assert!(!one.accepts("mirror/x:7", "quay.io/a/b@sha256:11"));
        let repository = SignedIdentity::ExactRepository { docker_repository: "quay.io/a/b".into() };
        assert!(repository.accepts("mirror/x:7", "quay.io/a/b:2"));
        assert!(!repository.accepts("quay.io/a/c:1", "quay.io/a/c:1"));
        let remap =
            SignedIdentity::RemapIdentity { prefix: "mirror:5000".into(), signed_prefix: "quay.io".into() };
        assert!(remap.accepts("mirror:5000/a/b:1", "quay.io/a/b:1"));
        assert!(!remap.accepts("mirror:5000x/a/b:1", "quay.io/a/b:1"));
    }
}
