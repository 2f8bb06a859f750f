//! `man`: a manual page for the program and for each verb.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

/// Arguments of `man`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where `ostree-rs.1`, `ostree-rs-commit.1`, … are written to
    dir: PathBuf,
}

/// Writes the pages about `command`.
pub(crate) fn run(args: &Args, command: clap::Command) -> anyhow::Result<()> {
    let shown = args.dir.display();
    fs::create_dir_all(&args.dir).with_context(|| format!("Creating {shown}"))?;
    clap_mangen::generate_to(command, &args.dir).with_context(|| format!("Writing manual pages into {shown}"))
}
