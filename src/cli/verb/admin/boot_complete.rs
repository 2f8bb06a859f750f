//! `admin boot-complete`: what is left to be said and done once a boot has succeeded, for the service
//! `ostree-boot-complete`.

use anyhow::bail;

use super::{Locked, SysrootOptions};
use crate::cli::terminal::Session;

/// Arguments of `admin boot-complete`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: SysrootOptions,
}

/// Fails with the reason if the deployment that was staged before this boot was not finished; else a soft reboot is over.
pub(crate) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let Locked { sysroot, deployments, _lock } = args.common.lock(session)?;
    if deployments.booted().is_none() {
        return Ok(());
    }
    match sysroot.take_finalize_failure()? {
        Some(why) => bail!("ostree-finalize-staged.service failed on previous boot: {why}"),
        None => Ok(sysroot.finish_soft_reboot(&deployments)?),
    }
}
