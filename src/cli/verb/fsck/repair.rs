//! `fsck --repair`: brings back what is damaged or missing, from wherever the commits are whole.

use std::path::Path;

use anyhow::Context;

use super::super::container::Image;
use super::super::pull::remote as remote_pull;
use crate::cli::locate;
use crate::cli::terminal::{self, Session};
use crate::container;
use crate::container::pull::{PullOptions, Vouching};
use crate::format::{CommitId, RemoteName};
use crate::host::{Demand, ImageOptions, Machine};
use crate::repo::Repo;
use crate::store::{CommitBytes, Completeness, ObjectRead, Refs, Refusal};
use crate::transfer::{self, TransferOptions};

/// Fetches what the damaged commits of `repo` lack; the place is a directory, a remote or an image.
pub(super) fn repair(repo: &mut Repo, from: &str, quiet: bool, session: &mut Session) -> anyhow::Result<()> {
    let commits = damaged(repo)?;
    if commits.is_empty() {
        return Ok(());
    }
    repo.require_writable()?;
    let s = if commits.len() == 1 { "" } else { "s" };
    terminal::say(format_args!("Repairing {} commit{s} from {from}", commits.len()));
    let machine = Machine::from_env();
    if Path::new(from).is_dir() {
        let source = locate::open(Path::new(from))?;
        let options = TransferOptions::default();
        locate::in_transaction(repo, &session.ctx, |txn| {
            Ok(transfer::copy(&source, txn, &commits, &options, &session.ctx)?)
        })?;
        return Ok(());
    }
    if let Ok(name) = from.parse::<RemoteName>()
        && machine.remotes(repo)?.contains_key(&name)
    {
        let commits: Vec<String> = commits.iter().map(CommitId::to_string).collect();
        return remote_pull::pull(repo, &name, &commits, &remote_pull::Options::default(), quiet, session);
    }
    let image: Image = from.parse().with_context(|| {
        format!("{from} is neither a directory, nor a remote that is configured, nor an image")
    })?;
    let opened = machine.open_image(&image.reference, &ImageOptions::default(), &session.ctx)?;
    let admitted = opened.admit(Demand::AsPolicySays, &session.ctx)?;
    let is_damaged = |commit: &CommitBytes<'_>| match commits.contains(&commit.id) {
        true => Ok(()),
        false => Err(Refusal::from("it is none of the commits that are damaged here")),
    };
    let options = PullOptions { vouching: Vouching::By(&is_damaged), ..PullOptions::default() };
    // It has one commit; if others are damaged, too, the check that follows says so.
    container::pull::pull(&admitted, repo, &options, &session.ctx).map_err(locate::writing(repo))?;
    Ok(())
}

/// The commits from which something was taken away, and those of refs that are not there.
fn damaged(repo: &Repo) -> anyhow::Result<Vec<CommitId>> {
    let mut out = Vec::new();
    for commit in repo.commits_with_prefix("")? {
        if repo.completeness(&commit)? == Completeness::PartialByFsck {
            out.push(commit);
        }
    }
    for commit in repo.list()?.into_values().chain(repo.collection_refs()?.into_values()) {
        if !out.contains(&commit) && !repo.contains(&commit.into())? {
            out.push(commit);
        }
    }
    Ok(out)
}
