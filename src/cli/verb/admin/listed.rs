//! Verbs that change the list of deployments: `undeploy`, `set-default`, `pin`, `set-origin`, `cleanup`.

use std::io::Write;

use anyhow::{Context, bail};

use super::{Locked, SysrootOptions};
use crate::cli::terminal::Session;
use crate::cli::verb::remote;
use crate::format::{RefSpec, RemoteName};
use crate::sysroot::{Cleanup, DeploymentOrigin, Deployments};

/// Arguments of `admin cleanup` and `admin post-copy`.
#[derive(clap::Args)]
pub(crate) struct CleanupArgs {
    #[command(flatten)]
    common: SysrootOptions,
}

/// Arguments of `admin undeploy` and `admin set-default`.
#[derive(clap::Args)]
pub(crate) struct IndexArgs {
    #[command(flatten)]
    common: SysrootOptions,
    /// The place of the deployment in the list of `status`, from 0
    #[arg(value_name = "INDEX")]
    index: String,
}

/// Arguments of `admin pin`.
#[derive(clap::Args)]
pub(crate) struct PinArgs {
    #[command(flatten)]
    common: SysrootOptions,
    /// Let cleanup delete the deployment again
    #[arg(short, long)]
    unpin: bool,
    /// Places in the list of `status`, from 0; or booted, pending, rollback
    #[arg(value_name = "DEPLOYMENT", required = true)]
    which: Vec<String>,
}

/// Arguments of `admin set-origin`.
#[derive(clap::Args)]
pub(crate) struct SetOriginArgs {
    #[command(flatten)]
    common: SysrootOptions,
    /// Set an option of the remote
    #[arg(short, long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The place of the deployment in the list of `status` [default: the booted one]
    #[arg(long, value_name = "INDEX")]
    index: Option<usize>,
    /// The remote, which is added if it does not exist
    #[arg(value_name = "NAME")]
    remote: RemoteName,
    /// Where the remote is
    url: String,
    /// The ref [default: the same as before]
    #[arg(value_name = "BRANCH")]
    branch: Option<String>,
}

/// Deletes what no deployment needs.
pub(crate) fn cleanup(args: &CleanupArgs, session: &Session) -> anyhow::Result<()> {
    let Locked { sysroot, deployments, _lock } = args.common.lock(session)?;
    Ok(sysroot.cleanup(&deployments, Cleanup::All, &session.ctx)?)
}

/// Does what a copy of a sysroot lacks: fs-verity, where the repository's files are to have it.
pub(crate) fn post_copy(args: &CleanupArgs, session: &Session) -> anyhow::Result<()> {
    let Locked { sysroot, deployments, _lock } = args.common.lock(session)?;
    Ok(sysroot.finish_copy(&deployments, &session.ctx)?)
}

/// Deletes a deployment.
pub(crate) fn undeploy(args: &IndexArgs, session: &mut Session) -> anyhow::Result<()> {
    let Locked { sysroot, deployments, _lock } = args.common.lock(session)?;
    let index = number(&args.index)?;
    let target = deployments.at(index)?.id.clone();
    if deployments.booted().is_some_and(|booted| booted.id == target) {
        bail!("Cannot undeploy currently booted deployment {index}");
    }
    let written = sysroot.undeploy(deployments, &target, &session.ctx)?;
    writeln!(session.out, "Deleted deployment {}", target.name())?;
    sysroot.cleanup(&written, Cleanup::All, &session.ctx).context("Performing final cleanup")
}

/// Lets the machine boot a deployment next.
pub(crate) fn set_default(args: &IndexArgs, session: &Session) -> anyhow::Result<()> {
    let Locked { sysroot, deployments, _lock } = args.common.lock(session)?;
    let next = deployments.at(number(&args.index)?)?.id.clone();
    sysroot.set_default(deployments, &next, &session.ctx)?;
    Ok(())
}

/// Lets cleanup leave deployments alone, or not.
pub(crate) fn pin(args: &PinArgs, session: &mut Session) -> anyhow::Result<()> {
    let Locked { sysroot, deployments, _lock } = args.common.lock(session)?;
    for which in &args.which {
        let index = index_of(&deployments, which)?;
        let deployment = deployments.at(index)?;
        let pin = !args.unpin;
        if deployment.is_pinned() == pin {
            let state = if pin { "pinned" } else { "unpinned" };
            writeln!(session.out, "Deployment {index} is already {state}")?;
            continue;
        }
        if deployment.is_staged() {
            bail!("Cannot pin staged deployment");
        }
        let mut origin = deployment.origin.clone().unwrap_or_default();
        origin.set_pinned(pin)?;
        sysroot.write_origin(deployment, &origin)?;
        writeln!(session.out, "Deployment {index} is now {}", if pin { "pinned" } else { "unpinned" })?;
    }
    Ok(())
}

fn index_of(deployments: &Deployments, which: &str) -> anyhow::Result<usize> {
    let stateroot = deployments.booted().map(|booted| booted.id.stateroot.clone());
    let (pending, rollback) = stateroot.map_or((None, None), |name| deployments.around_booted(&name));
    let role = match which {
        "booted" => deployments.booted(),
        "pending" => pending,
        "rollback" => rollback,
        _ => return number(which),
    };
    let role = role.with_context(|| format!("Deployment type not found: {which}"))?;
    Ok(deployments.place_of(&role.id)?)
}

/// A place in the list, as it is typed.
fn number(text: &str) -> anyhow::Result<usize> {
    if text.is_empty() || text.bytes().any(|byte| !byte.is_ascii_digit()) {
        bail!("Invalid index: {text}");
    }
    text.parse().with_context(|| format!("Index too large: {text}"))
}

/// Lets upgrades of a deployment come from a remote.
pub(crate) fn set_origin(args: &SetOriginArgs, session: &Session) -> anyhow::Result<()> {
    let Locked { mut sysroot, deployments, _lock } = args.common.lock(session)?;
    let target = match args.index {
        Some(index) => deployments.at(index)?,
        None => deployments.require_booted()?,
    };
    let before = target.origin.as_ref().and_then(DeploymentOrigin::refspec);
    let before: Option<RefSpec> = before.map(|refspec| refspec.parse()).transpose()?;
    let branch = args.branch.clone().or_else(|| before.map(|refspec| refspec.name.to_string()));
    let branch = branch.context("No host refspec found, branch is required")?;
    let remote = (&args.remote, &*args.url);
    remote::add_if_missing(sysroot.repo_mut(), &args.common.path(), remote, &args.set)?;
    let origin = DeploymentOrigin::from_refspec(&format!("{}:{branch}", args.remote))?;
    Ok(sysroot.write_origin(target, &origin)?)
}
