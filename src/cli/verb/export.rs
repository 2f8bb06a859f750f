//! `export`: a commit as a plain tar archive.

use std::path::PathBuf;

use super::{Common, resolve};
use crate::cli::terminal::Session;
use crate::cli::whole_file;
use crate::tar::{PlainOptions, PlainXattrs, export_plain};

/// Arguments of `export`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Leave extended attributes out
    #[arg(long)]
    no_xattrs: bool,
    /// Only this directory of the commit
    #[arg(long, value_name = "PATH")]
    subpath: Option<String>,
    /// What to put before every path in the archive
    #[arg(long, value_name = "PATH")]
    prefix: Option<String>,
    /// Where the archive goes [default: standard output]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// No progress bar
    #[arg(short, long)]
    quiet: bool,
    /// The commit
    commit: String,
}

/// Writes the archive.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let id = resolve(&repo, &args.commit)?;
    let options = PlainOptions {
        xattrs: if args.no_xattrs { PlainXattrs::LeaveOut } else { PlainXattrs::Keep },
        subpath: args.subpath.clone().unwrap_or_default(),
        prefix: args.prefix.clone().unwrap_or_default(),
        ..PlainOptions::default()
    };
    session.ctx.phase("Exporting", None, None);
    match &args.output {
        None => export_plain(&repo, &id, session.out.data(), &options, &session.ctx)?,
        Some(path) => {
            whole_file::write(path, |file| Ok(export_plain(&repo, &id, file, &options, &session.ctx)?))?;
        }
    }
    Ok(())
}
