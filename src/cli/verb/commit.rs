//! `commit`: directories, tar archives or other commits become a new commit.

pub(super) mod changes;
mod message;
pub(super) mod metadata;
mod sizes;
mod trees;

use std::io::Write;

use anyhow::{Context, bail};
use chrono::Utc;
use serde::Serialize;

use super::{Common, require_files_writable, resolve_if_present, signing};
use crate::cli::datetime;
use crate::cli::locate;
use crate::cli::terminal::Session;
use crate::composefs::{FileDigests, TreeImage};
use crate::format::{CommitId, RefSpec, RepoMode, RootDir};
use crate::repo::{Fsync, Repo, Transaction, TransactionStats};
use crate::store::{Txn, load_commit};
use crate::tree::{Bootable, CommitOptions, RefBindings, write_commit};

/// Arguments of `commit`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    message: message::Options,
    #[command(flatten)]
    metadata: metadata::Options,
    /// The commit before this one, or "none" [default: what the branch names]
    #[arg(long, value_name = "COMMIT")]
    parent: Option<String>,
    /// The ref that shall name the commit
    #[arg(short, long)]
    branch: Option<RefSpec>,
    /// Write no ref
    #[arg(long)]
    orphan: bool,
    #[command(flatten)]
    trees: trees::Options,
    #[command(flatten)]
    changes: changes::Options,
    /// Do nothing if the tree is that of the parent
    #[arg(long)]
    skip_if_unchanged: bool,
    /// Note how large the objects are; in archive repositories
    #[arg(long)]
    generate_sizes: bool,
    /// Note the fs-verity digest of the image that composefs mounts of the commit
    #[arg(long)]
    generate_composefs_metadata: bool,
    /// Print statistics
    #[arg(long)]
    table_output: bool,
    /// Print statistics as JSON
    #[arg(long, conflicts_with = "table_output")]
    json: bool,
    /// No progress bar
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    signing: signing::Options,
    /// Do not wait for the disk
    #[arg(long, hide = true)]
    disable_fsync: bool,
    /// Whether to wait for the disk
    #[arg(long, value_name = "POLICY", value_parser = super::boolean)]
    fsync: Option<bool>,
    /// The time of the commit [default: now, or SOURCE_DATE_EPOCH]
    #[arg(long)]
    timestamp: Option<String>,
}

/// Statistics of a commit, for programs.
#[derive(Serialize)]
struct Json {
    commit: String,
    metadata_total: u64,
    metadata_written: u64,
    content_total: u64,
    content_written: u64,
    content_cache_hits: u64,
    content_bytes_written: u64,
}

/// Makes the commit and prints its checksum.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let mut repo = args.common.open()?;
    require_files_writable(&repo)?;
    if args.disable_fsync || args.fsync == Some(false) {
        repo.set_fsync(Fsync::Never);
    }
    if args.branch.is_none() && !args.orphan {
        bail!("A branch must be specified with --branch, or use --orphan");
    }
    let mut modifier = args.changes.modifier(&repo)?;
    let mut options = options(args, &repo)?;
    let detached = args.metadata.detached()?;
    let keys = args.signing.keys()?;

    let txn = locate::begin(&repo, &session.ctx)?;
    session.ctx.phase("Committing", None, None);
    let mut write = || -> anyhow::Result<(Option<CommitId>, u64)> {
        let read = args.trees.read(&repo, &txn, &mut modifier, &args.changes, &session.ctx);
        let (root, cache_hits) = read?;
        if args.skip_if_unchanged && is_unchanged(&txn, options.parent, root)? {
            return Ok((None, cache_hits));
        }
        if args.generate_sizes && repo.mode() == RepoMode::Archive {
            options.sizes = sizes::of_tree(&txn, root, &session.ctx)?;
        }
        if args.generate_composefs_metadata {
            options.image_digest =
                Some(TreeImage::of_tree(&txn, root, FileDigests::Record, &session.ctx)?.digest());
        }
        let id = write_commit(&txn, root, &options)?;
        if let Some(detached) = &detached {
            txn.set_detached(&id, detached)?;
        }
        Ok((Some(id), cache_hits))
    };
    let (id, cache_hits) = match write() {
        Ok((Some(id), cache_hits)) => (id, cache_hits),
        Ok((None, cache_hits)) => {
            // A parent is there, or nothing could be unchanged.
            let id = options.parent.context("no parent")?;
            return print(args, &id, TransactionStats::default(), cache_hits, session);
        }
        Err(error) => return Err(locate::give_up(&repo, txn, error)),
    };
    // The same commit may be made, and signed by others, at the same time.
    let _lock = if keys.is_empty() { None } else { Some(repo.lock_edits(&session.ctx)?) };
    keys.sign_commit(&txn, &id)?;
    if let Some(branch) = &args.branch {
        txn.set_ref(branch, Some(id))?;
    }
    let txn = inject_failure(txn)?;
    let stats = locate::commit(txn, &session.ctx)?;
    print(args, &id, stats, cache_hits, session)
}

/// Leaves everything as a crash in the worst moment would, for those who try out how they recover from one: C
/// ostree's `OSTREE_REPO_TEST_ERROR=pre-commit`. The next commit takes up what was staged.
fn inject_failure(txn: Transaction<'_>) -> anyhow::Result<Transaction<'_>> {
    match std::env::var("OSTREE_REPO_TEST_ERROR") {
        Ok(stop) if stop == "pre-commit" => {
            std::mem::forget(txn);
            bail!("OSTREE_REPO_TEST_ERROR_PRE_COMMIT specified");
        }
        _ => Ok(txn),
    }
}

fn is_unchanged(txn: &Transaction<'_>, parent: Option<CommitId>, root: RootDir) -> anyhow::Result<bool> {
    let Some(parent) = parent else { return Ok(false) };
    Ok(load_commit(txn, &parent)?.root == root)
}

fn options(args: &Args, repo: &Repo) -> anyhow::Result<CommitOptions> {
    let parent = match (args.parent.as_deref(), &args.branch) {
        (Some("none"), _) => None,
        (Some(checksum), _) => Some(checksum.parse().with_context(|| {
            format!(
                "Invalid rev {checksum}: --parent takes a whole checksum, which `rev-parse` tells, or none"
            )
        })?),
        (None, Some(branch)) if !args.orphan => resolve_if_present(repo, branch)?,
        (None, _) => None,
    };
    let branch = args.branch.as_ref();
    if parent.is_none() && !args.metadata.keep_metadata.is_empty() {
        bail!("Either --branch or --parent must be specified when using --keep-metadata");
    }
    let message = args.message.message(branch)?;
    let refs = branch.into_iter().chain(&args.metadata.bind_refs).cloned().collect();
    let bindings = RefBindings { refs, collection: repo.config().collection_id()?.cloned() };
    Ok(CommitOptions {
        parent,
        subject: message.subject,
        body: message.body,
        timestamp: timestamp(args.timestamp.as_deref())?,
        metadata: args.metadata.metadata()?,
        keep_metadata: args.metadata.keep_metadata.clone(),
        bindings: (!args.metadata.no_bindings).then_some(bindings),
        image_digest: None,
        sizes: Vec::new(),
        bootable: if args.metadata.bootable { Bootable::FromKernel } else { Bootable::Unsaid },
    })
}

/// The time that was given, that of the environment for reproducible builds, or now.
fn timestamp(given: Option<&str>) -> anyhow::Result<u64> {
    let secs = match (given, std::env::var("SOURCE_DATE_EPOCH")) {
        (Some(text), _) => datetime::parse(text)?,
        (None, Ok(text)) => epoch(&text)?,
        (None, Err(_)) => Utc::now().timestamp(),
    };
    // Times before 1970 are stored as C ostree does: as the bits of a signed number.
    Ok(secs.cast_unsigned())
}

fn epoch(text: &str) -> anyhow::Result<i64> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let error = match text.parse::<i64>() {
        Ok(secs) => return Ok(secs),
        Err(error) => error,
    };
    match error.kind() {
        PosOverflow | NegOverflow => bail!("Parsing SOURCE_DATE_EPOCH: Numerical result out of range"),
        _ => bail!("Failed to convert SOURCE_DATE_EPOCH"),
    }
}

fn print(
    args: &Args,
    id: &CommitId,
    stats: TransactionStats,
    content_cache_hits: u64,
    session: &mut Session,
) -> anyhow::Result<()> {
    let TransactionStats {
        metadata_total,
        metadata_written,
        content_total,
        content_written,
        content_bytes_written,
    } = stats;
    let out = &mut session.out;
    if args.json {
        let json = Json {
            commit: id.to_string(),
            metadata_total,
            metadata_written,
            content_total,
            content_written,
            content_cache_hits,
            content_bytes_written,
        };
        return out.json(&json);
    }
    if !args.table_output {
        return Ok(writeln!(out, "{id}")?);
    }
    writeln!(out, "Commit: {id}")?;
    writeln!(out, "Metadata Total: {metadata_total}")?;
    writeln!(out, "Metadata Written: {metadata_written}")?;
    writeln!(out, "Content Total: {content_total}")?;
    writeln!(out, "Content Written: {content_written}")?;
    writeln!(out, "Content Cache Hits: {content_cache_hits}")?;
    Ok(writeln!(out, "Content Bytes Written: {content_bytes_written}")?)
}
