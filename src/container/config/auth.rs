//! `auth.json` (podman, skopeo, ostree) and `config.json` (docker): credentials by registry.
//!
//! ```text
//! { "auths": { "quay.io/org": { "auth": base64("user:password"), "identitytoken": … } },
//!   "credHelpers": { "gcr.io": "gcloud" }, "credsStore": "secretservice" }
//! ```
//! `~/.dockercfg`, docker's oldest, is what stands in "auths" alone. The longest key that is the repository or a parent of it
//! wins: `quay.io/org/app`, `quay.io/org`, `quay.io`. What is null or empty says nothing. Keys with a meaning may be
//! in any case, as in Go. Source: containers-auth.json(5), docker's config.json.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::any_case::AnyCase;
use crate::container::image::ConfigError;
use crate::net::registry::Credentials;

/// One file of credentials.
#[derive(Debug, Default)]
pub struct AuthFile {
    file: String,
    auths: BTreeMap<String, AuthEntry>,
    helpers: BTreeMap<String, String>,
    store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Raw {
    auths: Option<BTreeMap<String, Option<AnyCase<AuthEntry>>>>,
    #[serde(rename = "credhelpers")]
    helpers: Option<BTreeMap<String, Option<String>>>,
    #[serde(rename = "credsstore")]
    store: Option<String>,
}

#[derive(Deserialize)]
struct AuthEntry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

impl std::fmt::Debug for AuthEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry")
    }
}

/// The credentials in a file for a repository, or the helper that has them.
#[derive(Debug)]
pub enum FoundCredentials {
    /// The credentials.
    Credentials(Credentials),
    /// The program `docker-credential-NAME` has them, under this key.
    Helper {
        /// NAME.
        name: String,
        /// What to ask it for.
        server: String,
        /// What the file names the program for.
        scope: HelperScope,
    },
}

/// The registries that a program has credentials of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelperScope {
    /// One: the file says that its credentials are there (`credHelpers`).
    Registry,
    /// Any: it may have some of this registry, or not (`credsStore`).
    Any,
}

impl AuthFile {
    /// Reads a file; `file` is its name for messages.
    ///
    /// # Errors
    /// If it is not JSON of the expected shape.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, ConfigError> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self { file: file.into(), ..Self::default() });
        }
        let raw: Option<AnyCase<Raw>> =
            serde_json::from_slice(bytes).map_err(|e| ConfigError::new(file, e))?;
        let raw = raw.map(|raw| raw.0).unwrap_or_default();
        let named = |name: Option<String>| name.filter(|name| !name.is_empty());
        let helpers = raw.helpers.unwrap_or_default().into_iter();
        let helpers = helpers.filter_map(|(key, name)| Some((key, named(name)?))).collect();
        // A key that is a registry's name counts before one that only stands for it.
        let mut auths = BTreeMap::new();
        let (exact, other): (Vec<_>, Vec<_>) =
            raw.auths.unwrap_or_default().into_iter().partition(|(key, _)| normalize(key) == *key);
        for (key, entry) in exact.into_iter().chain(other) {
            if let Some(AnyCase(entry)) = entry {
                auths.entry(normalize(&key)).or_insert(entry);
            }
        }
        Ok(Self { file: file.into(), auths, helpers, store: named(raw.store) })
    }

    /// Reads a file in the form of docker's oldest versions: entries by registry, whose keys may be URLs.
    ///
    /// # Errors
    /// As [`AuthFile::parse`].
    pub fn parse_dockercfg(file: &str, bytes: &[u8]) -> Result<Self, ConfigError> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self { file: file.into(), ..Self::default() });
        }
        let raw: BTreeMap<String, Option<AnyCase<AuthEntry>>> =
            serde_json::from_slice(bytes).map_err(|e| ConfigError::new(file, e))?;
        let host = |key: String| {
            let key = key.split_once("://").map_or(&*key, |(_, rest)| rest);
            normalize(key.split('/').next().unwrap_or(key))
        };
        let auths = raw.into_iter().filter_map(|(key, entry)| Some((host(key), entry?.0))).collect();
        Ok(Self { file: file.into(), auths, ..Self::default() })
    }

    /// Finds the credentials for the repository `path` of the registry `host`.
    ///
    /// # Errors
    /// If the entry that fits is damaged.
    pub fn find(&self, host: &str, path: &str) -> Result<Option<FoundCredentials>, ConfigError> {
        if let Some(name) = self.helpers.get(host) {
            return Ok(Some(FoundCredentials::Helper {
                name: name.clone(),
                server: host.into(),
                scope: HelperScope::Registry,
            }));
        }
        let whole = format!("{host}/{path}");
        let parents = std::iter::successors(Some(whole.as_str()), |key| Some(key.rsplit_once('/')?.0));
        for key in parents {
            if let Some(entry) = self.auths.get(key)
                && let Some(credentials) = entry
                    .credentials()
                    .map_err(|why| ConfigError::new(&self.file, format!("auths {key:?}: {why}")))?
            {
                return Ok(Some(FoundCredentials::Credentials(credentials)));
            }
        }
        Ok(self.store.as_ref().map(|name| {
            let server = if host == "docker.io" { "https://index.docker.io/v1/" } else { host };
            FoundCredentials::Helper { name: name.clone(), server: server.into(), scope: HelperScope::Any }
        }))
    }
}

impl AuthEntry {
    fn credentials(&self) -> Result<Option<Credentials>, String> {
        let Some(token) = self.identitytoken.clone().filter(|t| !t.is_empty()) else {
            let login = self.login()?;
            return Ok(login.map(|(user, password)| Credentials::Password { user, password }));
        };
        // With the token, what cannot be read beside it is not needed.
        Ok(Some(Credentials::IdentityToken { token, login: self.login().ok().flatten() }))
    }

    fn login(&self) -> Result<Option<(String, String)>, String> {
        let Some(auth) = self.auth.as_ref().filter(|a| !a.is_empty()) else {
            return Ok(self.username.clone().zip(self.password.clone()));
        };
        let bytes = STANDARD
            .decode(auth.replace(['\r', '\n'], ""))
            .map_err(|e| format!("\"auth\" is not base64: {e}"))?;
        let text = String::from_utf8(bytes).map_err(|_| "\"auth\" is not UTF-8".to_string())?;
        // What docker passes over is no error here either.
        let Some((user, password)) = text.split_once(':') else { return Ok(None) };
        Ok(Some((user.into(), password.trim_end_matches('\0').into())))
    }
}

/// Keys that docker wrote as URLs: `https://index.docker.io/v1/` is `docker.io`.
fn normalize(key: &str) -> String {
    let url = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let key = match url {
        Some(rest) => rest.split('/').next().unwrap_or(rest),
        None => key.trim_end_matches('/'),
    };
    match key {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".into(),
        key => key.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_key_wins() {
        let json = format!(
            r#"{{"auths": {{"quay.io": {{"auth": "{}"}}, "quay.io/org": {{"auth": "{}"}},
                "https://index.docker.io/v1/": {{"identitytoken": "t"}}, "broken": {{"auth": "%"}}, "empty": {{}}}},
                "credHelpers": {{"gcr.io": "gcloud"}}}}"#,
            STANDARD.encode("a:b:c"),
            STANDARD.encode("org:secret"),
        );
        let file = AuthFile::parse("auth.json", json.as_bytes()).unwrap();
        let user = |host, path| match file.find(host, path) {
            Ok(Some(FoundCredentials::Credentials(Credentials::Password { user, password }))) => {
                format!("{user}:{password}")
            }
            other => format!("{other:?}"),
        };
        assert_eq!(user("quay.io", "other/app"), "a:b:c");
        assert_eq!(user("quay.io", "org/app"), "org:secret");
        assert_eq!(user("quay.io", "organic/app"), "a:b:c");
        assert!(matches!(
            file.find("docker.io", "library/debian"),
            Ok(Some(FoundCredentials::Credentials(Credentials::IdentityToken { .. })))
        ));
        assert!(matches!(file.find("gcr.io", "x"), Ok(Some(FoundCredentials::Helper { .. }))));
        assert!(file.find("broken", "x").is_err());
        assert!(matches!(file.find("empty", "x"), Ok(None)));
        assert!(AuthFile::parse("x", b"{").is_err());

        let json = format!(
            r#"{{"auths": {{"docker.io": {{"auth": "{}"}}, "https://index.docker.io/v1/": {{"auth": "{}"}},
                "odd": {{"auth": "{}"}}}}}}"#,
            STANDARD.encode("exact:1"),
            STANDARD.encode("url:2"),
            STANDARD.encode("no colon"),
        );
        let file = AuthFile::parse("auth.json", json.as_bytes()).unwrap();
        assert!(matches!(
            file.find("docker.io", "library/debian"),
            Ok(Some(FoundCredentials::Credentials(Credentials::Password { user, .. }))) if user == "exact"
        ));
        assert!(matches!(file.find("odd", "x"), Ok(None)));
    }

    #[test]
    fn null_and_empty_say_nothing() {
        for json in [
            "null",
            r#"{"auths": null, "credHelpers": null, "credsStore": null}"#,
            r#"{"auths": {"a.b": null}, "credHelpers": {"a.b": null}, "credsStore": ""}"#,
            r#"{"auths": {"a.b": {"auth": null, "identitytoken": ""}}, "credHelpers": {"a.b": ""}}"#,
        ] {
            let file = AuthFile::parse("auth.json", json.as_bytes()).unwrap();
            assert!(matches!(file.find("a.b", "x"), Ok(None)), "{json}");
        }
        let json = format!(r#"{{"Auths": {{"a.b": {{"AUTH": "{}\n"}}}}}}"#, STANDARD.encode("me:word"));
        let file = AuthFile::parse("auth.json", json.as_bytes()).unwrap();
        assert!(matches!(file.find("a.b", "x"), Ok(Some(FoundCredentials::Credentials(_)))));
    }
}
