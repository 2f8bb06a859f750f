//! Machines of the local network asked for refs of collections: their summaries, and the commits that these name.
//!
//! ```text
//! lan ► peers, some at once ► summary ► commit and its signatures ► judged by the keys of the collection's remote
//! ```
//! Each has little time, and what it says costs little memory, so that a bad one cannot keep the good ones from being
//! found. It is asked directly, without proxies, cookies and certificates, which are for those whom the user has named.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use ostree_format::{CommitId, ObjectName, RemoteName, RepoMode, Summary};

use super::judged::Trusted;
use super::lan::{self, Peer};
use super::volumes::passed_over;
use super::{CollectionRef, Finder, FoundRemote, Offer};
use crate::base::{Ctx, WithCauses, spawn};
use crate::host::{Machine, Result};
use crate::net::header::HeaderMap;
use crate::net::{Http, Limits};
use crate::remote::RemoteServer;

/// The machines that are asked at the same time.
const AT_ONCE: usize = 8;
/// The time that a machine gets: it is near, and not the only one.
const LIMITS: Limits = Limits {
    retries: 1,
    connect: Duration::from_secs(3),
    patience: Duration::from_secs(10),
    slowest_bytes_per_sec: 100_000,
    slow_for: Duration::from_secs(5),
};

/// What one machine has for one remote.
type Found = (FoundRemote, Offer);

impl Machine {
    /// What the machines of the local network have.
    pub(super) fn on_lan(&self, trusted: &[Trusted], found: &mut Vec<Found>, ctx: &Ctx) -> Result<()> {
        let wanted = || trusted.iter().flat_map(|trusted| &trusted.refs);
        if wanted().next().is_none() {
            return Ok(());
        }
        let peers = lan::listen(|advert| wanted().any(|(id, name)| advert.refs.may_have(id, name)), ctx)?;
        if peers.is_empty() {
            return Ok(());
        }
        let http = Http::new(&self.http_to_strangers(LIMITS))?;
        for some in peers.chunks(AT_ONCE) {
            ctx.cancel.check()?;
            let asked = thread::scope(|scope| {
                let ask = |peer| {
                    let http = http.clone();
                    spawn(scope, move || ask(peer, http, trusted, ctx)).ok()
                };
                // Whom no thread is to be had for is not asked.
                let asked: Vec<_> = some.iter().map_while(ask).collect();
                asked.into_iter().filter_map(|one| one.join().ok()).flatten().collect::<Vec<_>>()
            });
            found.extend(asked);
        }
        Ok(())
    }
}

/// Asks one machine.
fn ask(peer: &Peer, http: Http, trusted: &[Trusted], ctx: &Ctx) -> Vec<Found> {
    let server = RemoteServer::new(http, vec![peer.url.clone()], Vec::new(), HeaderMap::new());
    let summary = match server.require("summary", ctx) {
        Ok(bytes) => Summary::parse(&bytes).map_err(|error| error.to_string()),
        Err(error) => Err(WithCauses(&error).to_string()),
    };
    let summary = match summary {
        Ok(summary) => summary,
        Err(why) => {
            tracing::debug!(url = %peer.url, why, "has no summary");
            return Vec::new();
        }
    };
    let mut offers: BTreeMap<&RemoteName, Offer> = BTreeMap::new();
    for trusted in trusted {
        let may_be_there = |(id, name): &&CollectionRef| peer.advert.refs.may_have(id, name);
        for wanted in trusted.refs.iter().filter(may_be_there) {
            let Some(commit) = commit_of(&summary, wanted) else { continue };
            let read = |name: ObjectName| {
                let path = format!("objects/{}", name.loose_path(RepoMode::Archive));
                server.read(&path, ctx).ok().flatten()
            };
            match trusted.time_of(wanted, &commit, read) {
                Ok(time) => {
                    offers.entry(&trusted.remote).or_default().insert(wanted.clone(), (commit, time));
                }
                Err(why) => passed_over(peer.url.as_str(), wanted, &why, ctx),
            }
        }
    }
    let place = |(remote, offer): (&RemoteName, Offer)| {
        let (finder, remote, url) = (Finder::Lan, remote.clone(), peer.url.to_string());
        let summary_secs = summary.last_modified_secs();
        (FoundRemote { finder, remote, url, summary_secs, refs: Vec::new() }, offer)
    };
    offers.into_iter().map(place).collect()
}

/// The commit that a summary names for a ref, wherever in it: somebody who copies refs has them as those of other
/// collections.
fn commit_of(summary: &Summary, (id, name): &CollectionRef) -> Option<CommitId> {
    let own = summary.collection_id().ok().flatten();
    if own.as_ref() == Some(id)
        && let Some(found) = summary.find(name)
    {
        return Some(found.commit);
    }
    let others = summary.collections().ok()?;
    let (_, refs) = others.into_iter().find(|(other, _)| other == id)?;
    refs.into_iter().find(|found| found.name == *name).map(|found| found.commit)
}
