//! `static-delta`: updates as a few files.

mod apply;
mod generate;
mod named;
mod show;
mod verify;

use std::io::Write;

use anyhow::Context;

use self::named::Named;
use super::{Common, resolve};
use crate::cli::terminal::Session;
use crate::format::CommitId;
use crate::repo::{DeltaFile, Repo};

/// The verbs below `static-delta`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// List static deltas
    List(ListArgs),
    /// Show what is in a static delta
    Show(NameArgs),
    /// Delete a static delta
    Delete(NameArgs),
    /// Make a static delta from one commit to another
    ///
    /// Who has the first commit gets the second one by it in a few files instead of thousands. Files that are like old ones
    /// become patches; large new ones are left to be fetched as they are.
    Generate(Box<generate::Args>),
    /// Write the commit that a static delta leads to, from its files
    ///
    /// The objects of the commit that the delta starts from have to be in the repository. No ref is changed. Once a key
    /// is named, the delta has to be signed by it.
    ApplyOffline(apply::Args),
    /// Look for a good signature of a static delta
    Verify(verify::Args),
    /// List the commits that have an index of the static deltas to them
    Indexes(ListArgs),
    /// Write the indexes of static deltas anew
    Reindex(ReindexArgs),
}

/// Arguments of verbs that list something.
#[derive(clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    common: Common,
}

/// Arguments of verbs that are about one static delta.
#[derive(clap::Args)]
pub(crate) struct NameArgs {
    #[command(flatten)]
    common: Common,
    /// The static delta: the commits from which and to which it leads, or only the latter
    #[arg(value_name = "FROM-TO")]
    name: Named,
}

/// Arguments of `static-delta reindex`.
#[derive(clap::Args)]
pub(crate) struct ReindexArgs {
    #[command(flatten)]
    common: Common,
    /// Write only the index of the deltas to this commit
    #[arg(long, value_name = "REV")]
    to: Option<String>,
}

/// Does what the arguments ask for.
pub(crate) fn run(verb: &Verb, session: &mut Session) -> anyhow::Result<()> {
    match verb {
        Verb::List(args) => {
            let deltas = args.common.open()?.deltas()?;
            print("(No static deltas)", &deltas, session)
        }
        Verb::Indexes(args) => {
            let indexes = args.common.open()?.delta_indexes()?;
            print("(No static deltas indexes)", &indexes, session)
        }
        Verb::Show(args) => show::show(&args.common.open()?, &args.name, session),
        Verb::Delete(args) => delete(&args.common.open()?, &args.name),
        Verb::Generate(args) => generate::run(args, session),
        Verb::ApplyOffline(args) => apply::run(args, session),
        Verb::Verify(args) => verify::run(args, session),
        Verb::Reindex(args) => reindex(args),
    }
}

/// Prints each on a line of its own.
fn print<T: std::fmt::Display>(none: &str, all: &[T], session: &mut Session) -> anyhow::Result<()> {
    if all.is_empty() {
        writeln!(session.out, "{none}")?;
    }
    for one in all {
        writeln!(session.out, "{one}")?;
    }
    Ok(())
}

fn delete(repo: &Repo, name: &Named) -> anyhow::Result<()> {
    let name = name.in_repo()?;
    repo.open_delta(&DeltaFile::Superblock(name))?.with_context(|| format!("Can't find delta {name}"))?;
    Ok(repo.delete_delta(&name)?)
}

fn reindex(args: &ReindexArgs) -> anyhow::Result<()> {
    let mut repo = args.common.open()?;
    repo.require_writable()?;
    let only: Option<CommitId> = args.to.as_ref().map(|rev| resolve(&repo, rev)).transpose()?;
    match only {
        Some(to) => repo.reindex_deltas_to(&to)?,
        None => repo.reindex_deltas()?,
    }
    Ok(())
}
