//! `admin switch`: upgrades come from another ref from now on, beginning with what it names now.

use std::io::Write;

use anyhow::{Context, bail};

use super::upstream::{Age, Common, Fetch, Upstream};
use super::{Locked, of_image};
use crate::cli::locate;
use crate::cli::terminal::Session;
use crate::cli::verb::container::upgrade::Extent;
use crate::format::RefSpec;
use crate::host::Finish;
use crate::store::Txn;
use crate::sysroot::{DeploymentOrigin, Sysroot};

/// Arguments of `admin switch`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The new ref, as REMOTE:REF; REF alone is one of the same remote, REMOTE: the same ref of another remote. Or a
    /// container image, and who vouches for it: ostree-image-signed:docker://NAME and the like
    #[arg(value_name = "REFSPEC")]
    refspec: String,
}

/// Switches.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let Locked { mut sysroot, deployments, _lock } = args.common.sysroot.lock(session)?;
    let mut upstream = Upstream::of(&deployments, args.common.os.as_ref())?;
    let old_image = upstream.image()?;
    let old = if old_image.is_some() { None } else { Some(upstream.refspec()?) };
    if let Some(image) = of_image::parse(&args.refspec)? {
        if old_image.as_ref() == Some(&image) {
            bail!("Old and new images are equal: {image}");
        }
        let (what, before) = ((upstream.stateroot(), &image), deployments.clone());
        of_image::deploy(&sysroot, deployments, what, (Extent::Deploy, &args.common), session)?;
        forget(&sysroot, old.as_ref(), session)?;
        return args.common.start(&sysroot, what.0, &before);
    }
    let new = match &old {
        Some(old) => other(old, &args.refspec)?,
        None => args.refspec.parse().with_context(|| format!("Invalid refspec {}", args.refspec))?,
    };
    if old.as_ref() == Some(&new) {
        bail!("Old and new refs are equal: {new}");
    }
    upstream.set_origin(DeploymentOrigin::from_refspec(&new.to_string())?);
    // Two refs have no common history that one could be older in.
    let (commit, _) = upstream.fetch(sysroot.repo_mut(), Fetch::FromRemote, Age::Any, session)?;
    let (stateroot, before) = (upstream.stateroot().clone(), deployments.clone());
    upstream.deploy(&sysroot, deployments, commit, Finish::AT_ONCE, session)?;
    forget(&sysroot, old.as_ref(), session)?;
    args.common.start(&sysroot, &stateroot, &before)
}

/// Deletes the ref that upgrades came from.
fn forget(sysroot: &Sysroot, old: Option<&RefSpec>, session: &mut Session) -> anyhow::Result<()> {
    let Some(old) = old else { return Ok(()) };
    writeln!(session.out, "Deleting ref '{old}'")?;
    locate::in_transaction(sysroot.repo(), &session.ctx, |txn| Ok(txn.set_ref(old, None)?))?;
    Ok(())
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
