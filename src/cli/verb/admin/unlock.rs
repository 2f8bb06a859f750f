//! `admin unlock`: `/usr` of the running system can be written.

use std::io::Write;
use std::path::Path;

use super::{Locked, SysrootOptions};
use crate::cli::terminal::Session;
use crate::sysroot::Unlock;

/// Arguments of `admin unlock`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: SysrootOptions,
    /// Keep what is changed beyond the next boot, and a deployment without it to go back to
    #[arg(long)]
    hotfix: bool,
    /// Let only those write who remount /usr in a mount namespace of their own
    #[arg(long, conflicts_with = "hotfix")]
    transient: bool,
}

const HOTFIX: &str = "Hotfix mode enabled.  A writable overlayfs is now mounted on /usr\n\
                      for this booted deployment.  A non-hotfixed clone has been created\n\
                      as the non-default rollback target.";
const DEVELOPMENT: &str = "Development mode enabled.  A writable overlayfs is now mounted on /usr.\n\
                           All changes there will be discarded on reboot.";
const TRANSIENT: &str = "A writable overlayfs is prepared for /usr, but is mounted read-only by default.\n\
                         All changes there will be discarded on reboot.";

/// Mounts the overlay.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let (how, said) = match (args.hotfix, args.transient) {
        (true, _) => (Unlock::Hotfix, HOTFIX),
        (false, true) => (Unlock::Transient, TRANSIENT),
        (false, false) => (Unlock::Development, DEVELOPMENT),
    };
    let Locked { sysroot, deployments, _lock } = args.common.lock(session)?;
    sysroot.unlock(deployments, how, Path::new("/usr"), &session.ctx)?;
    Ok(writeln!(session.out, "{said}")?)
}
