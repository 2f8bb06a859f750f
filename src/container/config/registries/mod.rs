//! `registries.conf`: where an image really comes from.
//!
//! ```toml
//! unqualified-search-registries = ["docker.io"]
//! credential-helpers = ["containers-auth.json", "secretservice"]
//! [aliases]
//! "debian" = "docker.io/library/debian"
//! [[registry]]
//! prefix = "example.com/foo"        # or "*.example.com"; the location if left out
//! location = "internal:5000/foo"
//! insecure = false
//! blocked = false
//! [[registry.mirror]]
//! location = "mirror.local/foo"
//! pull-from-mirror = "all"          # or "digest-only", "tag-only"
//! ```
//! Files of `registries.conf.d` follow in the order of their names: a registry of the same prefix replaces
//! the earlier one, lists replace lists, aliases add up. A prefix stands for a host with any port, a host, a
//! repository, or what is below it; the longest that fits counts. Source: containers-registries.conf(5).

mod file;

use std::collections::BTreeMap;

use self::file::{File, Registry};
use crate::container::image::{ConfigError, RepositoryName};

/// What stands for auth.json in the list of helpers.
const AUTH_FILES: &str = "containers-auth.json";

/// The configuration of all registries.
#[derive(Debug, Default)]
pub struct Registries {
    search: Vec<String>,
    /// `None` takes an alias of an earlier file away.
    aliases: BTreeMap<String, Option<RepositoryName>>,
    registries: BTreeMap<String, Registry>,
    helpers: Option<Vec<String>>,
    warnings: Vec<String>,
}

/// A place where credentials are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialSource<'a> {
    /// The files of credentials: auth.json and its like.
    Files,
    /// The program `docker-credential-NAME` has them.
    Helper(&'a str),
}

/// The part that a file plays in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// registries.conf itself, which may be of version 1.
    Main,
    /// A file of registries.conf.d.
    DropIn,
    /// The aliases that podman keeps, of which nothing else counts.
    ShortNames,
}

/// The images that a mirror is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PullFrom {
    All,
    DigestOnly,
    TagOnly,
}

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
    /// Adds what a file says; `file` is its name for messages.
    ///
    /// # Errors
    /// If it is not TOML of the expected shape, or contradicts itself.
    pub fn add(&mut self, file: &str, text: &str, role: Role) -> Result<(), ConfigError> {
        let read = File::parse(text, role).map_err(|why| ConfigError::new(file, why))?;
        if let Some(search) = read.search {
            self.search = search;
        }
        if let Some(helpers) = read.helpers {
            self.helpers = Some(helpers);
        }
        self.aliases.extend(read.aliases);
        self.registries.extend(read.registries);
        self.warnings.extend(read.notes.into_iter().map(|note| format!("{file}: {note}")));
        Ok(())
    }

    /// Warnings about entries of the files that have no effect, a line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The full name for a name without a registry: its alias, or its place in the only registry that is
    /// searched. More than one would be a guess, and it is not made.
    ///
    /// # Errors
    /// The message for the user, if no name or more than one fits.
    pub fn qualify(&self, short: &str) -> Result<String, String> {
        if let Some(Some(full)) = self.aliases.get(short) {
            return Ok(full.repository());
        }
        match self.search.as_slice() {
            [only] => {
                let library = if only == "docker.io" && !short.contains('/') { "library/" } else { "" };
                Ok(format!("{only}/{library}{short}"))
            }
            [] => {
                let library = if short.contains('/') { "" } else { "library/" };
                let full = format!("docker.io/{library}{short}");
                let full = full.parse::<RepositoryName>().map_or_else(|_| "HOST/PATH".to_owned(), |_| full);
                Err(format!("{short:?} names no registry; write it in full, such as {full}"))
            }
            several => {
                Err(format!("{short:?} could come from {}; write the name in full", several.join(", ")))
            }
        }
    }

    /// The places to look for credentials, in this order.
    pub fn credential_sources(&self) -> impl Iterator<Item = CredentialSource<'_>> {
        let none = self.helpers.as_ref().is_none_or(Vec::is_empty);
        let files = none.then_some(CredentialSource::Files);
        files.into_iter().chain(self.helpers.iter().flatten().map(|name| match name.as_str() {
            AUTH_FILES => CredentialSource::Files,
            name => CredentialSource::Helper(name),
        }))
    }

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
    use super::*;

    fn config() -> Registries {
        let mut config = Registries::default();
        let main = r#"
            unqualified-search-registries = ["docker.io", "quay.io"]
            [aliases]
            "debian" = "docker.io/library/debian"
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

        for bad in [
            "location = \"https://x.local\"",
            "prefix = \"*.x.local/y\"\nlocation = \"x.local\"",
            "location = \"x.local\"\npull-from-mirror = \"all\"",
            "location = \"x.local\"\n[[registry.mirror]]\nlocation = \"\"",
            "location = \"x.local\"\n[[registry.mirror]]\nlocation = \"y.local\"\npull-from-mirror = \"never\"",
            "location = \"x.local\"\nmirror-by-digest-only = true\n[[registry.mirror]]\n\
             location = \"y.local\"\npull-from-mirror = \"all\"",
            "blocked = true",
            "prefix = \"x.local\"",
            "location = \"x.local\"\ninsecure = \"true\"",
            "location = \"x.local\"\nLocation = \"x.local\"",
            "location = \"x.local\"\n[[registry]]\nlocation = \"x.local\"\nblocked = true",
            "location = \"x.local\"\n[[registry]]\nprefix = \"y\"\nlocation = \"x.local\"\ninsecure = true",
        ] {
            let text = format!("[[registry]]\n{bad}");
            assert!(Registries::default().add("x", &text, Role::Main).is_err(), "{bad}");
        }
    }

    #[test]
    fn short_names() {
        let mut config = config();
        assert_eq!(config.qualify("debian").unwrap(), "docker.io/library/debian");
        assert!(config.qualify("fedora").unwrap_err().contains("quay.io"));
        config
            .add("registries.conf.d/1.conf", "unqualified-search-registries = [\"docker.io\"]", Role::DropIn)
            .unwrap();
        assert_eq!(config.qualify("fedora").unwrap(), "docker.io/library/fedora");
        let mut alias = |short: &str, full: &str| {
            config
                .add("2.conf", &format!("[aliases]\n\"{short}\" = \"{full}\""), Role::ShortNames)
                .map(|()| config.qualify(short))
        };
        assert_eq!(alias("a/b", "docker.io/x").unwrap().unwrap(), "docker.io/library/x");
        assert_eq!(alias("debian", "").unwrap().unwrap(), "docker.io/library/debian");
        for (short, full) in
            [("q.io/x", "q.io/y"), ("x:1", "q.io/y"), ("x", "q.io/y:1"), ("x", "y/z"), ("x", "y")]
        {
            alias(short, full).unwrap_err();
        }
    }

    #[test]
    fn version_1() {
        let old = "[registries.search]\nregistries = ['a.b']\n[registries.insecure]\nregistries = ['c.d', 'e.f/']\n\
                   [registries.block]\nregistries = ['e.f']\n";
        let mut config = Registries::default();
        assert!(config.add("old.conf", old, Role::DropIn).unwrap_err().why.contains("[[registry]]"));
        assert!(
            config.add("old.conf", &format!("short-name-mode = \"disabled\"\n{old}"), Role::Main).is_err()
        );
        config.add("old.conf", old, Role::Main).unwrap();
        assert_eq!(config.qualify("x"), Ok("a.b/x".into()));
        assert!(config.endpoints("c.d", "x", Pinned::Tag).unwrap()[0].insecure);
        assert!(config.endpoints("e.f", "x", Pinned::Tag).is_err());
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let text = "future = 1\n[[registry]]\nLocation = \"a.b\"\nBLOCKED = true\nblocket = true\n\
                    [[registry]]\nlocation = \"a.b/\"\nblocked = true\n[[registry.mirror]]\nlocation = \"c\"\nblocked = true\n";
        let mut config = Registries::default();
        config.add("r.conf", text, Role::Main).unwrap();
        assert!(config.push_endpoint("a.b", "x").is_err());
        let expected = ["key future", "key registry.blocket", "key registry.mirror.blocked", "second table"];
        let warnings = config.warnings();
        assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
        for word in expected {
            assert!(
                warnings.iter().any(|w| w.starts_with("r.conf: ") && w.contains(word)),
                "{word}: {warnings:?}"
            );
        }
    }
}
