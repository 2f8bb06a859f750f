//! `pull`: the commit of a container image; from remotes of ostree it does not pull yet.

use anyhow::bail;
use clap::ArgAction;

use super::container::{Image, pull as image};
use crate::cli::terminal::Session;
use crate::format::RemoteName;
use crate::host::Machine;
use crate::repo::Repo;

/// Arguments of `pull`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: image::Options,
    #[command(flatten)]
    remote: RemoteOptions,
    /// The image, as for `container pull`: HOST/PATH[:TAG][@DIGEST], oci:DIR[:TAG] …
    image: String,
    /// Refs of a remote of ostree, which cannot be pulled yet
    #[arg(value_name = "REF", hide = true)]
    refs: Vec<String>,
}

/// The options of C ostree's `pull`, which say that a remote is meant.
#[derive(clap::Args)]
#[group(skip)]
struct RemoteOptions {
    /// The options that take a value
    #[arg(long = "depth", short = 'L', hide = true, aliases = [
        "append-user-agent", "cache-dir", "http-header", "localcache-repo", "low-speed-limit-bytes",
        "low-speed-time-seconds", "max-outstanding-fetcher-requests", "network-retries", "subpath",
        "timestamp-check-from-rev", "update-frequency", "url",
    ])]
    values: Vec<String>,
    /// The options that take no value
    #[arg(long = "mirror", short = 'T', hide = true, action = ArgAction::Count, aliases = [
        "bareuseronly-files", "commit-metadata-only", "disable-fsync", "disable-retry-on-network-errors",
        "disable-static-deltas", "disable-verify-bindings", "dry-run", "http-trusted", "per-object-fsync",
        "require-static-deltas", "timestamp-check", "untrusted",
    ])]
    flags: u8,
}

impl RemoteOptions {
    fn are_given(&self) -> bool {
        !self.values.is_empty() || self.flags > 0
    }
}

/// Pulls the image.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.options.common.open()?;
    if args.remote.are_given() || !args.refs.is_empty() || is_remote(&repo, &args.image) {
        bail!(
            "{} is a remote of ostree, and to pull from one over HTTP does not exist here yet; `pull-local` copies \
             from a repository of this machine, `pull IMAGE` takes the commit out of an image",
            args.image
        );
    }
    let image: Image = args.image.parse()?;
    image::pull(&image, &repo, &args.options, session)
}

/// Whether this is what C ostree pulls from: `REMOTE`, `REMOTE:REF`.
fn is_remote(repo: &Repo, text: &str) -> bool {
    let remote = text.split_once(':').map_or(text, |(remote, _)| remote);
    remote.parse().is_ok_and(|name: RemoteName| Machine::from_env().remote(repo, &name).is_ok())
}
