//! Places that have refs of collections: remotes that are configured for these, and repositories on mounted volumes.
//!
//! ```text
//! config   remotes with a collection-id ► their summaries
//! mount    volumes under /media, /run/media, /mnt ► .ostree/repos.d/*, .ostree/repo, ostree/repo, var/lib/flatpak/repo
//! ```
//! Source: libostree ostree-repo-finder-{config,mount}.c, ostree-repo-pull.c:5260-5700.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ostree_format::variant::Value;
use ostree_format::{CollectionId, CommitId, RemoteConfig, RemoteName, SummaryRef};

use super::{Error, Machine, Result, keyring_in, keyring_name};
use crate::base::Ctx;
use crate::repo::{CollectionRef, Repo};
use crate::store::load_commit;

/// Where removable volumes are mounted.
const VOLUMES: [&str; 3] = ["/media", "/run/media", "/mnt"];
/// Where a volume has repositories, besides those in [`LINKS`].
const REPOS: [&str; 3] = [".ostree/repo", "ostree/repo", "var/lib/flatpak/repo"];
/// Repositories of a volume, or links to these.
const LINKS: &str = ".ostree/repos.d";
/// The summary's metadata of a ref: when its commit was made, in seconds since 1970, big endian.
const TIMESTAMP: &str = "ostree.commit.timestamp";

/// Where refs of collections are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finder {
    /// Repositories on mounted volumes, which are asked first: nothing is quicker.
    Mount,
    /// The remotes that are configured.
    Config,
}

impl Finder {
    /// The order in which results are used: the smallest first.
    pub const fn priority(self) -> u32 {
        match self {
            Self::Mount => 50,
            Self::Config => 100,
        }
    }
}

/// A place that has some of the refs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRemote {
    /// How it was found.
    pub finder: Finder,
    /// The remote with whose keys commits are verified, and whose refs are written.
    pub remote: RemoteName,
    /// The address.
    pub url: String,
    /// When the summary was written, in seconds since 1970, where that is known.
    pub summary_secs: Option<u64>,
    /// Each ref that was looked for, and its commit: `None` if it is not there, or another place has a later one.
    pub refs: Vec<(CollectionRef, Option<CommitId>)>,
}

/// What a place has: commits and when they were made.
type Offer = BTreeMap<CollectionRef, (CommitId, u64)>;

impl Machine {
    /// Looks for `refs`; the places come in the order in which they should be used.
    ///
    /// # Errors
    /// As [`Machine::remotes`]; [`Error::Io`] if the mounts cannot be listed. A place that cannot be asked is passed over.
    pub fn find_remotes(
        &self,
        repo: &Repo,
        refs: &[CollectionRef],
        finders: &[Finder],
        cache: Option<&Path>,
        ctx: &Ctx,
    ) -> Result<Vec<FoundRemote>> {
        let mut found: Vec<(FoundRemote, Offer)> = Vec::new();
        if finders.contains(&Finder::Mount) {
            for volume in volumes()? {
                self.on_volume(repo, &volume, refs, &mut found)?;
            }
        }
        if finders.contains(&Finder::Config) {
            for name in self.remotes(repo)?.into_keys() {
                ctx.cancel.check().map_err(crate::store::Error::from)?;
                match self.configured(repo, &name, cache, ctx) {
                    Ok(Some(one)) => found.push(one),
                    Ok(None) => {}
                    Err(error) => tracing::warn!(remote = %name, %error, "remote is passed over"),
                }
            }
        }
        Ok(latest(refs, found))
    }

    /// What a configured remote has, if it belongs to a collection.
    fn configured(
        &self,
        repo: &Repo,
        name: &RemoteName,
        cache: Option<&Path>,
        ctx: &Ctx,
    ) -> Result<Option<(FoundRemote, Offer)>> {
        let Some(own) = self.remote_config(repo, name)?.collection_id else { return Ok(None) };
        let (config, fetched) = self.remote_summary(repo, name, cache, ctx)?;
        let Some(summary) = fetched.map(|fetched| fetched.parsed) else { return Ok(None) };
        let mut offer = Offer::new();
        let mut add = |id: &CollectionId, refs: &[SummaryRef]| {
            for entry in refs {
                offer.insert((id.clone(), entry.name.clone()), (entry.commit, time_of(entry)));
            }
        };
        if summary.collection_id()?.as_ref() == Some(&own) {
            add(&own, &summary.refs);
        }
        for (id, refs) in summary.collections()? {
            if id == own {
                add(&id, &refs);
            }
        }
        let url = url_of(&config);
        let summary_secs = summary.last_modified_secs();
        let found =
            FoundRemote { finder: Finder::Config, remote: name.clone(), url, summary_secs, refs: Vec::new() };
        Ok(Some((found, offer)))
    }

    /// What the repositories of a volume have, each for the remote with whose keys it is verified.
    fn on_volume(
        &self,
        into: &Repo,
        volume: &Path,
        refs: &[CollectionRef],
        found: &mut Vec<(FoundRemote, Offer)>,
    ) -> Result<()> {
        for path in repos_of(volume) {
            let Ok(repo) = self.open_repo(&path) else { continue };
            let has = match repo.collection_refs() {
                Ok(has) if is_other(into, &path, volume) => has,
                _ => continue,
            };
            let mut offers: BTreeMap<RemoteName, Offer> = BTreeMap::new();
            for wanted in refs {
                let Some(commit) = has.get(wanted) else { continue };
                let Some(remote) = self.remote_of(into, &wanted.0)? else { continue };
                let Ok(loaded) = load_commit(&repo, commit) else { continue };
                offers.entry(remote).or_default().insert(wanted.clone(), (*commit, loaded.timestamp));
            }
            for (remote, offer) in offers {
                let url = format!("file://{}", path.display());
                let (finder, refs) = (Finder::Mount, Vec::new());
                found.push((FoundRemote { finder, remote, url, summary_secs: None, refs }, offer));
            }
        }
        Ok(())
    }

    /// The remote with keys of its own that is configured for a collection.
    fn remote_of(&self, repo: &Repo, id: &CollectionId) -> Result<Option<RemoteName>> {
        for name in self.remotes(repo)?.into_keys() {
            let is_it = self.remote_config(repo, &name)?.collection_id.as_ref() == Some(id);
            if is_it && keyring_in(repo, &keyring_name(&name))?.is_some() {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

/// Leaves to each place the refs of which it has the latest commit, and drops those that are left with none.
fn latest(refs: &[CollectionRef], found: Vec<(FoundRemote, Offer)>) -> Vec<FoundRemote> {
    let newest = |wanted: &CollectionRef| {
        found.iter().filter_map(|(_, offer)| offer.get(wanted)).map(|(_, secs)| *secs).max()
    };
    let newest: Vec<Option<u64>> = refs.iter().map(newest).collect();
    let mut out = Vec::new();
    for (mut place, offer) in found {
        let commit = |wanted: &CollectionRef, newest: &Option<u64>| {
            offer.get(wanted).filter(|(_, secs)| Some(*secs) == *newest).map(|(commit, _)| *commit)
        };
        place.refs = refs.iter().zip(&newest).map(|(r, newest)| (r.clone(), commit(r, newest))).collect();
        if place.refs.iter().any(|(_, commit)| commit.is_some()) {
            out.push(place);
        }
    }
    out.sort_by_key(|place| place.finder.priority());
    out
}

fn time_of(entry: &SummaryRef) -> u64 {
    match entry.metadata.get(TIMESTAMP) {
        Some(Value::U64(secs)) => u64::from_be(*secs),
        _ => 0,
    }
}

fn url_of(config: &RemoteConfig) -> String {
    let metalink = || config.metalink.as_ref().map(|url| format!("metalink={url}"));
    config.url.clone().or_else(metalink).unwrap_or_default()
}

/// The volumes that somebody may have brought.
fn volumes() -> Result<Vec<PathBuf>> {
    let mounts = Path::new("/proc/self/mounts");
    let text = fs::read(mounts).map_err(Error::io("Reading", mounts))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let place = |line: &str| Some(PathBuf::from(unescape(line.split(' ').nth(1)?)));
    let mut out: Vec<PathBuf> = text.lines().filter_map(place).collect();
    out.retain(|path| VOLUMES.iter().any(|volumes| path.starts_with(volumes)));
    out.sort();
    out.dedup();
    Ok(out)
}

/// Spaces and the like stand as `\040` in the list of mounts.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                out.push(char::from(code));
                out.push_str(&part[3..]);
            }
            None => {
                out.push('\\');
                out.push_str(part);
            }
        }
    }
    out
}

/// The repositories of a volume, those in [`LINKS`] first, by their resolved paths.
fn repos_of(volume: &Path) -> Vec<PathBuf> {
    let links = volume.join(LINKS);
    let mut paths: Vec<PathBuf> =
        fs::read_dir(links).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.extend(REPOS.iter().map(|path| volume.join(path)));
    let mut out: Vec<PathBuf> = Vec::new();
    for path in paths.iter().filter_map(|path| path.canonicalize().ok()) {
        if !out.contains(&path) {
            out.push(path);
        }
    }
    out
}

/// Whether a repository lies on the volume, and is not the one that is pulled into.
fn is_other(into: &Repo, path: &Path, volume: &Path) -> bool {
    use cap_std::fs::MetadataExt as _;
    let (Ok(found), Ok(on), Ok(ours)) = (fs::metadata(path), fs::metadata(volume), into.dir().dir_metadata())
    else {
        return false;
    };
    found.dev() == on.dev() && (found.dev(), found.ino()) != (ours.dev(), ours.ino())
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn escaped_places() {
        assert_eq!(unescape(r"/media/my\040stick\134x"), r"/media/my stick\x");
        assert_eq!(unescape(r"/media/\9"), r"/media/\9");
    }
}
