//! `prune`: deletes objects that nothing needs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use anyhow::{Context, bail};
use serde::Serialize;

use super::Common;
use crate::cli::datetime;
use crate::cli::terminal::{Session, size};
use crate::format::{CommitId, RefSpec};
use crate::host::Machine;
use crate::repo::prune::{Action, Keep, PruneOptions, RefRules, Roots, Scope};
use crate::store::Depth;

/// Arguments of `prune`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Only count, delete nothing
    #[arg(long)]
    no_prune: bool,
    /// Delete commits too that no ref leads to
    #[arg(long)]
    refs_only: bool,
    /// How many parents of each ref's commit to keep; -1 for all
    #[arg(long, default_value_t = -1)]
    depth: i64,
    /// Delete this commit, too
    #[arg(long, value_name = "COMMIT", conflicts_with = "no_prune")]
    delete_commit: Option<CommitId>,
    /// Keep commits that are not older than this: "1 week ago", "2024-01-31"
    #[arg(long, value_name = "DATE")]
    keep_younger_than: Option<String>,
    /// With --delete-commit, delete only the static deltas to it
    #[arg(long)]
    static_deltas_only: bool,
    /// Keep so many parents of this branch; 0 for its newest commit alone
    #[arg(long, value_name = "BRANCH=DEPTH")]
    retain_branch_depth: Vec<String>,
    /// Prune only this branch
    #[arg(long, value_name = "BRANCH")]
    only_branch: Vec<RefSpec>,
    /// Delete only commit objects
    #[arg(long)]
    commit_only: bool,
    /// No progress bar
    #[arg(short, long)]
    quiet: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json {
    objects: u64,
    deleted_objects: u64,
    deleted_companions: u64,
    freed_bytes: u64,
    deleted: bool,
}

/// Prunes, and prints how much.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let mut repo = args.common.open()?;
    if !args.no_prune {
        repo.require_writable()?;
    }
    match &args.delete_commit {
        Some(commit) if args.static_deltas_only => repo.delete_deltas_to(commit, &session.ctx)?,
        Some(commit) => repo.delete_commit(commit, &session.ctx)?,
        None if args.static_deltas_only => bail!("--static-deltas-only requires --delete-commit"),
        None => {}
    }
    let options = PruneOptions {
        roots: roots(args)?,
        scope: if args.commit_only { Scope::CommitsOnly } else { Scope::Everything },
        action: if args.no_prune { Action::Count } else { Action::Delete },
    };
    let stats = repo.prune(&options, &session.ctx)?;
    if !args.no_prune {
        Machine::from_env().prune_summaries(&repo)?;
    }
    let out = &mut session.out;
    if args.json {
        let json = Json {
            objects: stats.objects,
            deleted_objects: stats.deleted_objects,
            deleted_companions: stats.deleted_companions,
            freed_bytes: stats.freed_bytes,
            deleted: !args.no_prune,
        };
        return out.json(&json);
    }
    let what = if args.commit_only { "Total (commit only) objects" } else { "Total objects" };
    writeln!(out, "{what}: {}", stats.objects)?;
    let freed = size(stats.freed_bytes);
    match (stats.deleted_objects, args.no_prune) {
        (0, _) => writeln!(out, "No unreachable objects")?,
        (n, true) => writeln!(out, "Would delete: {n} objects, freeing {freed}")?,
        (n, false) => writeln!(out, "Deleted {n} objects, {freed} freed")?,
    }
    Ok(())
}

fn roots(args: &Args) -> anyhow::Result<Roots> {
    let depth = depth(args.depth);
    let has_rules = !args.retain_branch_depth.is_empty()
        || !args.only_branch.is_empty()
        || args.keep_younger_than.is_some();
    if !has_rules {
        return Ok(if args.refs_only { Roots::Refs(depth) } else { Roots::Commits });
    }
    let others = match &args.keep_younger_than {
        // For `date` that is the last midnight; here it would delete by a variable that was forgotten.
        Some(date) if date.trim().is_empty() => {
            bail!("--keep-younger-than: an empty date; write, such as, \"2 weeks ago\"")
        }
        Some(date) => Keep::YoungerThan { secs: datetime::parse(date)? },
        None => Keep::Depth(depth),
    };
    let retain = args.retain_branch_depth.iter().map(|given| retain(given));
    Ok(Roots::Rules(RefRules {
        retain: retain.collect::<anyhow::Result<BTreeMap<_, _>>>()?,
        only: args.only_branch.iter().cloned().collect::<BTreeSet<_>>(),
        others,
    }))
}

fn retain(given: &str) -> anyhow::Result<(RefSpec, Depth)> {
    let (branch, number) =
        given.split_once('=').with_context(|| format!("Invalid value {given}, must specify BRANCH=DEPTH"))?;
    let number = number.parse::<i64>().with_context(|| format!("Invalid depth {number}"))?;
    Ok((branch.parse()?, depth(number)))
}

/// A negative number of parents means all.
fn depth(parents: i64) -> Depth {
    match parents {
        ..0 => Depth::All,
        n => Depth::Parents(u32::try_from(n).unwrap_or(u32::MAX)),
    }
}
