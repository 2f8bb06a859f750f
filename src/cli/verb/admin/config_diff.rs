//! `admin config-diff`: what was changed in `/etc`.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use anyhow::Context;

use crate::cli::terminal::Session;
use crate::sysroot::{Stateroot, etc};

/// Arguments of `admin config-diff`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: super::SysrootOptions,
    /// The stateroot to look at, instead of the booted one
    #[arg(long, value_name = "STATEROOT")]
    os: Option<Stateroot>,
}

/// Lists what is modified, gone and new, by letters as C ostree does.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let sysroot = args.common.open()?;
    let deployments = sysroot.load()?;
    let deployment = match &args.os {
        Some(stateroot) => deployments
            .merge_deployment(stateroot)
            .with_context(|| format!("No deployment for OS '{stateroot}'"))?,
        None => {
            deployments.stateroot_or_booted(None)?;
            deployments.require_booted()?
        }
    };
    let (default, current) = sysroot.etc_of(&deployment.id)?;
    let changes = etc::changes(&default, &current, &session.ctx)?;
    for (letter, paths) in [('M', &changes.modified), ('D', &changes.removed), ('A', &changes.added)] {
        print(letter, paths, session)?;
    }
    Ok(())
}

fn print(letter: char, paths: &[PathBuf], session: &mut Session) -> anyhow::Result<()> {
    for path in paths {
        write!(session.out, "{letter}    ")?;
        session.out.write_all(path.as_os_str().as_bytes())?;
        writeln!(session.out)?;
    }
    Ok(())
}
