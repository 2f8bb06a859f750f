//! `admin os-init`, also called `stateroot-init`: an empty stateroot.

use std::io::Write;

use crate::cli::terminal::Session;
use crate::sysroot::{Stateroot, Sysroot};

/// Arguments of `admin os-init`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: super::SysrootOptions,
    /// The name of the stateroot
    #[arg(value_name = "STATEROOT")]
    name: Stateroot,
}

/// Makes the directories.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let locked = args.common.lock(session)?;
    Sysroot::ensure_ostree(locked.sysroot.dir())?;
    locked.sysroot.create_stateroot(&args.name)?;
    Ok(writeln!(session.out, "ostree/deploy/{} initialized as OSTree stateroot", args.name)?)
}
