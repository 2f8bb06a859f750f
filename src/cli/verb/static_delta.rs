//! `static-delta`: updates as a few files.

mod apply;
mod show;

use std::io::Write;

use anyhow::{Context, bail};

use super::Common;
use crate::cli::terminal::Session;
use crate::format::delta::DeltaName;
use crate::repo::Repo;

/// The verbs below `static-delta`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// List static deltas
    List(ListArgs),
    /// Show what is in a static delta
    Show(NameArgs),
    /// Delete a static delta
    Delete(NameArgs),
    /// Write the commit that a static delta leads to, from its files
    ///
    /// The objects of the commit that the delta starts from have to be in the repository. No ref is changed.
    ApplyOffline(apply::Args),
}

/// Arguments of `static-delta list`.
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
    name: String,
}

impl NameArgs {
    fn name(&self) -> anyhow::Result<DeltaName> {
        let hint = || format!("'{}' is not the name of a static delta, FROM-TO or TO", self.name);
        self.name.parse().with_context(hint)
    }
}

/// Does what the arguments ask for.
pub(crate) fn run(verb: &Verb, session: &mut Session) -> anyhow::Result<()> {
    match verb {
        Verb::List(args) => list(&args.common.open()?, session),
        Verb::Show(args) => show::show(&args.common.open()?, &args.name()?, session),
        Verb::Delete(args) => delete(&args.common.open()?, &args.name()?),
        Verb::ApplyOffline(args) => apply::run(args, session),
    }
}

fn list(repo: &Repo, session: &mut Session) -> anyhow::Result<()> {
    let deltas = repo.deltas()?;
    if deltas.is_empty() {
        writeln!(session.out, "(No static deltas)")?;
    }
    Ok(deltas.iter().try_for_each(|delta| writeln!(session.out, "{delta}"))?)
}

fn delete(repo: &Repo, name: &DeltaName) -> anyhow::Result<()> {
    if repo.delta_superblock(name)?.is_none() {
        bail!("Can't find delta {name}");
    }
    Ok(repo.delete_delta(name)?)
}
