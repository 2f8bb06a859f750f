//! Soft reboots: `prepare-soft-reboot`, and `impl-prepare-soft-reboot`, by which libostree has it done.

use anyhow::{Context, bail};

use super::{Locked, SysrootOptions};
use crate::cli::terminal::Session;
use crate::host::Machine;

/// Arguments of `admin prepare-soft-reboot`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: SysrootOptions,
    /// Restart everything but the kernel at once (systemctl soft-reboot)
    #[arg(long)]
    reboot: bool,
    /// Let a soft reboot lead to the deployment that runs, whatever was prepared
    #[arg(long)]
    reset: bool,
    /// The place of the deployment in the list of `status`, from 0
    #[arg(value_name = "INDEX", required_unless_present = "reset")]
    index: Option<usize>,
}

/// Arguments of `admin impl-prepare-soft-reboot`.
#[derive(clap::Args)]
pub(crate) struct MountArgs {}

/// Mounts the deployment in /run/nextroot.
pub(crate) fn prepare(args: &Args, session: &Session) -> anyhow::Result<()> {
    let Locked { sysroot, deployments, _lock } = args.common.lock(session)?;
    if args.reset {
        return Ok(sysroot.clear_soft_reboot(&deployments)?);
    }
    let index = args.index.context("INDEX must be specified")?;
    let target = deployments.at(index)?;
    if deployments.is_booted(target) {
        bail!("Cannot prepare for soft-reboot currently booted deployment {index}");
    }
    let (target, machine) = (target.id.clone(), Machine::from_env());
    let prepared = machine.prepare_soft_reboot(&sysroot, deployments, &target, &session.ctx);
    prepared.context("Preparing /run/nextroot for a soft-reboot")?;
    if args.reboot { Ok(machine.soft_reboot()?) } else { Ok(()) }
}

/// Mounts the deployment that the current directory is, in the mounts of this process.
pub(crate) fn mount(_: &MountArgs) -> anyhow::Result<()> {
    let machine = Machine::from_env();
    machine.mount_next_root(&machine.current_deployment()?)?;
    Ok(())
}
