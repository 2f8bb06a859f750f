//! `registries.conf`, version 2: where an image really comes from.
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
//! the earlier one, lists replace lists, aliases add up. Source: containers-registries.conf(5).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ConfigError;
use crate::container::name::RepositoryName;

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
}

/// Where credentials are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialSource<'a> {
    /// In auth.json and its like.
    Files,
    /// The program `docker-credential-NAME` has them.
    Helper(&'a str),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Raw {
    unqualified_search_registries: Option<Vec<String>>,
    credential_helpers: Option<Vec<String>>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    #[serde(default)]
    registry: Vec<Registry>,
    registries: Option<toml::Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Registry {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<Mirror>,
    /// A registry is no mirror.
    pull_from_mirror: Option<toml::Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Mirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    pull_from_mirror: Option<PullFrom>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PullFrom {
    All,
    DigestOnly,
    TagOnly,
}

/// How a reference names one manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pinned {
    /// By a tag, which may move.
    Tag,
    /// By its digest.
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
    /// If it is not TOML of the expected shape, or is of the long obsolete version 1.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), ConfigError> {
        let raw: Raw = toml::from_str(text).map_err(|e| ConfigError::new(file, e))?;
        if raw.registries.is_some() {
            return Err(ConfigError::new(
                file,
                "version 1 of the format ([registries.search] …) is not supported",
            ));
        }
        if let Some(search) = raw.unqualified_search_registries {
            self.search = search;
        }
        if let Some(helpers) = raw.credential_helpers {
            self.helpers = Some(helpers);
        }
        for (short, full) in raw.aliases {
            let full = alias(&short, &full).map_err(|why| ConfigError::new(file, why))?;
            self.aliases.insert(short, full);
        }
        let mut own = BTreeMap::new();
        for registry in raw.registry {
            let registry = registry.checked().map_err(|why| ConfigError::new(file, why))?;
            // Of two with the same prefix the first counts in a file, the last among files.
            own.entry(registry.prefix.clone()).or_insert(registry);
        }
        self.registries.extend(own);
        Ok(())
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
            [] => Err(format!(
                "{short:?} names no registry; write it in full, such as docker.io/library/{short}"
            )),
            several => {
                Err(format!("{short:?} could come from {}; write the name in full", several.join(", ")))
            }
        }
    }

    /// Where to look for credentials, in this order.
    pub fn credential_sources(&self) -> impl Iterator<Item = CredentialSource<'_>> {
        let none = self.helpers.as_ref().is_none_or(Vec::is_empty);
        let files = none.then_some(CredentialSource::Files);
        files.into_iter().chain(self.helpers.iter().flatten().map(|name| match name.as_str() {
            AUTH_FILES => CredentialSource::Files,
            name => CredentialSource::Helper(name),
        }))
    }

    /// The registry that an image belongs to, and how many bytes of its name the prefix covers. A prefix may
    /// be one image: `example.com/foo:1`.
    fn registry(&self, name: &str) -> Option<(usize, &Registry)> {
        let fitting = self.registries.values().filter_map(|r| Some((matched(&r.prefix, name)?, r)));
        fitting.max_by_key(|(_, registry)| registry.prefix.len())
    }

    fn refuse_blocked(&self, name: &str) -> Result<(), String> {
        match self.registry(name) {
            Some((_, registry)) if registry.blocked => {
                Err(format!("registry {} is blocked in registries.conf", registry.prefix))
            }
            _ => Ok(()),
        }
    }

    /// Where to push the image `suffix` (`:tag` or `@digest`) of the repository `path` of `host` to: to
    /// itself, mirrors and other locations are for pulls.
    ///
    /// # Errors
    /// The message for the user, if the registry is blocked.
    pub fn push_endpoint(&self, host: &str, path: &str, suffix: &str) -> Result<Endpoint, String> {
        let name = format!("{host}/{path}{suffix}");
        self.refuse_blocked(&name)?;
        let insecure = self.registry(&name).is_some_and(|(_, registry)| registry.insecure);
        Ok(Endpoint { host: host.into(), path: path.into(), insecure })
    }

    /// Where to get the image `suffix` (`:tag` or `@digest`) of the repository `path` of `host` from, mirrors
    /// first.
    ///
    /// # Errors
    /// The message for the user, if the registry is blocked, or what replaces the prefix makes no name.
    pub fn endpoints(&self, host: &str, path: &str, suffix: &str) -> Result<Vec<Endpoint>, String> {
        let pinned = if suffix.contains('@') { Pinned::Digest } else { Pinned::Tag };
        let name = format!("{host}/{path}");
        let Some((length, registry)) = self.registry(&format!("{name}{suffix}")) else {
            return Ok(vec![Endpoint { host: host.into(), path: path.into(), insecure: false }]);
        };
        self.refuse_blocked(&format!("{name}{suffix}"))?;
        // Of a prefix with a tag, the location has none: all of the repository's name is covered.
        let rest = name.get(length..).unwrap_or_default();
        let mut out = Vec::new();
        for mirror in &registry.mirror {
            let wanted = match mirror.pull_from_mirror {
                None => !registry.mirror_by_digest_only || pinned == Pinned::Digest,
                Some(PullFrom::All) => true,
                Some(PullFrom::DigestOnly) => pinned == Pinned::Digest,
                Some(PullFrom::TagOnly) => pinned == Pinned::Tag,
            };
            let mirrored = format!("{}{rest}", mirror.location);
            if wanted && self.refuse_blocked(&format!("{mirrored}{suffix}")).is_ok() {
                out.push(endpoint(&mirrored, mirror.insecure)?);
            }
        }
        let own = match registry.location.as_str() {
            "" => name,
            location => format!("{location}{rest}"),
        };
        self.refuse_blocked(&format!("{own}{suffix}"))?;
        out.push(endpoint(&own, registry.insecure)?);
        Ok(out)
    }
}

impl Registry {
    /// The same with its prefix filled in, if it makes sense.
    fn checked(mut self) -> Result<Self, String> {
        self.location = place(&self.location)?;
        self.prefix = match place(&self.prefix)? {
            prefix if prefix.is_empty() => self.location.clone(),
            prefix => prefix,
        };
        let (prefix, is_wildcard) = (&self.prefix, self.prefix.starts_with("*."));
        if prefix.is_empty() {
            return Err("a [[registry]] with neither prefix nor location".into());
        }
        if is_wildcard && prefix.contains(['/', '@', ':']) {
            return Err(format!("prefix {prefix:?}: \"*.\" stands before a domain alone"));
        }
        if is_wildcard && self.location.is_empty() && !self.mirror.is_empty() {
            return Err(format!("mirrors of {prefix:?} need a location"));
        }
        if self.pull_from_mirror.is_some() {
            return Err(format!("pull-from-mirror of {prefix:?}: it is for its mirrors"));
        }
        for mirror in &mut self.mirror {
            mirror.location = place(&mirror.location)?;
            if mirror.location.is_empty() {
                return Err(format!("a mirror of {prefix:?} without a location"));
            }
            if self.mirror_by_digest_only && mirror.pull_from_mirror.is_some() {
                return Err(format!(
                    "{prefix:?}: mirror-by-digest-only and pull-from-mirror exclude each other"
                ));
            }
        }
        Ok(self)
    }
}

/// A location or prefix without the slashes at its end.
fn place(text: &str) -> Result<String, String> {
    match text.contains("://") {
        true => Err(format!("{text:?}: a registry is named without http:// or https://")),
        false => Ok(text.trim_end_matches('/').into()),
    }
}

/// What an alias stands for. Neither of its sides has a tag or digest: these are those of the name that is
/// asked for.
fn alias(short: &str, full: &str) -> Result<Option<RepositoryName>, String> {
    let bare = |text: &str| RepositoryName::split(text).1.is_empty();
    if !RepositoryName::is_short(short) || !bare(short) {
        return Err(format!("alias {short:?}: a short name has no registry, tag or digest"));
    }
    if full.is_empty() {
        return Ok(None);
    }
    if !bare(full) {
        return Err(format!("alias {short:?}: {full:?} must not have a tag or digest"));
    }
    full.parse().map(Some).map_err(|e| format!("alias {short:?}: {full:?}: {e}"))
}

fn endpoint(name: &str, insecure: bool) -> Result<Endpoint, String> {
    let parsed = name.parse::<RepositoryName>();
    let parsed = parsed.map_err(|e| format!("{name:?}, which registries.conf leads to: {e}"))?;
    Ok(Endpoint { host: parsed.host, path: parsed.path, insecure })
}

/// How many bytes of `name` a prefix covers, if it fits: whole components only, and `*.` for any subdomain.
fn matched(prefix: &str, name: &str) -> Option<usize> {
    if let Some(domain) = prefix.strip_prefix('*') {
        let host = name.split('/').next()?;
        let bare = host.split(':').next()?;
        return bare.strip_suffix(domain).filter(|sub| !sub.is_empty()).map(|_| bare.len());
    }
    let rest = name.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/') || (prefix.contains('/') && rest.starts_with([':', '@'])))
        .then_some(prefix.len())
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
            prefix = "example.com/foo/app:bad"
            blocked = true
            [[registry]]
            prefix = "*.cloud.net"
            location = "near.local/cloud"
            [[registry]]
            prefix = "*.corp.net"
        "#;
        config.add("registries.conf", main).unwrap();
        config
    }

    #[test]
    fn endpoints() {
        let config = config();
        let at =
            |host: &str, path: &str, insecure| Endpoint { host: host.into(), path: path.into(), insecure };
        let own = at("internal:5000", "bar/app", true);
        assert_eq!(config.endpoints("example.com", "foo/app", ":1").unwrap(), std::slice::from_ref(&own));
        assert_eq!(
            config.endpoints("example.com", "foo/app", "@sha256:0").unwrap(),
            [at("mirror.local", "m/app", false), own]
        );
        let other = at("example.com", "foobar", false);
        assert_eq!(config.endpoints("example.com", "foobar", ":1").unwrap(), [other]);
        assert!(config.endpoints("evil.com", "x", ":1").is_err());
        assert!(config.push_endpoint("evil.com", "x", ":1").is_err());
        for suffix in [":bad", ":bad@sha256:0"] {
            assert!(config.endpoints("example.com", "foo/app", suffix).unwrap_err().contains("app:bad"));
            assert!(config.push_endpoint("example.com", "foo/app", suffix).is_err());
        }
        let near = at("near.local", "cloud/x", false);
        assert_eq!(config.endpoints("a.b.cloud.net", "x", ":1").unwrap(), [near]);
        assert_eq!(config.endpoints("cloud.net", "x", ":1").unwrap(), [at("cloud.net", "x", false)]);
        assert_eq!(config.endpoints("xcloud.net", "x", ":1").unwrap(), [at("xcloud.net", "x", false)]);
        let sub = at("a.corp.net:5000", "x", false);
        assert_eq!(config.endpoints("a.corp.net:5000", "x", ":1").unwrap(), [sub]);
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
            location = "blocked.local"
            blocked = true
            [[registry]]
            prefix = "to-blocked.local"
            location = "blocked.local/x"
            [[registry]]
            prefix = "bad.local"
            location = "near.local/a:b"
        "#;
        config.add("registries.conf", text).unwrap();
        let at = |host, path| {
            let endpoints = config.endpoints(host, path, ":1")?;
            Ok(endpoints.into_iter().map(|e| format!("{}/{}", e.host, e.path)).collect::<Vec<_>>())
        };
        assert_eq!(at("very.long.name.net", "x"), Ok(vec!["wide.local/x".into()]));
        assert_eq!(at("a.cloud.net", "x"), Ok(vec!["near.local/x".into()]));
        assert_eq!(at("a.cloud.net:5000", "x"), Ok(vec!["near.local:5000/x".into()]));
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
        ] {
            assert!(Registries::default().add("x", &format!("[[registry]]\n{bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn short_names() {
        let mut config = config();
        assert_eq!(config.qualify("debian").unwrap(), "docker.io/library/debian");
        assert!(config.qualify("fedora").unwrap_err().contains("quay.io"));
        config.add("registries.conf.d/1.conf", "unqualified-search-registries = [\"docker.io\"]").unwrap();
        assert_eq!(config.qualify("fedora").unwrap(), "docker.io/library/fedora");
        let mut alias = |short: &str, full: &str| {
            config
                .add("2.conf", &format!("[aliases]\n\"{short}\" = \"{full}\""))
                .map(|()| config.qualify(short))
        };
        assert_eq!(alias("a/b", "docker.io/x").unwrap().unwrap(), "docker.io/library/x");
        assert_eq!(alias("debian", "").unwrap().unwrap(), "docker.io/library/debian");
        for (short, full) in
            [("q.io/x", "q.io/y"), ("x:1", "q.io/y"), ("x", "q.io/y:1"), ("x", "y/z"), ("x", "y")]
        {
            alias(short, full).unwrap_err();
        }
        assert!(config.add("old.conf", "[registries.search]\nregistries = []").is_err());
    }
}
