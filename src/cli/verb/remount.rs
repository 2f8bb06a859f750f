//! `remount`: early in the running system, remounts what the initramfs had planned. `ostree-remount` is another name.

use std::io::Write;

use crate::cli::terminal::Session;
use crate::host::Machine;

/// Arguments of `remount`: none.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Remounts, and names what changed.
pub(crate) fn run(_: &Args, session: &mut Session) -> anyhow::Result<()> {
    for name in Machine::from_env().remount()? {
        writeln!(session.out, "Remounted /{name}")?;
    }
    Ok(())
}
