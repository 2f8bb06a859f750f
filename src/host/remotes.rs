//! Where remotes are configured: in the repository's `config`, in that of its parent, and for the system's
//! repository in `/etc/ostree/remotes.d/*.conf` too.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
#[cfg(feature = "net")]
use std::time::{SystemTime, UNIX_EPOCH};

use ostree_format::keyfile::KeyFile;
use ostree_format::{Cookie, RemoteName};

use super::{Error, Machine, Result};
use crate::base::Inode;
#[cfg(feature = "net")]
use crate::net::Url;
use crate::repo::Repo;

const SYSTEM_REPO: &str = "/ostree/repo";
const REMOTES_D: &str = "/etc/ostree/remotes.d";
/// Where pulls keep the summaries of remotes.
const SUMMARY_CACHE: &str = "tmp/cache/summaries";
/// The largest file of cookies that is read.
const MAX_COOKIES_BYTES: u64 = 4 << 20;

/// The place where a remote is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemotePlace {
    /// The repository's `config`.
    Config,
    /// The `config` of the repository that `core.parent` names.
    Parent,
    /// A file of its own.
    File(PathBuf),
}

/// A configured remote.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The place where the remote is configured.
    pub place: RemotePlace,
    /// The file that has its group.
    pub file: KeyFile,
}

/// The group of a remote in a key file.
pub fn remote_group(name: &RemoteName) -> String {
    format!("remote \"{name}\"")
}

impl Remote {
    /// The URL of the remote.
    ///
    /// # Errors
    /// [`Error::NoUrl`].
    pub fn url(&self, name: &RemoteName) -> Result<String> {
        let url = self.file.get_text(&remote_group(name), "url");
        url.ok_or_else(|| Error::NoUrl(name.clone()))
    }
}

impl Machine {
    /// Every remote that `repo` knows.
    ///
    /// # Errors
    /// As [`Machine::open_repo`] for the parent; [`Error::KeyFile`], [`Error::Io`].
    pub fn remotes(&self, repo: &Repo) -> Result<BTreeMap<RemoteName, Remote>> {
        self.remotes_beside(repo, remotes_d(repo))
    }

    /// Every remote that `repo` knows, with those in the files of a directory.
    ///
    /// # Errors
    /// As [`Machine::remotes`].
    pub fn remotes_beside(&self, repo: &Repo, dir: Option<&Path>) -> Result<BTreeMap<RemoteName, Remote>> {
        let mut out = BTreeMap::new();
        if let Some(parent) = &repo.config().parent {
            let parent = self.open_repo(parent)?;
            collect(parent.config().keyfile(), &RemotePlace::Parent, &mut out);
        }
        collect(repo.config().keyfile(), &RemotePlace::Config, &mut out);
        if let Some(dir) = dir {
            for path in conf_files(dir)? {
                let bytes = fs::read(&path).map_err(Error::io("Reading", &path))?;
                let file =
                    KeyFile::parse(&bytes).map_err(|source| Error::KeyFile { path: path.clone(), source })?;
                collect(&file, &RemotePlace::File(path), &mut out);
            }
        }
        Ok(out)
    }

    /// The directory where remotes of a repository are configured beside it, each in a file: for the system's
    /// repository `/etc/ostree/remotes.d`, and that of the deployment `sysroot` if it is one; the repository of a
    /// disk that is mounted somewhere has none.
    pub fn remotes_dir(&self, repo: &Repo, sysroot: Option<&Path>) -> Option<PathBuf> {
        match sysroot {
            Some(path) if path.join("sysroot").exists() => Some(path.join(REMOTES_D.trim_start_matches('/'))),
            _ => remotes_d(repo).map(Path::to_owned),
        }
    }

    /// The remote of this name.
    ///
    /// # Errors
    /// [`Error::RemoteNotFound`], and as [`Machine::remotes`].
    pub fn remote(&self, repo: &Repo, name: &RemoteName) -> Result<Remote> {
        self.remotes(repo)?.remove(name).ok_or_else(|| Error::RemoteNotFound(name.clone()))
    }
}

/// Headers, and the cookies of a remote that go with requests to `url`, as one more. There are none if content comes
/// from another host: both get the same headers.
///
/// # Errors
/// As [`cookies_of`].
#[cfg(feature = "net")]
pub(super) fn with_cookies(
    repo: &Repo,
    remote: &RemoteName,
    (url, content): (&Url, Option<&Url>),
    headers: &[(String, String)],
) -> Result<Vec<(String, String)>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let host = url.host_str().filter(|host| content.is_none_or(|url| url.host_str() == Some(host)));
    let mut pairs = Vec::new();
    for cookie in cookies_of(repo, remote)? {
        if host.is_some_and(|host| cookie.applies(host, url.path(), url.scheme() == "https", now)) {
            pairs.push(format!("{}={}", cookie.name, cookie.value));
        }
    }
    let cookies = (!pairs.is_empty()).then(|| ("Cookie".to_owned(), pairs.join("; ")));
    Ok(headers.iter().cloned().chain(cookies).collect())
}

/// The name of the file of a repository with the cookies that requests to a remote carry.
pub fn cookies_name(remote: &RemoteName) -> String {
    format!("{remote}.cookies.txt")
}

/// The cookies that requests to a remote carry; none if there is no such file.
///
/// # Errors
/// [`Error::Store`]; [`Error::NotUtf8`].
pub fn cookies_of(repo: &Repo, remote: &RemoteName) -> Result<Vec<Cookie>> {
    let name = cookies_name(remote);
    let bytes = repo.read_file(&name, MAX_COOKIES_BYTES)?.unwrap_or_default();
    let text = String::from_utf8(bytes).map_err(|_| Error::NotUtf8(name.into()))?;
    Ok(Cookie::parse_all(&text))
}

impl Machine {
    /// Removes what is left of the summaries of remotes that are configured no longer.
    ///
    /// # Errors
    /// As [`Machine::remotes`]; [`Error::Io`].
    pub fn prune_summaries(&self, repo: &Repo) -> Result<()> {
        let remotes = self.remotes(repo)?;
        let failed = || Error::io("Reading", SUMMARY_CACHE);
        let entries = match repo.dir().read_dir(SUMMARY_CACHE) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed())?,
        };
        for entry in entries {
            let name = entry.map_err(failed())?.file_name();
            let remote = name.to_str().map(|name| name.strip_suffix(".sig").unwrap_or(name));
            if !remote.is_some_and(|remote| remotes.keys().any(|known| known.as_str() == remote)) {
                let path = Path::new(SUMMARY_CACHE).join(&name);
                repo.dir().remove_file(&path).map_err(Error::io("Deleting", &path))?;
            }
        }
        Ok(())
    }
}

fn collect(file: &KeyFile, place: &RemotePlace, out: &mut BTreeMap<RemoteName, Remote>) {
    for name in ostree_format::RemoteConfig::names(file) {
        let mut file = file.clone();
        if let Some(Remote { file: parent, .. }) = out.get(&name) {
            inherit(&mut file, parent, &remote_group(&name));
        }
        out.insert(name, Remote { place: place.clone(), file });
    }
}

/// Takes over the values of a group that only the parent's file has.
fn inherit(file: &mut KeyFile, parent: &KeyFile, group: &str) {
    for (key, value) in parent.entries(group) {
        if file.get_raw(group, key).is_none() {
            // Both files were read: what stands in one may stand in the other.
            let _ = file.set_raw(group, key, value);
        }
    }
}

/// The directory where remotes of `repo` are configured beside it, if there is one.
pub(super) fn remotes_d(repo: &Repo) -> Option<&'static Path> {
    is_system(repo).then(|| Path::new(REMOTES_D))
}

fn is_system(repo: &Repo) -> bool {
    match (repo.dir().dir_metadata(), fs::metadata(SYSTEM_REPO)) {
        (Ok(ours), Ok(system)) => Inode::from(&ours) == Inode::from(&system),
        _ => false,
    }
}

fn conf_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(dir) else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io("Reading", dir))?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
