//! `pull` from a remote of ostree, with the options and the words of C ostree.

mod options;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::cli::locate;
use crate::cli::terminal::{Session, size};
use crate::format::{Checksum, CommitId, RefName, RemoteConfig, RemoteName};
use crate::host::{Machine, RemoteSource};
use crate::remote::{
    DeltaStats, PartsDir, RemoteOptions, RemotePlan, RemoteStats, SummaryJudge, WantedRef, WantedRefs,
};
use crate::repo::{Repo, TransactionStats};
use crate::store::ObjectRead;

pub(in crate::cli::verb) use options::Options;

/// Pulls `refs`, or what the remote is configured for.
pub(in crate::cli::verb) fn pull(
    repo: &mut Repo,
    name: &RemoteName,
    refs: &[String],
    options: &Options,
    quiet: bool,
    session: &mut Session,
) -> anyhow::Result<()> {
    options.set_fsync(repo);
    let asked = options.asked(repo)?;
    let (started, machine) = (Instant::now(), Machine::from_env());
    let opened = machine.open_remote(repo, name, &options.access()?, &session.ctx)?;
    let wanted = wanted(refs, &opened.config, options.mirror)?;
    let trust = match options.is_stranger {
        true => machine.remote_trust_of_stranger(repo, name)?,
        false => machine.remote_trust(repo, name)?,
    };
    let caches = options.localcache_repo.iter().map(|path| locate::open(path));
    let caches = caches.collect::<anyhow::Result<Vec<Repo>>>()?;
    let judge = |summary: &[u8], signatures: Option<&[u8]>| trust.judge_summary(summary, signatures);
    let spool = || machine.temporary_file();
    let remote_options = RemoteOptions {
        remote: Some(name.clone()),
        voucher: trust.commits(),
        summary_judge: trust.verifies_summary().then_some(&judge as &SummaryJudge<'_>),
        bindings: options.bindings(&opened.config),
        local_caches: caches.iter().map(|cache| cache as &dyn ObjectRead).collect(),
        parts: parts(repo)?,
        spool: Some(&spool),
        ..asked
    };
    // What another server says may never be taken for what the remote says, the next time that it is asked.
    let cache = match options.url {
        None => machine.summary_cache(repo, options.cache_dir.as_deref())?,
        Some(_) => None,
    };
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

/// The place for what is too large for memory while it is fetched.
fn parts(repo: &Repo) -> anyhow::Result<Option<PartsDir>> {
    let (dir, room) = (repo.dir().open_dir("tmp").ok(), Arc::new(repo.room()?));
    Ok(dir.map(|dir| PartsDir { dir: Arc::new(dir), room }))
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
