//! DNS-SD by multicast: machines of the local network tell of repositories, and are listened to for a moment.
//!
//! Any machine there can answer whatever it likes. So only those count that tell of a ref which is looked for, of these
//! only so many, and nothing is believed but where to ask: `peers` does.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use mdns_sd::{ResolvedService, ServiceDaemon, ServiceEvent};
use ostree_format::RepoAdvert;

use crate::base::{Cancelled, Ctx};
use crate::net::Url;

/// How long answers are listened for. The question is asked twice within it, and who answers waits up to a tenth of a
/// second, so that not all do so at once.
const LISTEN: Duration = Duration::from_secs(2);
/// The interval at which it is looked whether the work was cancelled.
const TICK: Duration = Duration::from_millis(50);
/// Repositories that are asked at most, however many answer.
const MAX_PEERS: usize = 32;

/// A repository that somebody tells of.
#[derive(Debug)]
pub(super) struct Peer {
    /// The address of the repository.
    pub(super) url: Url,
    /// What is told of it.
    pub(super) advert: RepoAdvert,
}

/// The repositories that are told of, and that `may_have` lets through.
pub(super) fn listen(may_have: impl Fn(&RepoAdvert) -> bool, ctx: &Ctx) -> Result<Vec<Peer>, Cancelled> {
    let service = format!("{}.local.", RepoAdvert::SERVICE);
    let begun = ServiceDaemon::new().and_then(|daemon| daemon.browse(&service).map(|found| (daemon, found)));
    let (daemon, answers) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            tracing::warn!(%error, "the local network cannot be asked");
            return Ok(Vec::new());
        }
    };
    // By the name of the service: it may be told of again, with more addresses.
    let mut peers = BTreeMap::new();
    let end = Instant::now() + LISTEN;
    while let Some(left) = end.checked_duration_since(Instant::now())
        && !answers.is_disconnected()
    {
        ctx.cancel.check()?;
        let Ok(ServiceEvent::ServiceResolved(found)) = answers.recv_timeout(left.min(TICK)) else { continue };
        let name = found.get_fullname().to_owned();
        match peer(&found) {
            Ok(peer) if may_have(&peer.advert) && (peers.len() < MAX_PEERS || peers.contains_key(&name)) => {
                peers.insert(name, peer);
            }
            Ok(_) => tracing::debug!(name, "has none of the refs"),
            Err(why) => tracing::debug!(name, why, "cannot be used"),
        }
    }
    // Its thread ends by itself.
    let _ = daemon.shutdown();
    let mut peers: Vec<Peer> = peers.into_values().collect();
    peers.sort_by(|a, b| a.url.cmp(&b.url));
    peers.dedup_by(|a, b| a.url == b.url);
    Ok(peers)
}

/// Where to ask, by what was answered.
fn peer(found: &ResolvedService) -> Result<Peer, String> {
    let entries = found.get_properties().iter().map(|entry| (entry.key(), entry.val()));
    let advert = RepoAdvert::from_txt(entries).map_err(|error| error.to_string())?;
    // An address of IPv6 that counts on one link only has no place in a URL.
    let is_usable = |address: &IpAddr| match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    };
    let addresses = found.get_addresses().iter().map(|address| address.to_ip_addr());
    // Those of IPv4 come first.
    let address = addresses.filter(is_usable).min().ok_or("no address")?;
    let host = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let url = format!("http://{host}:{}/{}", found.get_port(), advert.index);
    let url = Url::parse(&url).map_err(|error| error.to_string())?;
    Ok(Peer { url, advert })
}
