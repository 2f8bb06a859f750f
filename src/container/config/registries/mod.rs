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

mod endpoints;
mod file;

use std::collections::BTreeMap;

pub use self::endpoints::{Endpoint, Pinned};
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names() {
        let mut config = Registries::default();
        let main = r#"
            unqualified-search-registries = ["docker.io", "quay.io"]
            [aliases]
            "debian" = "docker.io/library/debian"
        "#;
        config.add("registries.conf", main, Role::Main).unwrap();
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
    fn what_contradicts_itself_is_refused() {
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
