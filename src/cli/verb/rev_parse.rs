//! `rev-parse`: the commits that revisions name.

use std::io::Write;

use anyhow::bail;

use super::{Common, resolve};
use crate::cli::terminal::Session;
use crate::store::Refs;

/// Arguments of `rev-parse`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Print the only commit of the repository; it is an error if there is another number of commits
    #[arg(short = 'S', long, conflicts_with = "revs")]
    single: bool,
    /// Refs, checksums, abbreviated checksums; with a '^' behind each for its parent
    #[arg(value_name = "REV", required_unless_present = "single")]
    revs: Vec<String>,
}

/// Prints one checksum a line.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    if args.single {
        match repo.commits_with_prefix("")?.as_slice() {
            [only] => writeln!(session.out, "{only}")?,
            [] => bail!("No commit objects found"),
            _ => bail!("Multiple commit objects found"),
        }
    }
    for rev in &args.revs {
        writeln!(session.out, "{}", resolve(&repo, rev)?)?;
    }
    Ok(())
}
