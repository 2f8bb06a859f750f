//! What is configured for a registry: its place or places, credentials, certificates, proxies.

use std::net::Ipv6Addr;
use std::path::Path;

use anyhow::{Context, anyhow};

use super::files::{self, Required, has_extension, variable};
use super::{RegistryOptions, helper};
use crate::base::Ctx;
use crate::cli::terminal;
use crate::container::config::auth::{AuthFile, Found};
use crate::container::config::registries::{CredentialSource, Endpoint, Pinned, Registries};
use crate::container::image::{RepositoryName, Transport};
use crate::container::place::Place;
use crate::net::registry::Credentials;
use crate::net::{HttpOptions, Identity, Limits, ProxyRule, TlsOptions, TlsVerify};

/// Hosts that are never reached through a proxy.
const LOCAL: &str = "localhost,127.0.0.0/8,::1";

/// Everything that is configured.
pub(super) struct Access<'a> {
    options: &'a RegistryOptions,
    registries: Registries,
    ctx: &'a Ctx,
}

/// Whom what the command line tells of us is for: the host that it names, not mirrors and locations elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    ForIt,
    ForAnother,
}

impl<'a> Access<'a> {
    /// Reads the files.
    pub(super) fn load(options: &'a RegistryOptions, ctx: &'a Ctx) -> anyhow::Result<Self> {
        let mut registries = Registries::default();
        for (path, role) in files::registries()? {
            let text = String::from_utf8(files::read(&path)?)
                .map_err(|_| anyhow!("{} is not UTF-8", path.display()))?;
            registries.add(&path.display().to_string(), &text, role)?;
        }
        for warning in registries.warnings() {
            terminal::say(format_args!("warning: {warning}"));
        }
        if let (paths, Required::Yes) = files::auth(options.authfile.as_deref())
            && let Some(missing) = paths.iter().find(|path| !path.exists())
        {
            return Err(anyhow!("{} does not exist", missing.display()));
        }
        Ok(Self { options, registries, ctx })
    }

    /// The full name of an image.
    pub(super) fn name(&self, text: &str) -> anyhow::Result<RepositoryName> {
        let full = match RepositoryName::is_short(text) {
            true => {
                let (name, rest) = RepositoryName::split(text);
                let qualified = self.registries.qualify(name);
                let qualified = qualified.map_err(|why| anyhow!(unknown_transport(text).unwrap_or(why)))?;
                format!("{qualified}{rest}")
            }
            false => text.to_owned(),
        };
        full.parse().with_context(|| format!("Image {text:?}"))
    }

    /// Where to pull from, mirrors first.
    pub(super) fn pull_places(&self, name: &RepositoryName) -> anyhow::Result<Vec<Place>> {
        let pinned = if name.digest.is_some() { Pinned::Digest } else { Pinned::Tag };
        let endpoints = self.registries.endpoints(&name.host, &name.path, pinned);
        let endpoints = endpoints.map_err(|why| anyhow!(why))?;
        let places = endpoints.into_iter().map(|endpoint| {
            let given = if endpoint.host == name.host { Given::ForIt } else { Given::ForAnother };
            self.place(endpoint, given)
        });
        places.collect()
    }

    /// Where to push to.
    pub(super) fn push_place(&self, name: &RepositoryName) -> anyhow::Result<Place> {
        let endpoint = self.registries.push_endpoint(&name.host, &name.path);
        self.place(endpoint.map_err(|why| anyhow!(why))?, Given::ForIt)
    }

    fn place(&self, mut endpoint: Endpoint, given: Given) -> anyhow::Result<Place> {
        if let Some(verify) = self.options.tls_verify() {
            endpoint.insecure = !verify;
        }
        let credentials = self.credentials(&endpoint, given)?;
        let mut tls = tls(self.options.cert_dir.as_deref(), &endpoint.host)?;
        if self.options.cert_dir.is_some() && given == Given::ForAnother {
            tls.identity = None;
        }
        let (proxies, no_proxy) = proxies(&endpoint.host);
        Ok(Place {
            endpoint,
            http: HttpOptions {
                tls,
                proxies,
                no_proxy,
                limits: self.options.limits(),
                ..HttpOptions::default()
            },
            credentials,
        })
    }

    /// The first file or helper that knows the repository tells.
    fn credentials(&self, endpoint: &Endpoint, given: Given) -> anyhow::Result<Option<Credentials>> {
        if self.options.auth_anonymous {
            return Ok(None);
        }
        if let (Some((user, password)), Given::ForIt) = (&self.options.creds, given) {
            return Ok(Some(Credentials::Password { user: user.clone(), password: password.clone() }));
        }
        // A helper that fails may know nothing of this registry: the others are asked before that is an error.
        let mut failed = None;
        for source in self.registries.credential_sources() {
            let found = match source {
                CredentialSource::Files => self.credentials_in_files(endpoint),
                CredentialSource::Helper(name) => self.ask_helper(name, &endpoint.host),
            };
            match found {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => {
                    self.ctx.cancel.check()?;
                    failed = failed.or(Some(error));
                }
            }
        }
        failed.map_or(Ok(None), Err)
    }

    fn ask_helper(&self, name: &str, server: &str) -> anyhow::Result<Option<Credentials>> {
        helper::ask(name, server, self.options.limits().patience, self.ctx)
    }

    fn credentials_in_files(&self, endpoint: &Endpoint) -> anyhow::Result<Option<Credentials>> {
        let (paths, required) = files::auth(self.options.authfile.as_deref());
        for path in paths {
            let Some(bytes) = files::read_if_present(&path, required)? else { continue };
            let file = AuthFile::parse(&path.display().to_string(), &bytes)?;
            let found = match file.find(&endpoint.host, &endpoint.path)? {
                None => None,
                Some(Found::Credentials(credentials)) => Some(credentials),
                Some(Found::Helper { name, server }) => self.ask_helper(&name, &server)?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// What to say of `ocii:x`, which would be an image called `ocii` if there were one.
fn unknown_transport(text: &str) -> Option<String> {
    let (word, _) = text.split_once(':')?;
    let distance =
        |prefix: &str| strsim::osa_distance(word, prefix.trim_end_matches("//").trim_end_matches(':'));
    let nearest =
        Transport::ALL.map(|transport| transport.prefix()).into_iter().min_by_key(|prefix| distance(prefix));
    let nearest = nearest.filter(|prefix| distance(prefix) <= 2)?;
    Some(format!("unknown transport {word:?}: did you mean {nearest}?"))
}

/// `*.crt` are authorities; `X.cert` and `X.key` are who we are, the first of them by name.
fn tls(cert_dir: Option<&Path>, host: &str) -> anyhow::Result<TlsOptions> {
    let mut tls = TlsOptions { verify: TlsVerify::Yes, ..TlsOptions::default() };
    for path in files::certificates(cert_dir, host)? {
        if has_extension(&path, "crt") {
            tls.roots.push(files::read(&path)?);
        } else if has_extension(&path, "cert") && tls.identity.is_none() {
            let key = files::read(&path.with_extension("key"));
            let key = key.with_context(|| format!("Client certificate {}", path.display()))?;
            tls.identity = Some(Identity { certificates: files::read(&path)?, key });
        }
    }
    Ok(tls)
}

/// For servers that nothing is configured for.
pub(super) fn base_http(limits: Limits) -> HttpOptions {
    let (proxies, no_proxy) = proxies("");
    HttpOptions { proxies, no_proxy, limits, ..HttpOptions::default() }
}

/// As the environment says, for a client of `host`. Small letters win, as they do elsewhere.
fn proxies(host: &str) -> (Vec<ProxyRule>, Option<String>) {
    let either = |name: &str| variable(&name.to_lowercase()).or_else(|| variable(name));
    let rules = [
        either("HTTPS_PROXY").map(ProxyRule::Https),
        either("HTTP_PROXY").map(ProxyRule::Http),
        either("ALL_PROXY").map(ProxyRule::All),
    ];
    let except = either("NO_PROXY")
        .map_or_else(|| LOCAL.to_owned(), |given| format!("{},{LOCAL}", excepted(&given, host)));
    (rules.into_iter().flatten().collect(), Some(except))
}

/// The entries of `NO_PROXY` in the forms that the HTTP client knows, which are those without a port: an entry
/// with one counts if it is the port of `host`, the registry that is asked.
fn excepted(entries: &str, host: &str) -> String {
    let port = |text: &str| text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let ours = port(host);
    let entry = |entry: &str| -> Option<String> {
        let entry = entry.trim();
        let is_ipv6 = entry.parse::<Ipv6Addr>().is_ok();
        let name = match (port(entry), entry.rsplit_once(':')) {
            (Some(port), Some((name, _))) if !is_ipv6 => {
                let wanted = ours.map_or([443, 80].contains(&port), |ours| ours == port);
                wanted.then_some(name)?
            }
            _ => entry,
        };
        let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        // "*.example.com" is ".example.com" elsewhere.
        Some(name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name).to_owned())
    };
    entries.split(',').filter_map(entry).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_that_were_meant() {
        let said = |text| unknown_transport(text);
        assert_eq!(said("ocii:o1").as_deref(), Some("unknown transport \"ocii\": did you mean oci:?"));
        assert_eq!(
            said("dokcer:x").as_deref(),
            Some("unknown transport \"dokcer\": did you mean docker://?")
        );
        assert_eq!(said("debian:12"), None);
        assert_eq!(said("busybox"), None);
    }

    #[test]
    fn no_proxy() {
        for (entries, host, expected) in [
            ("a.test, .b.test,10.0.0.0/8,*", "a.test", "a.test,.b.test,10.0.0.0/8,*"),
            ("*.a.test,*a.test", "a.test", ".a.test,*a.test"),
            ("a.test:5000,b.test:443", "a.test:5000", "a.test"),
            ("a.test:5000,b.test:443,c.test:80", "b.test", "b.test,c.test"),
            ("::1,[::2],[::3]:5000,fe80::/10,[::4]:1", "[::3]:5000", "::1,::2,::3,fe80::/10"),
        ] {
            assert_eq!(excepted(entries, host), expected, "{entries}");
        }
    }
}
