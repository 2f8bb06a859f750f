//! What is configured for a registry: its place or places, credentials, certificates, proxies.

use std::path::Path;

use anyhow::{Context, anyhow};

use super::files::{self, Required, has_extension, variable};
use super::{RegistryOptions, helper};
use crate::base::net::registry::Credentials;
use crate::base::net::{HttpOptions, Identity, ProxyRule, TlsOptions, TlsVerify};
use crate::container::config::auth::{AuthFile, Found};
use crate::container::config::registries::{CredentialSource, Endpoint, Registries};
use crate::container::transport::{Place, RepositoryName};

/// Hosts that are never reached through a proxy.
const LOCAL: &str = "localhost,127.0.0.0/8,::1";

/// Everything that is configured.
pub(super) struct Access<'a> {
    options: &'a RegistryOptions,
    registries: Registries,
    auth: Vec<AuthFile>,
}

/// Whom the user and password of the command line are for: the registry, not its mirrors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    ForIt,
    ForAnother,
}

impl<'a> Access<'a> {
    /// Reads the files.
    pub(super) fn load(options: &'a RegistryOptions) -> anyhow::Result<Self> {
        let mut registries = Registries::default();
        for path in files::registries()? {
            let text = String::from_utf8(files::read(&path)?)
                .map_err(|_| anyhow!("{} is not UTF-8", path.display()))?;
            registries.add(&path.display().to_string(), &text)?;
        }
        let (paths, required) = files::auth(options.authfile.as_deref());
        let mut auth = Vec::new();
        for path in paths {
            match files::read_if_present(&path, required)? {
                Some(bytes) => auth.push(AuthFile::parse(&path.display().to_string(), &bytes)?),
                None if required == Required::Yes => {
                    return Err(anyhow!("{} does not exist", path.display()));
                }
                None => {}
            }
        }
        Ok(Self { options, registries, auth })
    }

    /// The full name of an image.
    pub(super) fn name(&self, text: &str) -> anyhow::Result<RepositoryName> {
        let full = match RepositoryName::is_short(text) {
            true => {
                let (name, rest) = RepositoryName::split(text);
                format!("{}{rest}", self.registries.qualify(name).map_err(|why| anyhow!(why))?)
            }
            false => text.to_owned(),
        };
        full.parse().with_context(|| format!("Image {text:?}"))
    }

    /// Where to pull from, mirrors first.
    pub(super) fn pull_places(&self, name: &RepositoryName) -> anyhow::Result<Vec<Place>> {
        let endpoints = self.registries.endpoints(&name.host, &name.path, &name.suffix());
        let endpoints = endpoints.map_err(|why| anyhow!(why))?;
        let mirrors = endpoints.len().saturating_sub(1);
        let places = endpoints.into_iter().enumerate();
        places
            .map(|(number, endpoint)| {
                let given = if number < mirrors { Given::ForAnother } else { Given::ForIt };
                self.place(endpoint, given)
            })
            .collect()
    }

    /// Where to push to.
    pub(super) fn push_place(&self, name: &RepositoryName) -> anyhow::Result<Place> {
        let endpoint = self.registries.push_endpoint(&name.host, &name.path, &name.suffix());
        self.place(endpoint.map_err(|why| anyhow!(why))?, Given::ForIt)
    }

    fn place(&self, mut endpoint: Endpoint, given: Given) -> anyhow::Result<Place> {
        if let Some(verify) = self.options.tls_verify {
            endpoint.insecure = !verify;
        }
        let credentials = self.credentials(&endpoint, given)?;
        let tls = tls(self.options.cert_dir.as_deref(), &endpoint.host)?;
        let (proxies, no_proxy) = proxies();
        Ok(Place {
            endpoint,
            http: HttpOptions { tls, proxies, no_proxy, ..HttpOptions::default() },
            credentials,
        })
    }

    /// The first file or helper that knows the repository tells.
    fn credentials(&self, endpoint: &Endpoint, given: Given) -> anyhow::Result<Option<Credentials>> {
        if let (Some((user, password)), Given::ForIt) = (&self.options.creds, given) {
            return Ok(Some(Credentials::Password { user: user.clone(), password: password.clone() }));
        }
        for source in self.registries.credential_sources() {
            let found = match source {
                CredentialSource::Files => self.credentials_in_files(endpoint)?,
                CredentialSource::Helper(name) => helper::ask(name, &endpoint.host)?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn credentials_in_files(&self, endpoint: &Endpoint) -> anyhow::Result<Option<Credentials>> {
        for file in &self.auth {
            let found = match file.find(&endpoint.host, &endpoint.path)? {
                None => None,
                Some(Found::Credentials(credentials)) => Some(credentials),
                Some(Found::Helper { name, server }) => helper::ask(&name, &server)?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// `*.crt` are authorities; `X.cert` and `X.key` are who we are.
fn tls(cert_dir: Option<&Path>, host: &str) -> anyhow::Result<TlsOptions> {
    let mut tls = TlsOptions { verify: TlsVerify::Yes, ..TlsOptions::default() };
    for path in files::certificates(cert_dir, host)? {
        if has_extension(&path, "crt") {
            tls.roots.push(files::read(&path)?);
        } else if has_extension(&path, "cert") {
            let key = path.with_extension("key");
            tls.identity = Some(Identity { certificates: files::read(&path)?, key: files::read(&key)? });
        }
    }
    Ok(tls)
}

/// For servers that nothing is configured for.
pub(super) fn base_http() -> HttpOptions {
    let (proxies, no_proxy) = proxies();
    HttpOptions { proxies, no_proxy, ..HttpOptions::default() }
}

/// As the environment says. Small letters win, as they do elsewhere.
fn proxies() -> (Vec<ProxyRule>, Option<String>) {
    let either = |name: &str| variable(&name.to_lowercase()).or_else(|| variable(name));
    let rules = [
        either("HTTPS_PROXY").map(ProxyRule::Https),
        either("HTTP_PROXY").map(ProxyRule::Http),
        either("ALL_PROXY").map(ProxyRule::All),
    ];
    let except = either("NO_PROXY").map_or_else(|| LOCAL.to_owned(), |given| format!("{given},{LOCAL}"));
    (rules.into_iter().flatten().collect(), Some(except))
}
