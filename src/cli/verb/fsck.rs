//! `fsck`: whether a repository is complete and undamaged.

mod repair;

use std::io::Write;

use anyhow::Context;
use serde::Serialize;

use super::Common;
use crate::cli::advice;
use crate::cli::terminal::{self, Session};
use crate::repo::Repo;
use crate::repo::fsck::{
    BindingChecks, Finding, FsckError, FsckOptions, FsckReport, FsckStep, MissingParents, OnCorruption,
    Problem,
};

/// Arguments of `fsck`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Write tombstones for parents that are not there
    #[arg(long)]
    add_tombstones: bool,
    /// Print only errors and the result
    #[arg(short, long)]
    quiet: bool,
    /// Go on after the first error
    #[arg(short, long)]
    all: bool,
    /// Delete corrupt objects, and mark their commits as partial
    #[arg(long)]
    delete: bool,
    /// Check that commits are for the refs that name them
    #[arg(long)]
    verify_bindings: bool,
    /// Check also that the refs that commits are for name them
    #[arg(long)]
    verify_back_refs: bool,
    /// Delete corrupt objects, and fetch all that is missing from here: a remote, a repository's directory or an image;
    /// then check again
    #[arg(long, value_name = "REMOTE|DIR|IMAGE", conflicts_with = "json")]
    repair: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json {
    commits: usize,
    objects: u64,
    partial_commits: usize,
    partial_by_fsck: usize,
    findings: Vec<FindingJson>,
    tombstones: Vec<String>,
    error: Option<String>,
}

#[derive(Serialize)]
struct FindingJson {
    object: String,
    problem: &'static str,
    detail: String,
    commits: Vec<String>,
    path: Option<String>,
}

fn options(args: &Args) -> FsckOptions {
    FsckOptions {
        corrupt: match (args.delete || args.repair.is_some(), args.all) {
            (true, _) => OnCorruption::Delete,
            (false, true) => OnCorruption::Report,
            (false, false) => OnCorruption::Stop,
        },
        bindings: match (args.verify_back_refs, args.verify_bindings) {
            (true, _) => BindingChecks::CheckBack,
            (false, true) => BindingChecks::Check,
            (false, false) => BindingChecks::Ignore,
        },
        missing_parents: match args.add_tombstones {
            true => MissingParents::AddTombstones,
            false => MissingParents::Ignore,
        },
    }
}

/// Checks, and ends with an error if anything is wrong; or mends that, and checks again.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let mut repo = args.common.open()?;
    let (found, from) = match (check(args, &mut repo, session), &args.repair) {
        (found, None) => return found,
        // A repair before this one may have been stopped at its very end.
        (Ok(()), Some(_)) => return Ok(repo.settle(&session.ctx)?),
        (Err(found), Some(from)) => (found, from),
    };
    if !found.downcast_ref::<FsckError>().is_some_and(is_damage) {
        return Err(found);
    }
    repair::repair(&mut repo, from, args.quiet, session)?;
    check(args, &mut repo, session)
}

/// Whether an error tells of objects that can be brought back.
fn is_damage(error: &FsckError) -> bool {
    match error {
        FsckError::Corruption | FsckError::Corrupt(_) | FsckError::PartialByFsck(_) => true,
        FsckError::Ref { source, .. } => matches!(source, crate::store::Error::NotFound(_)),
        _ => false,
    }
}

fn check(args: &Args, repo: &mut Repo, session: &mut Session) -> anyhow::Result<()> {
    let options = options(args);
    let talk = !args.quiet && !args.json;
    let (mut written, mut findings) = (Ok(()), Vec::new());
    let result = {
        let out = &mut session.out;
        let mut steps = |step: FsckStep<'_>| {
            let line = match step {
                FsckStep::Found(finding) => {
                    findings.push(FindingJson::of(finding));
                    return terminal::say(advice::without_numbers(&finding.to_string()));
                }
                FsckStep::MarkedPartial(commit) => {
                    return terminal::say(format_args!("Marking commit as partial: {commit}"));
                }
                FsckStep::Refs if talk => "Validating refs...".to_owned(),
                FsckStep::CollectionRefs if talk => "Validating refs in collections...".to_owned(),
                FsckStep::Commits if talk => "Enumerating commits...".to_owned(),
                FsckStep::Objects { commits } if talk => {
                    format!("Verifying content integrity of {commits} commit objects...")
                }
                FsckStep::AddedTombstone(commit) if !args.json => {
                    format!("Adding tombstone for commit {commit}")
                }
                _ => return,
            };
            // Each step may take long, so its line is shown at once.
            if written.is_ok() {
                written = writeln!(out, "{line}").and_then(|()| out.flush());
            }
        };
        repo.fsck(&options, &mut steps, &session.ctx)
    };
    written?;
    if args.json {
        return print_json(result, findings, session);
    }
    let report = result?;
    if report.partial_commits > 0 && !args.add_tombstones {
        writeln!(session.out, "{} partial commits not verified", report.partial_commits)?;
    }
    session.out.flush().context("writing the result")?;
    report.result()?;
    let commits = report.commits;
    Ok(writeln!(session.out, "object fsck of {commits} commits completed successfully - no errors found.")?)
}

/// Prints what was found, also if the check ended with it.
fn print_json(
    result: Result<FsckReport, FsckError>,
    mut findings: Vec<FindingJson>,
    session: &mut Session,
) -> anyhow::Result<()> {
    if let Err(FsckError::Corrupt(finding)) = &result {
        findings.push(FindingJson::of(finding));
    }
    let (report, error) = match result {
        Ok(report) => {
            let error = report.result().err();
            (report, error)
        }
        Err(error) => (FsckReport::default(), Some(error)),
    };
    let json = Json {
        commits: report.commits,
        objects: report.objects,
        partial_commits: report.partial_commits,
        partial_by_fsck: report.partial_by_fsck,
        findings,
        tombstones: report.tombstones.iter().map(ToString::to_string).collect(),
        error: error.as_ref().map(|error| advice::chain(crate::base::causes(error))),
    };
    session.out.json(&json)?;
    session.out.flush()?;
    error.map_or(Ok(()), |error| Err(error.into()))
}

impl FindingJson {
    fn of(finding: &Finding) -> Self {
        Self {
            object: finding.name.to_string(),
            problem: if matches!(finding.problem, Problem::Missing) { "missing" } else { "corrupt" },
            detail: advice::without_numbers(&finding.to_string()),
            commits: finding.commits.iter().map(ToString::to_string).collect(),
            path: finding.path.clone(),
        }
    }
}
