//! Verbs about the deployment that is finished when the machine shuts down: `lock-finalization`, `finalize-staged`.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::{Locked, SysrootOptions};
use crate::cli::terminal::Session;
use crate::sysroot::{Stage, StagedLock};

/// Arguments of `admin lock-finalization`.
#[derive(clap::Args)]
pub(crate) struct LockArgs {
    #[command(flatten)]
    common: SysrootOptions,
    /// Let it be finished
    #[arg(short, long)]
    unlock: bool,
}

/// Arguments of `admin finalize-staged`.
#[derive(clap::Args)]
pub(crate) struct FinalizeArgs {
    #[command(flatten)]
    common: SysrootOptions,
    /// Keep /boot mounted until the process is told to end
    #[arg(long, hide = true)]
    hold: bool,
}

/// Locks or unlocks the staged deployment.
pub(crate) fn lock(args: &LockArgs, session: &mut Session) -> anyhow::Result<()> {
    let Locked { sysroot, deployments, _lock } = args.common.lock(session)?;
    let staged = deployments.staged().context("No staged deployment")?;
    let is_locked = staged.stage == Stage::Locked;
    let said = match (args.unlock, is_locked) {
        (true, false) => "Staged deployment is already prepared for finalization",
        (false, true) => "Staged deployment is already finalization locked",
        (unlock, _) => {
            let lock = if unlock { StagedLock::Open } else { StagedLock::Locked };
            sysroot.lock_staged(&deployments, lock)?;
            if unlock {
                "Staged deployment is now queued to apply on shutdown"
            } else {
                "Staged deployment is now finalization locked"
            }
        }
    };
    Ok(writeln!(session.out, "{said}")?)
}

/// Finishes the staged deployment.
pub(crate) fn finalize(args: &FinalizeArgs, session: &Session) -> anyhow::Result<()> {
    // The service runs on every machine that has it installed.
    if !Path::new("/run/ostree-booted").exists() {
        return Ok(());
    }
    if args.hold {
        let sysroot = args.common.open()?;
        // Who comes later needs it; systemd does not unmount what somebody has open.
        let _boot = sysroot.boot_dir()?;
        loop {
            session.ctx.cancel.check()?;
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    let Locked { sysroot, deployments, _lock } = args.common.lock(session)?;
    sysroot.finalize_staged(deployments, &session.ctx)?;
    Ok(())
}
