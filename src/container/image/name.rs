//! What an image in a registry is called: `HOST[:PORT]/PATH[:TAG][@DIGEST]`.
//!
//! ```text
//! quay.io/org/app:1      the tag "1" of org/app
//! localhost:5000/app     the tag "latest"
//! docker.io/debian       docker.io/library/debian, at registry-1.docker.io
//! app@sha256:…           short: which registry has to be found out first
//! ```
//! Source: the grammar of docker references (distribution/reference).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use ostree_format::ParseError;

use super::Digest;

const WHAT: &str = "image name";
/// Names are at most so long, in bytes.
const MAX_PATH_BYTES: usize = 255;
const MAX_TAG_BYTES: usize = 128;

/// The full name of an image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryName {
    /// `host[:port]`
    pub host: String,
    /// The repository there.
    pub path: String,
    /// The tag; `None` if only a digest was given.
    pub tag: Option<String>,
    /// The digest of the manifest, if it has to be a certain one.
    pub digest: Option<Digest>,
}

impl RepositoryName {
    /// Whether `text` names no registry, as `debian:12` does.
    pub fn is_short(text: &str) -> bool {
        match text.split_once('/') {
            Some((host, _)) => !host.contains(['.', ':']) && host != "localhost",
            None => true,
        }
    }

    /// The name without tag and digest, and the tag and digest.
    pub fn split(text: &str) -> (&str, &str) {
        let name_end = text.find('@').unwrap_or(text.len());
        let slash = text[..name_end].rfind('/').map_or(0, |at| at + 1);
        let end = text[slash..name_end].find(':').map_or(name_end, |at| slash + at);
        text.split_at(end)
    }

    /// `HOST/PATH`
    pub fn repository(&self) -> String {
        format!("{}/{}", self.host, self.path)
    }

    /// `[:TAG][@DIGEST]`
    pub fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
        format!("{tag}{digest}")
    }

    /// The reference to ask the registry for: the digest if there is one, or else the tag.
    pub fn reference(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".into(),
        }
    }
}

impl FromStr for RepositoryName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = |at: usize, why: &str| Err(ParseError::invalid(WHAT, at, why));
        if Self::is_short(text) {
            return error(0, "it names no registry");
        }
        let (name, rest) = Self::split(text);
        let Some((host, path)) = name.split_once('/') else { return error(0, "it names no registry") };
        if !is_host(host) {
            return match host {
                "http:" | "https:" => error(0, "HOST[:PORT]/PATH is written without http:// in front"),
                _ => error(0, &format!("'{host}' is no host")),
            };
        }
        let path_at = host.len() + 1;
        if !is_path(path) {
            return error(path_at, "a path is made of a-z, 0-9, '.', '_', '-' and '/'");
        }
        let (tag, digest) = match rest.split_once('@') {
            Some((tag, digest)) => (tag, Some(digest)),
            None => (rest, None),
        };
        let tag = tag.strip_prefix(':');
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return error(name.len(), "a tag is made of letters, digits, '.', '_' and '-'");
        }
        let digest_at = text.len() - digest.map_or(0, str::len);
        let digest = digest
            .map(|d| d.parse::<Digest>().map_err(|e| ParseError::new(e.what, digest_at + e.offset, e.kind)))
            .transpose()?;
        let tag = tag.map(str::to_string).or_else(|| digest.is_none().then(|| "latest".into()));
        let host = if host == "index.docker.io" { "docker.io" } else { host };
        let library = if host == "docker.io" && !path.contains('/') { "library/" } else { "" };
        Ok(Self { host: host.into(), path: format!("{library}{path}"), tag, digest })
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.host, self.path, self.suffix())
    }
}

/// `name.of.host[:port]`, `[IPv6][:port]`
pub(in crate::container) fn is_host(text: &str) -> bool {
    let (name, port) = match (text.strip_prefix('['), text.split_once(':')) {
        (Some(rest), _) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => ("", port),
            _ => return false,
        },
        (None, Some((name, port))) => (name, &text[text.len() - port.len() - 1..]),
        (None, None) => (text, ""),
    };
    let is_label = |label: &str| {
        let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    (text.starts_with('[') || name.split('.').all(is_label))
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// `component/component`
pub(in crate::container) fn is_path(text: &str) -> bool {
    text.len() <= MAX_PATH_BYTES && text.split('/').all(is_component)
}

/// `[a-z0-9]+` joined by one `.`, one or two `_`, or any number of `-`.
fn is_component(text: &str) -> bool {
    let letter = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = text.as_bytes().first().is_some_and(letter) && text.as_bytes().last().is_some_and(letter);
    let separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends && separators.into_iter().all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn is_tag(text: &str) -> bool {
    text.len() <= MAX_TAG_BYTES
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let hex = "ab".repeat(32);
        for (text, shown) in [
            ("quay.io/org/app:1", "quay.io/org/app:1"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("docker.io/debian", "docker.io/library/debian:latest"),
            ("index.docker.io/a/b", "docker.io/a/b:latest"),
            (&format!("q.io/a__b/c--d@sha256:{hex}"), &format!("q.io/a__b/c--d@sha256:{hex}")),
            (&format!("q.io/a:T_1@sha256:{hex}"), &format!("q.io/a:T_1@sha256:{hex}")),
        ] {
            let name: RepositoryName = text.parse().unwrap();
            assert_eq!(name.to_string(), shown);
            assert_eq!(name.to_string().parse::<RepositoryName>().unwrap(), name);
        }
        for bad in [
            "debian",
            "org/app",
            "q.io/",
            "q.io/A",
            "q.io/a//b",
            "q.io/a/../b",
            "q.io/a._b",
            "q.io/a:",
            "q.io/a:-x",
            "q.io/a@sha256:12",
            "q.io/a?b",
            "/a/b",
            "q.io/a@md5:00",
        ] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad}");
        }
        for (host, good) in [
            ("quay.io", true),
            ("localhost:5000", true),
            ("[::1]:5000", true),
            ("[::1]", true),
            ("[::1]5000", false),
            ("[x]", false),
            ("a_b", false),
            ("-a", false),
            ("a.", false),
            ("a:", false),
            ("a:5x", false),
            ("", false),
        ] {
            assert_eq!(is_host(host), good, "{host}");
        }
        assert_eq!(RepositoryName::split("a:5000/b:t@x"), ("a:5000/b", ":t@x"));
        assert_eq!(RepositoryName::split("a:5000/b"), ("a:5000/b", ""));
    }
}
