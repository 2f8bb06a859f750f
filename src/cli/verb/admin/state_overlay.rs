//! `admin state-overlay`: what is written to a directory of the deployment is kept in `/var`, for the service
//! `ostree-state-overlay@`.

use std::path::PathBuf;

use anyhow::bail;

use super::SysrootOptions;
use crate::host::Machine;

/// Arguments of `admin state-overlay`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: SysrootOptions,
    /// The directory below /var/ostree/state-overlays that keeps it
    #[arg(value_name = "NAME")]
    name: String,
    /// The directory of the running system
    #[arg(value_name = "MOUNTPATH", value_hint = clap::ValueHint::DirPath)]
    at: PathBuf,
}

/// Mounts the overlay.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("You must be root to perform this command");
    }
    Ok(Machine::from_env().mount_state_overlay(args.common.path(), &args.name, &args.at)?)
}
