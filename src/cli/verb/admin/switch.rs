//! `admin switch`: upgrades come from another ref from now on, beginning with what it names now.

use std::io::Write;

use anyhow::{Context, bail};

use super::upstream::{Age, Fetch, Finish, Upstream, reboot};
use super::{Locked, SysrootOptions};
use crate::cli::locate;
use crate::cli::terminal::Session;
use crate::format::RefSpec;
use crate::store::Txn;
use crate::sysroot::{DeploymentOrigin, Stateroot};

/// Arguments of `admin switch`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: SysrootOptions,
    /// The stateroot to switch, instead of the booted one
    #[arg(long, value_name = "STATEROOT")]
    os: Option<Stateroot>,
    /// Restart the machine afterwards, by `systemctl reboot`
    #[arg(short, long)]
    reboot: bool,
    /// The new ref, as REMOTE:REF; REF alone is one of the same remote, REMOTE: the same ref of another remote
    #[arg(value_name = "REFSPEC")]
    refspec: String,
}

/// Switches.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let Locked { mut sysroot, deployments, _lock } = args.common.lock(session)?;
    let mut upstream = Upstream::of(&deployments, args.os.as_ref())?;
    let old = upstream.refspec()?;
    let new = other(&old, &args.refspec)?;
    if new == old {
        bail!("Old and new refs are equal: {new}");
    }
    upstream.set_origin(DeploymentOrigin::from_refspec(&new.to_string())?);
    // Two refs have no common history that one could be older in.
    let (commit, _) = upstream.fetch(sysroot.repo_mut(), Fetch::FromRemote, Age::Any, session)?;
    let booted = deployments.clone();
    upstream.deploy(&sysroot, deployments, commit, Finish::Now, session)?;
    writeln!(session.out, "Deleting ref '{old}'")?;
    locate::in_transaction(sysroot.repo(), &session.ctx, |txn| Ok(txn.set_ref(&old, None)?))?;
    if args.reboot { reboot(&booted) } else { Ok(()) }
}

/// The ref that is meant, as seen from the old one.
fn other(old: &RefSpec, text: &str) -> anyhow::Result<RefSpec> {
    if let Some(remote) = text.strip_suffix(':') {
        let remote = remote.parse().with_context(|| format!("Invalid refspec {text}"))?;
        return Ok(RefSpec { remote: Some(remote), name: old.name.clone() });
    }
    let new: RefSpec = text.parse().with_context(|| format!("Invalid refspec {text}"))?;
    Ok(RefSpec { remote: new.remote.or_else(|| old.remote.clone()), name: new.name })
}
