//! Where remotes are configured: in the repository's `config`, in that of its parent, and for the system's
//! repository in `/etc/ostree/remotes.d/*.conf` too.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::locate;
use crate::format::RemoteName;
use crate::format::keyfile::KeyFile;
use crate::repo::Repo;

const SYSTEM_REPO: &str = "/ostree/repo";
const REMOTES_D: &str = "/etc/ostree/remotes.d";

/// Where a remote is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the repository's `config`.
    Config,
    /// In the `config` of the repository that `core.parent` names.
    Parent,
    /// In a file of its own.
    File(PathBuf),
}

/// A configured remote.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    /// Where its group stands.
    pub(crate) place: Place,
    /// The file that has its group.
    pub(crate) file: KeyFile,
}

/// The group of a remote in a key file.
pub(crate) fn group(name: &RemoteName) -> String {
    format!("remote \"{name}\"")
}

impl Remote {
    /// Its URL, if it has one.
    pub(crate) fn url(&self, name: &RemoteName) -> anyhow::Result<String> {
        let url = self.file.get_string(&group(name), "url")?;
        url.ok_or_else(|| anyhow!("No \"url\" option in remote \"{name}\""))
    }
}

/// Every remote that `repo` knows.
pub(crate) fn all(repo: &Repo) -> anyhow::Result<BTreeMap<RemoteName, Remote>> {
    let mut out = BTreeMap::new();
    if let Some(parent) = &repo.config().parent {
        let parent = locate::open(Path::new(parent))?;
        collect(parent.config().keyfile(), &Place::Parent, &mut out);
    }
    collect(repo.config().keyfile(), &Place::Config, &mut out);
    if is_system(repo) {
        for path in conf_files(Path::new(REMOTES_D))? {
            let bytes = fs::read(&path).with_context(|| format!("Reading {}", path.display()))?;
            let file = KeyFile::parse(&bytes).with_context(|| path.display().to_string())?;
            collect(&file, &Place::File(path), &mut out);
        }
    }
    Ok(out)
}

/// One remote.
pub(crate) fn get(repo: &Repo, name: &RemoteName) -> anyhow::Result<Remote> {
    all(repo)?.remove(name).ok_or_else(|| anyhow!("Remote \"{name}\" not found"))
}

fn collect(file: &KeyFile, place: &Place, out: &mut BTreeMap<RemoteName, Remote>) {
    for name in file.groups().filter_map(|g| g.strip_prefix("remote \"")?.strip_suffix('"')?.parse().ok()) {
        out.insert(name, Remote { place: place.clone(), file: file.clone() });
    }
}

fn is_system(repo: &Repo) -> bool {
    let same = |ours: &cap_std::fs::Metadata, system: &fs::Metadata| {
        use cap_std::fs::MetadataExt as _;
        (ours.dev(), ours.ino()) == (system.dev(), system.ino())
    };
    match (repo.dir().dir_metadata(), fs::metadata(SYSTEM_REPO)) {
        (Ok(ours), Ok(system)) => same(&ours, &system),
        _ => false,
    }
}

fn conf_files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(dir) else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
