//! Repositories on mounted volumes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ostree_format::{ObjectName, RemoteName};

use super::judged::Trusted;
use super::{Finder, FoundRemote, Offer};
use crate::base::{Ctx, Inode};
use crate::host::{Error, Machine, Result};
use crate::net::Url;
use crate::repo::{CollectionRef, Repo};
use crate::store::ObjectRead as _;

/// Where removable volumes are mounted.
const VOLUMES: [&str; 3] = ["/media", "/run/media", "/mnt"];
/// Where a volume has repositories, besides those in [`LINKS`].
const REPOS: [&str; 3] = [".ostree/repo", "ostree/repo", "var/lib/flatpak/repo"];
/// Repositories of a volume, or links to these.
const LINKS: &str = ".ostree/repos.d";

impl Machine {
    /// What the repositories of a volume have, each for the remote with whose keys it is verified.
    pub(super) fn on_volume(
        &self,
        into: &Repo,
        volume: &Path,
        trusted: &[Trusted],
        found: &mut Vec<(FoundRemote, Offer)>,
        ctx: &Ctx,
    ) {
        for path in repos_of(volume) {
            let Ok(repo) = self.open_repo(&path) else { continue };
            let has = match repo.collection_refs() {
                Ok(has) if is_other(into, &path, volume) => has,
                _ => continue,
            };
            let mut offers: BTreeMap<&RemoteName, Offer> = BTreeMap::new();
            for trusted in trusted {
                for wanted in &trusted.refs {
                    let Some(commit) = has.get(wanted) else { continue };
                    let read = |name: ObjectName| repo.read_meta(&name).ok().flatten();
                    match trusted.time_of(wanted, commit, read) {
                        Ok(time) => {
                            offers
                                .entry(&trusted.remote)
                                .or_default()
                                .insert(wanted.clone(), (*commit, time));
                        }
                        Err(why) => passed_over(&path.display().to_string(), wanted, &why, ctx),
                    }
                }
            }
            for (remote, offer) in offers {
                let url = match Url::from_file_path(&path) {
                    Ok(url) => url.to_string(),
                    Err(()) => format!("file://{}", path.display()),
                };
                let (finder, remote) = (Finder::Mount, remote.clone());
                found
                    .push((FoundRemote { finder, remote, url, summary_secs: None, refs: Vec::new() }, offer));
            }
        }
    }
}

/// Says why a ref of a place does not count.
pub(super) fn passed_over(place: &str, (id, name): &CollectionRef, why: &str, ctx: &Ctx) {
    ctx.warn(&format!("{place}: ({id}, {name}) is passed over: {why}"));
}

/// The volumes that somebody may have brought.
pub(super) fn volumes() -> Result<Vec<PathBuf>> {
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
    let (Ok(found), Ok(on), Ok(ours)) = (fs::metadata(path), fs::metadata(volume), into.dir().dir_metadata())
    else {
        return false;
    };
    let found = Inode::from(&found);
    found.device == Inode::from(&on).device && found != Inode::from(&ours)
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
