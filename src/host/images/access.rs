//! The configuration for a registry: its places, credentials, certificates and proxies.

use std::path::Path;

use super::super::network::proxies;
use super::super::{Error, Machine, Result};
use super::files::{self, Required, has_extension};
use super::{ImageOptions, RegistryUser, helper};
use crate::base::{Ctx, WithCauses};
use crate::container::config::auth::{AuthFile, FoundCredentials, HelperScope};
use crate::container::config::registries::{CredentialSource, Endpoint, Pinned, Registries};
use crate::container::image::RepositoryName;
use crate::container::place::RegistryPlace;
use crate::net::registry::Credentials;
use crate::net::{HttpOptions, Identity, PemFile, TlsOptions, TlsVerify};

/// Everything that is configured.
pub(super) struct Access<'a> {
    machine: &'a Machine,
    options: &'a ImageOptions,
    registries: Registries,
    ctx: &'a Ctx,
}

/// Whether a place is the host that the caller named. What the caller says of itself, login and client certificate, is
/// for that one only, not for mirrors and locations elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    ForIt,
    ForAnother,
}

impl<'a> Access<'a> {
    /// Reads the files.
    pub(super) fn load(machine: &'a Machine, options: &'a ImageOptions, ctx: &'a Ctx) -> Result<Self> {
        let mut registries = Registries::default();
        for (path, role) in files::registries(&machine.env)? {
            registries.add(&path.display().to_string(), &files::read_text(&path)?, role)?;
        }
        for warning in registries.warnings() {
            ctx.warn(warning);
        }
        if let (paths, Required::Yes) = files::auth(&machine.env, options.authfile.as_deref())
            && let Some(missing) = paths.iter().find(|path| !path.exists())
        {
            return Err(Error::NoAuthFile(missing.clone()));
        }
        Ok(Self { machine, options, registries, ctx })
    }

    /// The full name of an image.
    pub(super) fn name(&self, text: &str) -> Result<RepositoryName> {
        let full = match RepositoryName::is_short(text) {
            true => {
                let (name, rest) = RepositoryName::split(text);
                let qualified = self.registries.qualify(name);
                let qualified = qualified.map_err(|why| Error::ShortName { name: text.to_owned(), why })?;
                format!("{qualified}{rest}")
            }
            false => text.to_owned(),
        };
        full.parse().map_err(|source| Error::ImageName { name: text.to_owned(), source })
    }

    /// The places to pull from, mirrors first.
    pub(super) fn pull_places(&self, name: &RepositoryName) -> Result<Vec<RegistryPlace>> {
        let pinned = if name.digest.is_some() { Pinned::Digest } else { Pinned::Tag };
        let endpoints = self.registries.endpoints(&name.host, &name.path, pinned);
        let endpoints = endpoints.map_err(Error::Registries)?;
        let places = endpoints.into_iter().map(|endpoint| {
            let given = if endpoint.host == name.host { Given::ForIt } else { Given::ForAnother };
            self.place(endpoint, given)
        });
        places.collect()
    }

    /// The place to push to.
    pub(super) fn push_place(&self, name: &RepositoryName) -> Result<RegistryPlace> {
        let endpoint = self.registries.push_endpoint(&name.host, &name.path);
        self.place(endpoint.map_err(Error::Registries)?, Given::ForIt)
    }

    fn place(&self, mut endpoint: Endpoint, given: Given) -> Result<RegistryPlace> {
        if let Some(verify) = self.options.tls_verify {
            endpoint.insecure = verify == TlsVerify::No;
        }
        let credentials = self.credentials(&endpoint, given)?;
        let mut tls = self.tls(&endpoint.host)?;
        if self.options.cert_dir.is_some() && given == Given::ForAnother {
            tls.identities.clear();
        }
        let (proxies, no_proxy) = proxies(&self.machine.env, &endpoint.host);
        Ok(RegistryPlace {
            endpoint,
            http: HttpOptions {
                tls,
                proxies,
                no_proxy,
                limits: self.options.limits,
                ..HttpOptions::default()
            },
            credentials,
        })
    }

    /// The first file or helper that knows the repository tells.
    fn credentials(&self, endpoint: &Endpoint, given: Given) -> Result<Option<Credentials>> {
        match (&self.options.who, given) {
            (RegistryUser::Anonymous, _) => return Ok(None),
            (RegistryUser::User { user, password }, Given::ForIt) => {
                return Ok(Some(Credentials::Password { user: user.clone(), password: password.clone() }));
            }
            (RegistryUser::User { .. } | RegistryUser::AsConfigured, _) => {}
        }
        // A helper that fails may know nothing of this registry: the others are asked before that is an error.
        let mut failed = None;
        for source in self.registries.credential_sources() {
            let found = match source {
                CredentialSource::Files => self.credentials_in_files(endpoint),
                CredentialSource::Helper(name) => self.ask_helper(name, &endpoint.host).map_err(|error| {
                    let place = "registries.conf: credential-helpers".to_owned();
                    Error::At { place, source: Box::new(error) }
                }),
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

    fn ask_helper(&self, name: &str, server: &str) -> Result<Option<Credentials>> {
        let found = helper::ask(name, server, self.options.limits.patience, self.ctx)?;
        tracing::debug!(registry = server, helper = name, found = found.is_some(), "credential helper asked");
        Ok(found)
    }

    fn credentials_in_files(&self, endpoint: &Endpoint) -> Result<Option<Credentials>> {
        let (paths, required) = files::auth(&self.machine.env, self.options.authfile.as_deref());
        for path in paths {
            let Some(bytes) = files::read_if_present(&path, required)? else { continue };
            let name = path.display().to_string();
            let file = match files::is_dockercfg(&path) {
                true => AuthFile::parse_dockercfg(&name, &bytes)?,
                false => AuthFile::parse(&name, &bytes)?,
            };
            let found = match file.find(&endpoint.host, &endpoint.path)? {
                None => None,
                Some(FoundCredentials::Credentials(credentials)) => Some(credentials),
                Some(FoundCredentials::Helper { name: helper, server, scope }) => {
                    let asked = self.ask_helper(&helper, &server);
                    self.asked_for(&name, scope, asked)?
                }
            };
            if found.is_some() {
                tracing::debug!(registry = endpoint.host, file = %path.display(), "credentials found");
                return Ok(found);
            }
            tracing::debug!(registry = endpoint.host, file = %path.display(), "no credentials in");
        }
        Ok(None)
    }

    /// What a program that `file` names said. One for all registries, such as one that needs a desktop, may know this one as
    /// little as podman and skopeo know `credsStore`: that it fails is told, and is the end of it.
    fn asked_for(
        &self,
        file: &str,
        scope: HelperScope,
        asked: Result<Option<Credentials>>,
    ) -> Result<Option<Credentials>> {
        match (asked, scope) {
            (Err(error @ Error::Helper { .. }), HelperScope::Any) => {
                self.ctx.warn(&format!("{file}: credsStore: {}: it is done without", WithCauses(&error)));
                Ok(None)
            }
            (Err(error @ Error::Helper { .. }), HelperScope::Registry) => {
                Err(Error::At { place: format!("{file}: credHelpers"), source: Box::new(error) })
            }
            (asked, _) => asked,
        }
    }

    /// `*.crt` are authorities; `X.cert` and `X.key` are who we are, of which a server gets the pair that it asks for.
    fn tls(&self, host: &str) -> Result<TlsOptions> {
        let authorities = self.machine.authorities().clone();
        let mut tls = TlsOptions { authorities, verify: TlsVerify::Yes, ..TlsOptions::default() };
        let files = files::certificates(&self.machine.env, self.options.cert_dir.as_deref(), host)?;
        for path in &files {
            if has_extension(path, "crt") {
                let Some(bytes) = files::read_if_present(path, Required::Yes)? else { continue };
                let file = PemFile { name: path.display().to_string(), bytes };
                match file.authorities() {
                    Ok(_) => tls.roots.push(file),
                    // Where it would be needed, the server is refused.
                    Err(why) => self.ctx.warn(&format!("{why}: no authority in this file is trusted")),
                }
            } else if has_extension(path, "cert") {
                let key = pem(&path.with_extension("key")).map_err(|source| Error::ClientKey {
                    certificate: path.clone(),
                    source: Box::new(source),
                })?;
                tls.identities.push(Identity { certificates: pem(path)?, key });
            } else if has_extension(path, "key") {
                let certificate = path.with_extension("cert");
                if !files.contains(&certificate) {
                    return Err(Error::NoClientCertificate { key: path.clone(), certificate });
                }
            }
        }
        Ok(tls)
    }
}

fn pem(path: &Path) -> Result<PemFile> {
    Ok(PemFile { name: path.display().to_string(), bytes: files::read(path)? })
}
