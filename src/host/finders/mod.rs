//! Places that have refs of collections: remotes that are configured for these, repositories on mounted volumes, and
//! machines of the local network.
//!
//! ```text
//! config   remotes with a collection-id ► their summaries
//! mount    volumes under /media, /run/media, /mnt ► .ostree/repos.d/*, .ostree/repo, ostree/repo, var/lib/flatpak/repo
//! lan      DNS-SD, _ostree_repo._tcp ► summaries of those who tell of the refs
//! ```
//! Whoever is near, on a volume or on the network, is believed in nothing: a commit counts if the keys of the remote that
//! is configured for its collection vouch for it, whatever that remote's own pulls ask for, and its time is its own.
//!
//! Source: libostree ostree-repo-finder-{config,mount,avahi}.c, ostree-repo-pull.c:5260-5700.

mod judged;
mod lan;
mod peers;
mod volumes;

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use ostree_format::variant::Value;
use ostree_format::{CollectionId, CommitId, ParseError, RemoteConfig, RemoteName, SummaryRef};

use super::{Machine, Result};
use crate::base::{Ctx, WithCauses};
use crate::repo::{CollectionRef, Repo};
use volumes::volumes;

/// The summary's metadata of a ref: when its commit was made, in seconds since 1970, big endian.
const TIMESTAMP: &str = "ostree.commit.timestamp";

/// Where refs of collections are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finder {
    /// Repositories on mounted volumes, which are asked first: nothing is quicker.
    Mount,
    /// Machines of the local network. Listening for them takes two seconds, so nobody is asked by default.
    Lan,
    /// The remotes that are configured.
    Config,
}

impl Finder {
    /// The order in which results are used: the smallest first.
    pub const fn priority(self) -> u32 {
        match self {
            Self::Mount => 50,
            Self::Lan => 60,
            Self::Config => 100,
        }
    }

    /// Where refs are looked for if nobody says: `core.default-repo-finders` of the repository, else remotes and volumes.
    ///
    /// # Errors
    /// [`Error::Parse`](super::Error::Parse) if that names something else, or nothing.
    pub fn defaults(repo: &Repo) -> Result<Vec<Self>> {
        let key = "default-repo-finders";
        let Some(names) = repo.config().keyfile().get_list("core", key)? else {
            return Ok(vec![Self::Mount, Self::Config]);
        };
        if names.is_empty() {
            let why = "Invalid empty default-repo-finders configuration";
            return Err(ParseError::invalid("repository config", 0, why).into());
        }
        let parse = |name: &String| {
            let wrong = |why: ParseError| {
                ParseError::invalid("repository config", 0, format!("core.{key}: {}", why.kind))
            };
            name.parse().map_err(wrong)
        };
        Ok(names.iter().map(parse).collect::<Result<_, _>>()?)
    }
}

impl FromStr for Finder {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "config" => Ok(Self::Config),
            "lan" => Ok(Self::Lan),
            "mount" => Ok(Self::Mount),
            _ => {
                let why = format!("Unknown finder type ‘{text}’, must be config, lan or mount");
                Err(ParseError::invalid("finder", 0, why))
            }
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
    /// As [`Machine::remotes`] and [`Machine::remote_trust_of_stranger`]; [`Error::Io`](super::Error::Io) if the mounts
    /// cannot be listed. A place that cannot be asked is passed over.
    pub fn find_remotes(
        &self,
        repo: &Repo,
        refs: &[CollectionRef],
        finders: &[Finder],
        cache: Option<&Path>,
        ctx: &Ctx,
    ) -> Result<Vec<FoundRemote>> {
        let mut found: Vec<(FoundRemote, Offer)> = Vec::new();
        let is_asked = |finder| finders.contains(&finder);
        let trusted = match is_asked(Finder::Mount) || is_asked(Finder::Lan) {
            true => self.trusted(repo, refs)?,
            false => Vec::new(),
        };
        if is_asked(Finder::Mount) {
            for volume in volumes()? {
                self.on_volume(repo, &volume, &trusted, &mut found, ctx);
            }
        }
        if is_asked(Finder::Lan) {
            self.on_lan(&trusted, &mut found, ctx)?;
        }
        if is_asked(Finder::Config) {
            for name in self.remotes(repo)?.into_keys() {
                ctx.cancel.check().map_err(crate::store::Error::from)?;
                match self.configured(repo, &name, cache, ctx) {
                    Ok(Some(one)) => found.push(one),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(remote = %name, error = %WithCauses(&error), "remote is passed over")
                    }
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
