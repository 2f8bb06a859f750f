//! The options, and what each of them means for a pull.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::cli::program::Program;
use crate::format::{CommitId, RemoteConfig, RepoMode, Rev, RevBase};
use crate::host::RemoteAccess;
use crate::net::Limits;
use crate::remote::{Bindings, DeltaUse, RemoteOptions, ServerTrust, Timestamps};
use crate::repo::{Fsync, Repo};
use crate::store::{Depth, resolve_rev};
use crate::transfer::{Extent, FileModes, Trust};

/// The options of C ostree's `pull`, which are for remotes only.
#[derive(clap::Args, Default, PartialEq)]
#[group(skip)]
#[command(next_help_heading = "Options for remotes")]
pub(in crate::cli::verb) struct Options {
    /// Fetch only commit objects
    #[arg(long)]
    commit_metadata_only: bool,
    /// Keep summaries for the next time in this directory
    #[arg(long, value_name = "DIR")]
    pub(super) cache_dir: Option<PathBuf>,
    /// Do not wait for the disk
    #[arg(long)]
    disable_fsync: bool,
    /// Wait for the disk after each object
    #[arg(long)]
    per_object_fsync: bool,
    /// Use no static deltas
    #[arg(long)]
    disable_static_deltas: bool,
    /// Take what is needed from static deltas, or fail
    #[arg(long, conflicts_with = "disable_static_deltas")]
    pub(super) require_static_deltas: bool,
    /// Fail at the first trouble with the network
    #[arg(long)]
    disable_retry_on_network_errors: bool,
    /// Write refs as those of a mirror; without refs, fetch all of them, and the summary
    #[arg(long)]
    pub(super) mirror: bool,
    /// Fetch only what is below this path; may be given more than once
    #[arg(long, value_name = "PATH")]
    subpath: Vec<String>,
    /// Verify every object also where the remote is a directory of this machine, which is believed otherwise
    #[arg(long)]
    untrusted: bool,
    /// With --mirror, in an archive: do not verify content objects that come over HTTP. Whoever controls the server or the
    /// line can put anything into the repository
    #[arg(long)]
    http_trusted: bool,
    /// Refuse files with a mode outside of 0775
    #[arg(long)]
    bareuseronly_files: bool,
    /// Only say what would be fetched of static deltas
    #[arg(long)]
    pub(super) dry_run: bool,
    /// How many parents to fetch too; -1 for all [default: 0]
    #[arg(long, allow_hyphen_values = true, value_parser = clap::value_parser!(i64).range(-1..))]
    depth: Option<i64>,
    /// Where to fetch from, in place of what is configured
    #[arg(long)]
    pub(super) url: Option<String>,
    /// Whether nobody has configured who is at that address.
    #[arg(skip)]
    pub(super) is_stranger: bool,
    /// A header for every request; may be given more than once
    #[arg(long, value_name = "KEY=VALUE")]
    http_header: Vec<String>,
    /// Accepted: how often to tell of the progress
    #[arg(long, value_name = "N")]
    update_frequency: Option<u32>,
    /// How often to try again [default: 5]
    #[arg(long, value_name = "N")]
    network_retries: Option<u32>,
    /// The bytes a second below which a transfer counts as broken off [default: 1000]
    #[arg(long, value_name = "N")]
    low_speed_limit_bytes: Option<u64>,
    /// The seconds over which that is measured [default: 30]
    #[arg(long, value_name = "N")]
    low_speed_time_seconds: Option<u64>,
    /// How many requests to have under way at most [default: 64]
    #[arg(long, value_name = "N")]
    max_outstanding_fetcher_requests: Option<NonZeroUsize>,
    /// Take objects from this repository where it has them; may be given more than once
    #[arg(short = 'L', long, value_name = "REPO")]
    pub(super) localcache_repo: Vec<PathBuf>,
    /// Refuse commits that are older than what their refs name here
    #[arg(short = 'T', long)]
    timestamp_check: bool,
    /// Refuse commits that are older than this one
    #[arg(long, value_name = "REV")]
    timestamp_check_from_rev: Option<Rev>,
    /// Do not ask whether commits are bound to the refs
    #[arg(long)]
    disable_verify_bindings: bool,
    /// Words to add to the name of this program that servers see
    #[arg(long, value_name = "TEXT", hide = true)]
    append_user_agent: Option<String>,
}

impl Options {
    /// Options for a place that was found: somebody who is near, at `url`, or the remote itself.
    pub(in crate::cli::verb) fn of_found(
        url: Option<&str>,
        mirror: bool,
        disable_fsync: bool,
        cache_dir: Option<PathBuf>,
    ) -> Self {
        let (is_stranger, url) = (url.is_some(), url.map(str::to_owned));
        // Whoever happens to be near is not believed.
        let untrusted = true;
        Self { url, is_stranger, mirror, disable_fsync, cache_dir, untrusted, ..Self::default() }
    }

    /// Options for the upgrade of a deployment.
    pub(in crate::cli::verb) fn of_upgrade(not_older_than: Option<CommitId>) -> Self {
        let timestamp_check_from_rev =
            not_older_than.map(|commit| Rev { base: RevBase::Commit(commit), ancestors: 0 });
        Self { timestamp_check_from_rev, ..Self::default() }
    }

    /// Whether any of them is.
    pub(in crate::cli::verb) fn are_given(&self) -> bool {
        *self != Self::default()
    }

    pub(super) fn access(&self) -> anyhow::Result<RemoteAccess> {
        let header = |text: &String| {
            let (name, value) = text.split_once('=').context("Missing '=' in --http-header")?;
            Ok((name.to_owned(), value.to_owned()))
        };
        let mut limits = Limits::default();
        limits.retries = self.network_retries.unwrap_or(limits.retries);
        if self.disable_retry_on_network_errors {
            limits.retries = 0;
        }
        limits.slowest_bytes_per_sec = self.low_speed_limit_bytes.unwrap_or(limits.slowest_bytes_per_sec);
        limits.slow_for = self.low_speed_time_seconds.map_or(limits.slow_for, Duration::from_secs);
        Ok(RemoteAccess {
            url: self.url.clone(),
            is_stranger: self.is_stranger,
            headers: self.http_header.iter().map(header).collect::<anyhow::Result<_>>()?,
            user_agent: self.append_user_agent.clone(),
            is_ostree: std::env::args_os()
                .next()
                .is_some_and(|name| Program::from_name(&name) == Program::Ostree),
            limits,
        })
    }

    /// What the options say of a pull into `repo`, apart from the remote.
    pub(super) fn asked(&self, repo: &Repo) -> anyhow::Result<RemoteOptions<'static>> {
        let default = RemoteOptions::default();
        Ok(RemoteOptions {
            mirror: self.mirror,
            depth: u32::try_from(self.depth.unwrap_or(0)).map_or(Depth::All, Depth::Parents),
            extent: self.extent(),
            trust: if self.untrusted { Trust::Nothing } else { Trust::Source },
            server_trust: self.server_trust(),
            file_modes: if self.bareuseronly_files { FileModes::BareUserOnly } else { FileModes::Any },
            timestamps: self.timestamps(repo)?,
            requests: self.max_outstanding_fetcher_requests.unwrap_or(default.requests),
            deltas: self.deltas(repo.mode())?,
            ..default
        })
    }

    fn extent(&self) -> Extent {
        match (self.commit_metadata_only, &self.subpath[..]) {
            (true, _) => Extent::CommitOnly,
            (false, []) => Extent::Full,
            (false, paths) => Extent::Subpaths(paths.to_vec()),
        }
    }

    fn timestamps(&self, repo: &Repo) -> anyhow::Result<Timestamps> {
        Ok(match &self.timestamp_check_from_rev {
            Some(rev) => Timestamps::NotOlderThan(resolve_rev(repo, rev)?),
            None if self.timestamp_check => Timestamps::NotOlderThanRefs,
            None => Timestamps::Any,
        })
    }

    /// Has the repository wait for the disk as the options say.
    pub(super) fn set_fsync(&self, repo: &mut Repo) {
        match (self.disable_fsync, self.per_object_fsync) {
            (true, _) => repo.set_fsync(Fsync::Never),
            (false, true) => repo.set_fsync(Fsync::Object),
            (false, false) => {}
        }
    }

    /// What static deltas are used for by a repository of this mode.
    fn deltas(&self, mode: RepoMode) -> anyhow::Result<DeltaUse> {
        if self.dry_run && !self.require_static_deltas {
            bail!("--dry-run requires --require-static-deltas");
        }
        let is_archive = mode == RepoMode::Archive;
        if self.require_static_deltas && is_archive {
            bail!("Can't use static deltas in an archive repo");
        }
        Ok(match (self.require_static_deltas, self.disable_static_deltas || is_archive) {
            (true, _) => DeltaUse::Required,
            (false, true) => DeltaUse::Never,
            (false, false) => DeltaUse::IfThere,
        })
    }

    /// What is believed that comes over HTTP. Who gives both options means the safe one, as in C ostree.
    fn server_trust(&self) -> ServerTrust {
        match self.http_trusted && !self.untrusted {
            true => ServerTrust::Content,
            false => ServerTrust::Nothing,
        }
    }

    pub(super) fn bindings(&self, config: &RemoteConfig) -> Bindings {
        match self.disable_verify_bindings {
            true => Bindings::Ignored,
            false => Bindings::Verified(config.collection_id.clone()),
        }
    }
}
