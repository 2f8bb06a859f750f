//! The places where the images of a repository lie: its registry, another location, mirrors.

use super::file::Registry;
use super::{PullFrom, Registries};
use crate::container::image::RepositoryName;

/// The way in which a reference names a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinned {
    /// A tag, which may move to another manifest.
    Tag,
    /// The digest of the manifest.
    Digest,
}

/// A place to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `host[:port]`
    pub host: String,
    /// The repository there.
    pub path: String,
    /// Whether TLS is not verified, and plain HTTP is tried too.
    pub insecure: bool,
}

impl Registries {
    /// The registry that a repository belongs to, and how many bytes of its name the prefix covers.
    fn registry(&self, name: &str) -> Option<(usize, &Registry)> {
        let fitting = self.registries.values().filter_map(|r| Some((matched(&r.prefix, name)?, r)));
        // Of two of the same length, of which one has a wildcard, that one, as elsewhere.
        fitting.reduce(|best, next| if next.1.prefix.len() > best.1.prefix.len() { next } else { best })
    }

    fn refuse_blocked(&self, name: &str) -> Result<(), String> {
        match self.registry(name) {
            Some((_, registry)) if registry.blocked => {
                Err(format!("registry {} is blocked in registries.conf", registry.prefix))
            }
            _ => Ok(()),
        }
    }

    /// The place to push an image of the repository `path` of `host` to: that host itself, since mirrors and other
    /// locations are for pulls.
    ///
    /// # Errors
    /// The message for the user, if the registry is blocked.
    pub fn push_endpoint(&self, host: &str, path: &str) -> Result<Endpoint, String> {
        let name = format!("{host}/{path}");
        self.refuse_blocked(&name)?;
        let insecure = self.registry(&name).is_some_and(|(_, registry)| registry.insecure);
        Ok(Endpoint { host: host.into(), path: path.into(), insecure })
    }

    /// The places to get an image of the repository `path` of `host` from, mirrors first.
    ///
    /// # Errors
    /// The message for the user, if the registry is blocked, or what replaces the prefix makes no name.
    pub fn endpoints(&self, host: &str, path: &str, pinned: Pinned) -> Result<Vec<Endpoint>, String> {
        let name = format!("{host}/{path}");
        let Some((length, registry)) = self.registry(&name) else {
            return Ok(vec![Endpoint { host: host.into(), path: path.into(), insecure: false }]);
        };
        self.refuse_blocked(&name)?;
        let rest = &name[length..];
        let mut out = Vec::new();
        for mirror in &registry.mirror {
            let wanted = match mirror.pull_from()? {
                None => !registry.mirror_by_digest_only || pinned == Pinned::Digest,
                Some(PullFrom::All) => true,
                Some(PullFrom::DigestOnly) => pinned == Pinned::Digest,
                Some(PullFrom::TagOnly) => pinned == Pinned::Tag,
            };
            let mirrored = format!("{}{rest}", mirror.location);
            if wanted && self.refuse_blocked(&mirrored).is_ok() {
                out.push(endpoint(&mirrored, mirror.insecure)?);
            }
        }
        let own = match registry.location.as_str() {
            "" => name,
            location => format!("{location}{rest}"),
        };
        self.refuse_blocked(&own)?;
        out.push(endpoint(&own, registry.insecure)?);
        Ok(out)
    }
}

fn endpoint(name: &str, insecure: bool) -> Result<Endpoint, String> {
    let bad = |why: &dyn std::fmt::Display| format!("{name:?}, which registries.conf leads to: {why}");
    if !RepositoryName::split(name).1.is_empty() {
        return Err(bad(&"a location has no tag or digest: those of the image stand behind it"));
    }
    let parsed = name.parse::<RepositoryName>().map_err(|e| bad(&e))?;
    Ok(Endpoint { host: parsed.host, path: parsed.path, insecure })
}

/// How many bytes of a repository's name a prefix covers, if it fits: up to a "/", or to the port of a host that
/// stands there without one; `*.` for any subdomain.
fn matched(prefix: &str, name: &str) -> Option<usize> {
    if prefix.starts_with("*.") {
        let host = name.split('/').next()?;
        let bare = host.split(':').next()?;
        return bare.strip_suffix(&prefix[1..]).filter(|sub| !sub.is_empty()).map(|_| bare.len());
    }
    let rest = name.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with(['/', ':'])).then_some(prefix.len())
}

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::*;

    fn config() -> Registries {
        let mut config = Registries::default();
        let main = r#"
            [[registry]]
            prefix = "example.com/foo"
            location = "internal:5000/bar"
            insecure = true
            [[registry.mirror]]
            location = "mirror.local/m"
            pull-from-mirror = "digest-only"
            [[registry]]
            location = "evil.com"
            blocked = true
            [[registry]]
            location = "example.com/foo/app:bad"
            blocked = true
            [[registry]]
            prefix = "*.cloud.net"
            location = "near.local/cloud"
            [[registry]]
            prefix = "*.corp.net"
            # A prefix that fits no image.
            [[registry]]
            prefix = "*"
            location = "nowhere.local"
            blocked = true
        "#;
        config.add("registries.conf", main, Role::Main).unwrap();
        config
    }

    #[test]
    fn endpoints() {
        let config = config();
        let at =
            |host: &str, path: &str, insecure| Endpoint { host: host.into(), path: path.into(), insecure };
        let own = at("internal:5000", "bar/app", true);
        assert_eq!(
            config.endpoints("example.com", "foo/app", Pinned::Tag).unwrap(),
            std::slice::from_ref(&own)
        );
        assert_eq!(
            config.endpoints("example.com", "foo/app", Pinned::Digest).unwrap(),
            [at("mirror.local", "m/app", false), own]
        );
        let other = at("example.com", "foobar", false);
        assert_eq!(config.endpoints("example.com", "foobar", Pinned::Tag).unwrap(), [other]);
        // A host stands for all its ports.
        for host in ["evil.com", "evil.com:5000"] {
            assert!(config.endpoints(host, "x", Pinned::Tag).is_err());
            assert!(config.push_endpoint(host, "x").is_err());
        }
        assert!(config.push_endpoint("evil.community", "x").is_ok());
        // A prefix with a tag is for nothing, which is said.
        let [warning] = config.warnings() else { panic!("{:?}", config.warnings()) };
        assert!(warning.contains("foo/app:bad"), "{warning}");
        let near = at("near.local", "cloud/x", false);
        assert_eq!(config.endpoints("a.b.cloud.net", "x", Pinned::Tag).unwrap(), [near]);
        assert_eq!(config.endpoints("cloud.net", "x", Pinned::Tag).unwrap(), [at("cloud.net", "x", false)]);
        assert_eq!(config.endpoints("xcloud.net", "x", Pinned::Tag).unwrap(), [at("xcloud.net", "x", false)]);
        let sub = at("a.corp.net:5000", "x", false);
        assert_eq!(config.endpoints("a.corp.net:5000", "x", Pinned::Tag).unwrap(), [sub]);
    }

    #[test]
    fn the_longest_prefix_and_the_first_in_a_file() {
        let mut config = Registries::default();
        let text = r#"
            [[registry]]
            prefix = "*.net"
            location = "wide.local"
            [[registry]]
            prefix = "*.cloud.net"
            location = "near.local/"
            [[registry]]
            prefix = "a.cloud.net/app"
            location = "exact.local/app/"
            [[registry.mirror]]
            location = "blocked.local/app"
            [[registry.mirror]]
            location = "docker.io"
            [[registry]]
            prefix = "a.cloud.net/app"
            location = "second.local"
            [[registry]]
            prefix = "b.cloud.net"
            location = "exact.local"
            [[registry]]
            prefix = "ported.net"
            location = "near.local"
            [[registry]]
            location = "blocked.local"
            blocked = true
            [[registry]]
            prefix = "to-blocked.local"
            location = "blocked.local/x"
            [[registry]]
            prefix = "bad.local"
            location = "near.local/a:b"
        "#;
        config.add("registries.conf", text, Role::Main).unwrap();
        let at = |host, path| {
            let endpoints = config.endpoints(host, path, Pinned::Tag)?;
            Ok(endpoints.into_iter().map(|e| format!("{}/{}", e.host, e.path)).collect::<Vec<_>>())
        };
        assert_eq!(at("very.long.name.net", "x"), Ok(vec!["wide.local/x".into()]));
        assert_eq!(at("a.cloud.net", "x"), Ok(vec!["near.local/x".into()]));
        assert_eq!(at("a.cloud.net:5000", "x"), Ok(vec!["near.local:5000/x".into()]));
        // Of the same length, which is no reason to prefer one to the other.
        assert_eq!(at("b.cloud.net", "x"), Ok(vec!["near.local/x".into()]));
        assert_eq!(at("ported.net:5000", "x"), Ok(vec!["near.local:5000/x".into()]));
        let app = vec!["docker.io/library/x".to_owned(), "exact.local/app/x".into()];
        assert_eq!(at("a.cloud.net", "app/x"), Ok(app));
        let error: Result<_, String> = at("to-blocked.local", "x");
        assert!(error.unwrap_err().contains("blocked.local is blocked"));
        assert!(at("bad.local", "x").unwrap_err().contains("near.local/a:b/x"));
    }
}
