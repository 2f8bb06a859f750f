//! Which name a signature has to carry, so that it is good for an image.
//!
//! ```text
//! matchRepoDigestOrExact   the image's own; asked for by digest, one of its repository     (what is assumed)
//! matchExact               the image's own
//! matchRepository          one of the image's repository
//! exactReference           this one                        dockerReference
//! exactRepository          one of this repository          dockerRepository
//! remapIdentity            as matchRepoDigestOrExact, once  prefix → signedPrefix
//! ```
//! Source: containers-policy.json(5), containers/image signature/policy_reference_match.go.

use serde::Deserialize;

use crate::container::image::{Object, RepositoryName, is_host, is_path};

/// The name that a signature must carry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "Object<Raw>")]
#[non_exhaustive]
pub enum SignedIdentity {
    /// The name must be that of the image, tag included.
    MatchExact,
    /// The name must be that of the image; for an image that was asked for by digest, its repository is enough.
    #[default]
    MatchRepoDigestOrExact,
    /// The name must be of the image's repository.
    MatchRepository,
    /// The name must be the one given here.
    ExactReference {
        /// The reference.
        docker_reference: String,
    },
    /// The name must be of the repository given here.
    ExactRepository {
        /// The repository.
        docker_repository: String,
    },
    /// The name must fit as for [`SignedIdentity::MatchRepoDigestOrExact`], after a prefix of the image's was
    /// replaced.
    RemapIdentity {
        /// The prefix that images are asked for with.
        prefix: String,
        /// The prefix that signatures carry.
        signed_prefix: String,
    },
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
enum Raw {
    // With braces: fields that do not belong to them are refused.
    MatchExact {},
    MatchRepoDigestOrExact {},
    MatchRepository {},
    ExactReference { docker_reference: String },
    ExactRepository { docker_repository: String },
    RemapIdentity { prefix: String, signed_prefix: String },
}

impl TryFrom<Object<Raw>> for SignedIdentity {
    type Error = String;

    fn try_from(Object(raw): Object<Raw>) -> Result<Self, String> {
        Ok(match raw {
            Raw::MatchExact {} => Self::MatchExact,
            Raw::MatchRepoDigestOrExact {} => Self::MatchRepoDigestOrExact,
            Raw::MatchRepository {} => Self::MatchRepository,
            Raw::ExactReference { docker_reference } => match Name::parse(&docker_reference) {
                Some(name) if !name.is_bare() => Self::ExactReference { docker_reference },
                _ => {
                    return Err(format!(
                        "dockerReference {docker_reference:?} is no name with a tag or digest"
                    ));
                }
            },
            Raw::ExactRepository { docker_repository } => match Name::parse(&docker_repository) {
                Some(_) => Self::ExactRepository { docker_repository },
                None => return Err(format!("dockerRepository {docker_repository:?} is no name")),
            },
            Raw::RemapIdentity { prefix, signed_prefix } => {
                if let Some(bad) = [&prefix, &signed_prefix].into_iter().find(|text| !is_prefix(text)) {
                    return Err(format!("the prefix {bad:?} is no HOST or HOST/PATH"));
                }
                Self::RemapIdentity { prefix, signed_prefix }
            }
        })
    }
}

fn is_prefix(text: &str) -> bool {
    match text.split_once('/') {
        Some((host, path)) => is_host(host) && is_path(path),
        None => is_host(text),
    }
}

/// A name of which nothing was made up: "latest" is there only if it was written.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    /// `host/path`
    repository: String,
    /// `[:tag][@digest]`
    suffix: String,
}

impl Name {
    /// A short name is one of docker.io.
    fn parse(text: &str) -> Option<Self> {
        let docker = if RepositoryName::is_short(text) { "docker.io/" } else { "" };
        let name: RepositoryName = format!("{docker}{text}").parse().ok()?;
        let suffix = if RepositoryName::split(text).1.is_empty() { String::new() } else { name.suffix() };
        Some(Self { repository: name.repository(), suffix })
    }

    fn is_bare(&self) -> bool {
        self.suffix.is_empty()
    }

    /// The name with its prefix replaced; `None` if the result is no full name.
    fn remap(self, prefix: &str, signed_prefix: &str) -> Option<Self> {
        let rest = self.repository.strip_prefix(prefix).filter(|r| r.is_empty() || r.starts_with('/'));
        let Some(rest) = rest else { return Some(self) };
        let repository = format!("{signed_prefix}{rest}");
        let mapped = Self::parse(&format!("{repository}{}", self.suffix))?;
        (mapped.repository == repository).then_some(mapped)
    }
}

impl SignedIdentity {
    /// Whether a signature that names `signed` is good for an image asked for as `wanted`.
    pub fn accepts(&self, wanted: &str, signed: &str) -> bool {
        let Some(signed) = Name::parse(signed) else { return false };
        // An image in a file has no name that a signature could carry.
        let wanted = Name::parse(wanted);
        match self {
            Self::MatchExact => wanted.is_some_and(|wanted| !signed.is_bare() && wanted == signed),
            Self::MatchRepoDigestOrExact => {
                wanted.is_some_and(|wanted| repository_or_exact(&wanted, &signed))
            }
            Self::MatchRepository => wanted.is_some_and(|wanted| wanted.repository == signed.repository),
            Self::ExactReference { docker_reference } => {
                !signed.is_bare() && Name::parse(docker_reference).is_some_and(|exact| exact == signed)
            }
            Self::ExactRepository { docker_repository } => {
                Name::parse(docker_repository).is_some_and(|exact| exact.repository == signed.repository)
            }
            Self::RemapIdentity { prefix, signed_prefix } => {
                let mapped = wanted.and_then(|wanted| wanted.remap(prefix, signed_prefix));
                mapped.is_some_and(|mapped| repository_or_exact(&mapped, &signed))
            }
        }
    }
}

fn repository_or_exact(wanted: &Name, signed: &Name) -> bool {
    // That the digests are the same is checked elsewhere.
    !signed.is_bare()
        && match wanted.suffix.contains('@') {
            true => wanted.repository == signed.repository,
            false => wanted == signed,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_accepted() {
        let digest = format!("@sha256:{}", "00".repeat(32));
        let (other, pinned) = (format!("@sha256:{}", "11".repeat(32)), format!("quay.io/a/b{digest}"));
        let both = format!("quay.io/a/b:1{digest}");
        let default = SignedIdentity::default();
        assert!(default.accepts("quay.io/a/b:1", "quay.io/a/b:1"));
        assert!(!default.accepts("quay.io/a/b:1", "quay.io/a/b:2"));
        assert!(!default.accepts("quay.io/a/b:1", "quay.io/a/b"));
        assert!(!default.accepts("quay.io/a/b:1", &both));
        assert!(!default.accepts("quay.io/a/b:1", &pinned));
        assert!(default.accepts(&pinned, "quay.io/a/b:2"));
        assert!(default.accepts(&pinned, &both));
        assert!(!default.accepts(&pinned, "quay.io/a/b"));
        assert!(default.accepts("docker.io/library/debian:12", "debian:12"));
        assert!(!default.accepts("/srv/image:1", "/srv/image:1"));
        assert!(SignedIdentity::MatchRepository.accepts("quay.io/a/b:1", "quay.io/a/b:2"));
        assert!(SignedIdentity::MatchRepository.accepts("quay.io/a/b:1", "quay.io/a/b"));
        assert!(!SignedIdentity::MatchRepository.accepts("quay.io/a/b:1", "quay.io/a/bc:1"));
        assert!(SignedIdentity::MatchExact.accepts("quay.io/a/b:1", "quay.io/a/b:1"));
        assert!(SignedIdentity::MatchExact.accepts(&pinned, &pinned));
        assert!(!SignedIdentity::MatchExact.accepts("quay.io/a/b:1", "quay.io/a/b:2"));
        assert!(!SignedIdentity::MatchExact.accepts(&pinned, "quay.io/a/b:1"));
        let one = SignedIdentity::ExactReference { docker_reference: pinned.clone() };
        assert!(one.accepts("/srv/image:1", &pinned));
        assert!(!one.accepts("mirror.io/x:7", &format!("quay.io/a/b{other}")));
        let repository = SignedIdentity::ExactRepository { docker_repository: "quay.io/a/b".into() };
        assert!(repository.accepts("mirror.io/x:7", "quay.io/a/b:2"));
        assert!(!repository.accepts("quay.io/a/c:1", "quay.io/a/c:1"));
        let remap = |prefix: &str, signed_prefix: &str| SignedIdentity::RemapIdentity {
            prefix: prefix.into(),
            signed_prefix: signed_prefix.into(),
        };
        assert!(remap("mirror:5000", "quay.io").accepts("mirror:5000/a/b:1", "quay.io/a/b:1"));
        assert!(!remap("mirror:5000", "quay.io").accepts("mirror:50001/a/b:1", "quay.io/a/b:1"));
        assert!(!remap("mirror.io", "quay").accepts("mirror.io/b:1", "docker.io/quay/b:1"));
    }

    #[test]
    fn what_makes_no_sense() {
        for (json, good) in [
            (r#"{"type": "matchExact"}"#, true),
            (r#"{"type": "matchExact", "x": 1}"#, false),
            (r#"{"type": "matchExact", "type": "matchExact"}"#, false),
            (r#"["matchExact"]"#, false),
            ("null", false),
            (r#"{"type": "exactReference", "dockerReference": "a:1"}"#, true),
            (r#"{"type": "exactReference", "dockerReference": "a"}"#, false),
            (r#"{"type": "exactRepository", "dockerRepository": "A"}"#, false),
            (r#"{"type": "exactRepository"}"#, false),
            (r#"{"type": "remapIdentity", "prefix": "a.b:5/c", "signedPrefix": "d"}"#, true),
            (r#"{"type": "remapIdentity", "prefix": "a.b/c:1", "signedPrefix": "d"}"#, false),
            (r#"{"type": "remapIdentity", "prefix": "", "signedPrefix": "d"}"#, false),
        ] {
            assert_eq!(serde_json::from_str::<SignedIdentity>(json).is_ok(), good, "{json}");
        }
    }
}
