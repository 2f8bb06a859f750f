//! A remote as it is configured, opened to pull from.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::fs::Dir;
use ostree_format::{CollectionId, RemoteConfig, RemoteName};

use super::remotes::with_cookies;
use super::repos::open_dir;
use super::{Error, Machine, Result};
use crate::base::Ctx;
use crate::net::header::{HeaderMap, HeaderName, HeaderValue};
use crate::net::{
    Authorities, Http, HttpOptions, HttpVersions, Identity, Limits, PemFile, ProxyRule, TlsVerify, Url,
};
use crate::remote::{
    FetchedSummary, LocalArchive, Origin, RemoteServer, SummaryCache, SummaryJudge, fetch_summary,
};
use crate::repo::Repo;
use crate::store;

/// What stands before the address of a list of mirrors.
const MIRRORS: &str = "mirrorlist=";

/// What a caller says of the way to a remote, besides its configuration.
#[derive(Debug, Clone, Default)]
pub struct RemoteAccess {
    /// The address, in place of the configured ones.
    pub url: Option<String>,
    /// Whether nobody has configured who is at that address: that server gets none of the remote's cookies and
    /// certificates, and is asked without proxies.
    pub is_stranger: bool,
    /// Headers for every request.
    pub headers: Vec<(String, String)>,
    /// Whether servers are told that this is libostree: some count, or let in, by that name.
    pub is_ostree: bool,
    /// Words behind the name of this program in `User-Agent`.
    pub user_agent: Option<String>,
    /// The time that the server may take.
    pub limits: Limits,
}

/// A remote that is configured.
#[derive(Debug)]
pub struct OpenedRemote {
    /// The settings.
    pub config: RemoteConfig,
    /// The place that they lead to.
    pub source: RemoteSource,
}

/// The place that a remote's address leads to.
#[derive(Debug)]
pub enum RemoteSource {
    /// A web server, or several.
    Server(Box<RemoteServer>),
    /// A repository of this machine.
    Directory(Box<Repo>),
}

impl OpenedRemote {
    /// The place to pull from; summaries are kept in `cache`.
    pub fn origin(&self, cache: Option<Dir>) -> Origin<'_> {
        match &self.source {
            RemoteSource::Server(server) => {
                let name = self.config.name.as_str();
                Origin::Server(server, cache.map(|dir| SummaryCache::new(dir, name)))
            }
            RemoteSource::Directory(repo) => Origin::Directory(&**repo),
        }
    }
}

impl Machine {
    /// Opens a remote to pull from it.
    ///
    /// # Errors
    /// [`Error::RemoteConfig`] if its configuration says that it cannot be used, or makes no sense; [`Error::NoUrl`];
    /// [`Error::Io`] if a file that it names cannot be read; as [`Machine::remote`] and [`Machine::open_repo`].
    pub fn open_remote(
        &self,
        repo: &Repo,
        name: &RemoteName,
        access: &RemoteAccess,
        ctx: &Ctx,
    ) -> Result<OpenedRemote> {
        let config = self.remote_config(repo, name)?;
        if let Some(state) = &config.unconfigured_state {
            return Err(Error::RemoteConfig(format!("remote unconfigured-state: {state}")));
        }
        if let Some(backend) = &config.custom_backend {
            let why = format!("Cannot fetch via libostree - remote '{name}' uses custom backend '{backend}'");
            return Err(Error::RemoteConfig(why));
        }
        self.open_remote_to_look(repo, name, access, ctx)
    }

    /// Opens a remote to look at its summary, which those too may have that nothing is pulled from.
    ///
    /// # Errors
    /// [`Error::RemoteConfig`] if its configuration makes no sense; [`Error::NoUrl`]; [`Error::Io`] if a file that it
    /// names cannot be read; as [`Machine::remote`] and [`Machine::open_repo`].
    pub fn open_remote_to_look(
        &self,
        repo: &Repo,
        name: &RemoteName,
        access: &RemoteAccess,
        ctx: &Ctx,
    ) -> Result<OpenedRemote> {
        let mut config = self.remote_config(repo, name)?;
        if access.is_stranger {
            config = for_stranger(config);
        }
        ctx.cancel.check()?;
        let source = match (&config.metalink, access.url.as_ref().or(config.url.as_ref())) {
            (Some(metalink), _) if access.url.is_none() => {
                RemoteSource::Server(Box::new(self.open_metalink(repo, &config, metalink, access, ctx)?))
            }
            (_, None) => return Err(Error::NoUrl(name.clone())),
            (_, Some(url)) => match directory(url) {
                Some(path) => RemoteSource::Directory(Box::new(self.open_repo(&path)?)),
                None => RemoteSource::Server(Box::new(self.open_server(repo, &config, url, access, ctx)?)),
            },
        };
        Ok(OpenedRemote { config, source })
    }

    /// The summary of a remote, judged as in a pull, and its settings; no summary if it has none. `cache` is as in
    /// [`Machine::summary_cache`].
    ///
    /// # Errors
    /// As [`Machine::open_remote_to_look`] and [`Machine::remote_trust`]; [`Error::Remote`] if the summary cannot be had,
    /// or is refused.
    pub fn remote_summary(
        &self,
        repo: &Repo,
        name: &RemoteName,
        cache: Option<&Path>,
        ctx: &Ctx,
    ) -> Result<(RemoteConfig, Option<FetchedSummary>)> {
        let opened = self.open_remote_to_look(repo, name, &RemoteAccess::default(), ctx)?;
        let trust = self.remote_trust(repo, name)?;
        let judge = |summary: &[u8], signatures: Option<&[u8]>| trust.judge_summary(summary, signatures);
        let judge = trust.verifies_summary().then_some(&judge as &SummaryJudge<'_>);
        let summary = fetch_summary(&opened.origin(self.summary_cache(repo, cache)?), judge, ctx)?;
        Ok((opened.config, summary))
    }

    /// The server at an address, or those in a list.
    fn open_server(
        &self,
        repo: &Repo,
        config: &RemoteConfig,
        url: &str,
        access: &RemoteAccess,
        ctx: &Ctx,
    ) -> Result<RemoteServer> {
        let http = Http::new(&self.remote_http(config, access)?)?;
        let place = |text: &str| match text.strip_prefix(MIRRORS) {
            None => Ok((parse(text)?, false)),
            Some(list) => Ok::<_, Error>((parse(list)?, true)),
        };
        let content = config.contenturl.as_ref().filter(|_| access.url.is_none());
        let (url, content) = (place(url)?, content.map(|url| place(url)).transpose()?);
        let others = content.as_ref().map(|(url, _)| url);
        let mut headers = match access.is_stranger {
            true => headers(&access.headers)?,
            false => headers(&with_cookies(repo, &config.name, (&url.0, others), &access.headers)?)?,
        };
        let has_list = url.1 || content.as_ref().is_some_and(|(_, is_list)| *is_list);
        let all = |(url, is_list): (Url, bool)| match is_list {
            true => Ok(RemoteServer::mirrors(&http, &url, &headers, ctx)?),
            false => Ok::<_, Error>(vec![url]),
        };
        let (urls, content) = (all(url)?, content.map(all).transpose()?.unwrap_or_default());
        if has_list {
            RemoteServer::strip_secrets(&mut headers);
        }
        Ok(RemoteServer::new(http, urls, content, headers))
    }

    /// The server that a metalink leads to.
    fn open_metalink(
        &self,
        repo: &Repo,
        config: &RemoteConfig,
        metalink: &str,
        access: &RemoteAccess,
        ctx: &Ctx,
    ) -> Result<RemoteServer> {
        let http = Http::new(&self.remote_http(config, access)?)?;
        let url = parse(metalink)?;
        let content = config.contenturl.as_deref().map(parse).transpose()?;
        let headers = headers(&with_cookies(repo, &config.name, (&url, content.as_ref()), &access.headers)?)?;
        let content = content.into_iter().collect();
        Ok(RemoteServer::from_metalink(http, &url, content, headers, ctx)?)
    }

    /// The HTTP options for a remote.
    fn remote_http(&self, config: &RemoteConfig, access: &RemoteAccess) -> Result<HttpOptions> {
        let mut http = match access.is_stranger {
            true => self.http_to_strangers(access.limits),
            false => self.http_to_remotes(access.limits),
        };
        if let Some(proxy) = config.proxy.clone().filter(|proxy| !proxy.is_empty()) {
            // For curl, NO_PROXY counts all the same.
            http.proxies = vec![ProxyRule::All(proxy)];
        }
        if config.tls_permissive {
            http.tls.verify = TlsVerify::No;
        }
        if let Some(path) = &config.tls_ca_path {
            http.tls.authorities = Authorities::These(Arc::new([]));
            http.tls.roots = vec![pem(path)?];
        }
        http.tls.identities = match (&config.tls_client_cert_path, &config.tls_client_key_path) {
            (None, None) => Vec::new(),
            (Some(certificate), Some(key)) => {
                vec![Identity { certificates: pem(certificate)?, key: pem(key)? }]
            }
            _ => {
                let why = format!(
                    "Remote \"{}\" must specify both \"tls-client-cert-path\" and \"tls-client-key-path\"",
                    config.name
                );
                return Err(Error::RemoteConfig(why));
            }
        };
        if config.http2 == Some(false) {
            http.versions = HttpVersions::Http1;
        }
        if access.is_ostree {
            http.user_agent = concat!("libostree/", env!("CARGO_PKG_VERSION")).into();
        }
        if let Some(words) = &access.user_agent {
            http.user_agent = format!("{} {words}", http.user_agent);
        }
        Ok(http)
    }

    /// The directory with the summaries of earlier pulls into `repo`: its own, or below `given`. `None` if there can be
    /// none, or `OSTREE_SKIP_CACHE` is set and none given.
    ///
    /// # Errors
    /// [`Error::Io`] if the given directory cannot be used.
    pub fn summary_cache(&self, repo: &Repo, given: Option<&Path>) -> Result<Option<Dir>> {
        const SUMMARIES: &str = "summaries";
        let Some(given) = given else {
            if self.env.get("OSTREE_SKIP_CACHE").is_some() {
                return Ok(None);
            }
            let path = format!("tmp/cache/{SUMMARIES}");
            let made = repo.dir().create_dir_all(&path).and_then(|()| repo.dir().open_dir(&path));
            return Ok(made.ok());
        };
        let path = given.join(SUMMARIES);
        fs::create_dir_all(&path).map_err(Error::io("Creating directory", &path))?;
        open_dir("Opening directory", &path).map(Some)
    }
}

impl LocalArchive for Repo {
    fn open_path(&self, path: &str) -> store::Result<Option<File>> {
        match self.dir().open(path) {
            Ok(file) => Ok(Some(file.into_std())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(store::Error::io("open", path, error)),
        }
    }

    fn collection(&self) -> Option<CollectionId> {
        self.config().collection_id().ok().flatten().cloned()
    }
}

/// The directory of this machine that a URL leads to, if it is one: `file:///repo`, `file:/repo`,
/// `file://localhost/my%20repo`.
fn directory(url: &str) -> Option<PathBuf> {
    let parsed = url.parse::<Url>().ok().filter(|url| url.scheme() == "file")?;
    parsed.to_file_path().ok()
}

/// The settings of a remote that count for somebody else, too: none that tell of the way to its own servers.
fn for_stranger(config: RemoteConfig) -> RemoteConfig {
    RemoteConfig {
        proxy: None,
        contenturl: None,
        metalink: None,
        tls_permissive: false,
        tls_client_cert_path: None,
        tls_client_key_path: None,
        tls_ca_path: None,
        http2: None,
        ..config
    }
}

fn parse(text: &str) -> Result<Url> {
    let begins = "a server's begins with http:// or https://, a directory's with file://";
    let url = Url::parse(text)
        .map_err(|error| Error::RemoteConfig(format!("Invalid URI ({error}): {text}; {begins}")))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(Error::RemoteConfig(format!("Invalid URI scheme in {text}; {begins}"))),
    }
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let parsed = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
        let (Ok(name), Ok(value)) = parsed else {
            return Err(Error::RemoteConfig(format!("Invalid HTTP header '{name}'")));
        };
        headers.append(name, value);
    }
    Ok(headers)
}

fn pem(path: &str) -> Result<PemFile> {
    let bytes = fs::read(path).map_err(Error::io("Reading", path))?;
    Ok(PemFile { name: path.into(), bytes })
}
