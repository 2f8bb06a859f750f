//! `system-generator`: what systemd calls to learn of mounts. `ostree-system-generator` is another name.

use std::path::PathBuf;

use crate::host::Machine;

/// Arguments of `system-generator`, as systemd gives them to every generator.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where units are written
    #[arg(value_name = "NORMAL-DIR", default_value = "/tmp")]
    normal: PathBuf,
    /// Where units that precede all others would be written
    #[arg(value_name = "EARLY-DIR")]
    early: Option<PathBuf>,
    /// Where units that everybody else precedes would be written
    #[arg(value_name = "LATE-DIR")]
    late: Option<PathBuf>,
}

/// Writes the units.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let Args { normal, early: _, late: _ } = args;
    Ok(Machine::from_env().generate_units(normal)?)
}
