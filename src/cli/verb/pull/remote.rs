//! `pull` from a remote of ostree, with the options and the words of C ostree.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::cli::locate;
use crate::cli::program::Program;
use crate::cli::terminal::{Session, size};
use crate::format::{Checksum, CommitId, RefName, RemoteConfig, RemoteName, RepoMode, Rev, RevBase};
use crate::host::{Machine, RemoteAccess, RemoteSource};
use crate::net::Limits;
use crate::remote::{
    Bindings, DeltaStats, DeltaUse, RemoteOptions, RemotePlan, RemoteStats, ServerTrust, SummaryJudge,
    Timestamps, WantedRef, WantedRefs,
};
use crate::repo::{Fsync, Repo, TransactionStats};
use crate::store::{Depth, ObjectRead, resolve_rev};
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
    cache_dir: Option<PathBuf>,
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
    require_static_deltas: bool,
    /// Fail at the first trouble with the network
    #[arg(long)]
    disable_retry_on_network_errors: bool,
    /// Write refs as those of a mirror; without refs, fetch all of them, and the summary
    #[arg(long)]
    mirror: bool,
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
    dry_run: bool,
    /// How many parents to fetch too; -1 for all [default: 0]
    #[arg(long, allow_hyphen_values = true, value_parser = clap::value_parser!(i64).range(-1..))]
    depth: Option<i64>,
    /// Where to fetch from, in place of what is configured
    #[arg(long)]
    url: Option<String>,
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
    localcache_repo: Vec<PathBuf>,
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
    /// Options for a place that was found, in place of the remote's own.
    pub(in crate::cli::verb) fn of_found(
        url: &str,
        mirror: bool,
        disable_fsync: bool,
        cache_dir: Option<PathBuf>,
    ) -> Self {
        // Whoever happens to be near is not believed.
        let untrusted = true;
        Self { url: Some(url.to_owned()), mirror, disable_fsync, cache_dir, untrusted, ..Self::default() }
    }

    /// Options for the upgrade of a deployment.
    pub(in crate::cli::verb) fn of_upgrade(not_older_than: Option<CommitId>) -> Self {
        let timestamp_check_from_rev =
            not_older_than.map(|commit| Rev { base: RevBase::Commit(commit), ancestors: 0 });
        Self { timestamp_check_from_rev, ..Self::default() }
    }

    /// Whether any of them is.
    pub(super) fn are_given(&self) -> bool {
        *self != Self::default()
    }

    fn access(&self) -> anyhow::Result<RemoteAccess> {
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
            headers: self.http_header.iter().map(header).collect::<anyhow::Result<_>>()?,
            user_agent: self.append_user_agent.clone(),
            is_ostree: std::env::args_os()
                .next()
                .is_some_and(|name| Program::from_name(&name) == Program::Ostree),
            limits,
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
}

/// Pulls `refs`, or what the remote is configured for.
pub(in crate::cli::verb) fn pull(
    repo: &mut Repo,
    name: &RemoteName,
    refs: &[String],
    options: &Options,
    quiet: bool,
    session: &mut Session,
) -> anyhow::Result<()> {
    match (options.disable_fsync, options.per_object_fsync) {
        (true, _) => repo.set_fsync(Fsync::Never),
        (false, true) => repo.set_fsync(Fsync::Object),
        (false, false) => {}
    }
    if options.dry_run && !options.require_static_deltas {
        bail!("--dry-run requires --require-static-deltas");
    }
    let is_archive = repo.mode() == RepoMode::Archive;
    if options.require_static_deltas && is_archive {
        bail!("Can't use static deltas in an archive repo");
    }
    let (started, machine) = (Instant::now(), Machine::from_env());
    let opened = machine.open_remote(repo, name, &options.access()?, &session.ctx)?;
    let wanted = wanted(refs, &opened.config, options.mirror)?;
    let trust = machine.remote_trust(repo, name)?;
    let caches = options.localcache_repo.iter().map(|path| locate::open(path));
    let caches = caches.collect::<anyhow::Result<Vec<Repo>>>()?;
    let judge = |summary: &[u8], signatures: Option<&[u8]>| trust.judge_summary(summary, signatures);
    let spool = || machine.temporary_file();
    let remote_options = RemoteOptions {
        remote: Some(name.clone()),
        mirror: options.mirror,
        depth: u32::try_from(options.depth.unwrap_or(0)).map_or(Depth::All, Depth::Parents),
        extent: options.extent(),
        trust: if options.untrusted { Trust::Nothing } else { Trust::Source },
        // Who gives both options means the safe one, as in C ostree.
        server_trust: match options.http_trusted && !options.untrusted {
            true => ServerTrust::Content,
            false => ServerTrust::Nothing,
        },
        file_modes: if options.bareuseronly_files { FileModes::BareUserOnly } else { FileModes::Any },
        voucher: trust.commits(),
        summary_judge: trust.verifies_summary().then_some(&judge as &SummaryJudge<'_>),
        bindings: match options.disable_verify_bindings {
            true => Bindings::Ignored,
            false => Bindings::Verified(opened.config.collection_id.clone()),
        },
        timestamps: options.timestamps(repo)?,
        local_caches: caches.iter().map(|cache| cache as &dyn ObjectRead).collect(),
        parts: repo.dir().open_dir("tmp").ok().map(Arc::new),
        requests: options
            .max_outstanding_fetcher_requests
            .unwrap_or_else(|| RemoteOptions::default().requests),
        deltas: match (options.require_static_deltas, options.disable_static_deltas || is_archive) {
            (true, _) => DeltaUse::Required,
            (false, true) => DeltaUse::Never,
            (false, false) => DeltaUse::IfThere,
        },
        spool: Some(&spool),
    };
    let cache = machine.summary_cache(repo, options.cache_dir.as_deref())?;
    let plan = RemotePlan::new(opened.origin(cache), &wanted, remote_options, &session.ctx)?;
    if options.dry_run {
        let stats = plan.look_at_deltas(&locate::begin(repo, &session.ctx)?, &session.ctx)?;
        return Ok(writeln!(session.out, "{}", would_fetch(&stats))?);
    }
    let (stats, written) =
        locate::in_transaction(repo, &session.ctx, |txn| Ok(plan.run(txn, &session.ctx)?))?;
    if let (true, WantedRefs::All, Some(summary)) = (options.mirror, &wanted, &plan.summary) {
        repo.set_mirrored_summary(&summary.bytes, summary.signatures.as_deref())?;
    }
    if !quiet {
        // With deltas, what a directory gives is fetched, too.
        let is_local = matches!(opened.source, RemoteSource::Directory(_)) && !options.require_static_deltas;
        writeln!(session.out, "{}", told(&stats, &written, is_local, started.elapsed()))?;
    }
    Ok(())
}

/// What a pull by deltas would fetch, as C ostree says it.
fn would_fetch(stats: &DeltaStats) -> String {
    let DeltaStats { parts_done, parts, bytes_done, bytes, unpacked_bytes, .. } = stats;
    let [done, all, unpacked] = [bytes_done, bytes, unpacked_bytes].map(|bytes| size(*bytes));
    format!("Delta update: {parts_done}/{parts} parts, {done}/{all}, {unpacked} total uncompressed")
}

/// What was fetched and written, as C ostree says it: which does not count the files that deltas made as written.
pub(in crate::cli::verb) fn told(
    stats: &RemoteStats,
    written: &TransactionStats,
    is_local: bool,
    time: Duration,
) -> String {
    let RemoteStats { metadata_fetched, content_fetched, metadata_imported, content_imported, .. } = stats;
    let written = size(written.content_bytes_written.saturating_sub(stats.deltas.content_bytes));
    if is_local {
        return format!(
            "{metadata_imported} metadata, {content_imported} content objects imported; {written} content written"
        );
    }
    let mut text = match stats.deltas.parts_done {
        0 => format!("{metadata_fetched} metadata, {content_fetched} content objects fetched"),
        parts => format!("{parts} delta parts, {} loose fetched", metadata_fetched + content_fetched),
    };
    if *metadata_imported + *content_imported > 0 {
        text += &format!(" ({metadata_imported} meta, {content_imported} content local)");
    }
    let secs = time.as_secs();
    text += &match stats.moved_bytes {
        0 => String::new(),
        bytes @ ..1024 => format!("; {bytes} B transferred in {secs} seconds"),
        bytes => format!("; {} KiB transferred in {secs} seconds", bytes / 1024),
    };
    text + &format!("; {written} content written")
}

/// What is meant by the arguments behind the remote.
fn wanted(refs: &[String], config: &RemoteConfig, mirror: bool) -> anyhow::Result<WantedRefs> {
    let refs = match refs {
        [] if config.branches.is_empty() && mirror => return Ok(WantedRefs::All),
        [] if config.branches.is_empty() => bail!("No configured branches for remote {}", config.name),
        [] => &config.branches,
        refs => refs,
    };
    let one = |text: &String| {
        if let Ok(checksum) = text.parse::<Checksum>() {
            return Ok(WantedRef::Commit(CommitId::new(checksum)));
        }
        let (name, commit) = match text.rsplit_once('@') {
            None => (text.as_str(), None),
            Some((name, commit)) => {
                let invalid = || format!("Invalid checksum '{commit}'");
                (name, Some(CommitId::new(commit.parse().with_context(invalid)?)))
            }
        };
        let name: RefName = name.parse().with_context(|| format!("Invalid ref name {name}"))?;
        Ok(WantedRef::Ref { collection: config.collection_id.clone(), name, commit })
    };
    Ok(WantedRefs::These(refs.iter().map(one).collect::<anyhow::Result<_>>()?))
}
