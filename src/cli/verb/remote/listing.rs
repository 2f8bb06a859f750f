//! `remote refs` and `remote summary`: what a remote says about itself.

use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context;

use super::super::Common;
use super::remote_name;
use crate::cli::summary_text;
use crate::cli::terminal::Session;
use crate::format::commitmeta::{self, SignatureKind};
use crate::format::variant::Dict;
use crate::host::{self, Machine};
use crate::sign::gpg;

/// Arguments of `remote refs`.
#[derive(clap::Args)]
pub(crate) struct RefsArgs {
    #[command(flatten)]
    common: Common,
    /// Print commits too
    #[arg(short, long)]
    revision: bool,
    /// Keep summaries for the next time in this directory
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// The remote
    name: String,
}

/// Arguments of `remote summary`.
#[derive(clap::Args)]
pub(crate) struct SummaryArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    part: summary_text::Part,
    /// Keep summaries for the next time in this directory
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// The remote
    name: String,
}

/// Lists the refs in the summary of the remote.
pub(super) fn refs(args: &RefsArgs, session: &mut Session) -> anyhow::Result<()> {
    let (repo, name) = (args.common.open()?, remote_name(&args.name)?);
    let (_, summary) =
        Machine::from_env().remote_summary(&repo, &name, args.cache_dir.as_deref(), &session.ctx)?;
    let summary = summary.context("Remote refs not available; server has no summary file")?;
    for entry in &summary.parsed.refs {
        match args.revision {
            true => writeln!(session.out, "{name}:{}\t{}", entry.name, entry.commit)?,
            false => writeln!(session.out, "{name}:{}", entry.name)?,
        }
    }
    Ok(())
}

/// Prints the summary of the remote.
pub(super) fn summary(args: &SummaryArgs, session: &mut Session) -> anyhow::Result<()> {
    let (repo, name) = (args.common.open()?, remote_name(&args.name)?);
    let (config, summary) =
        Machine::from_env().remote_summary(&repo, &name, args.cache_dir.as_deref(), &session.ctx)?;
    let summary = summary.context("Remote server has no summary file")?;
    if args.part.print(&mut session.out, &summary.bytes, &summary.parsed, false)?
        && let (true, Some(signatures)) = (config.gpg_verify_summary, &summary.signatures)
    {
        let keyring = Machine::from_env().keyring_of_remote(&repo, &name)?;
        let signatures = Dict::parse(signatures).context("summary.sig")?;
        let signatures = commitmeta::signatures(&signatures, SignatureKind::Gpg)?;
        let verdicts = gpg::verify(&keyring, &summary.bytes, signatures, SystemTime::now());
        let s = if verdicts.len() == 1 { "" } else { "s" };
        writeln!(session.out, "\nGPG: Verification enabled, found {} signature{s}:", verdicts.len())?;
        write!(session.out, "{}", host::describe_verdicts(&verdicts))?;
    }
    Ok(())
}
