//! `admin upgrade`: the newest commit of the ref that the system was deployed from becomes what it boots next.

use std::io::Write;

use anyhow::bail;

use super::upstream::{Age, Fetch, Finish, Upstream, reboot};
use super::{Locked, SysrootOptions};
use crate::cli::terminal::Session;
use crate::format::CommitId;
use crate::sysroot::{Cleanup, Stateroot};

/// Arguments of `admin upgrade`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: SysrootOptions,
    /// The stateroot to upgrade, instead of the booted one
    #[arg(long, value_name = "STATEROOT")]
    os: Option<Stateroot>,
    /// Restart the machine afterwards, by `systemctl reboot`
    #[arg(short, long)]
    reboot: bool,
    /// Deploy also what is older than what is deployed
    #[arg(long)]
    allow_downgrade: bool,
    /// Deploy this commit in place of the newest
    #[arg(long, value_name = "COMMIT")]
    override_commit: Option<CommitId>,
    /// Only fetch
    #[arg(long)]
    pull_only: bool,
    /// Fetch nothing: deploy what is here already
    #[arg(long)]
    deploy_only: bool,
    /// Finish the deployment when the machine shuts down
    #[arg(long)]
    stage: bool,
}

/// Upgrades.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    if args.pull_only && args.deploy_only {
        bail!("Cannot simultaneously specify --pull-only and --deploy-only");
    }
    if args.pull_only && args.reboot {
        bail!("Cannot simultaneously specify --pull-only and --reboot");
    }
    let Locked { mut sysroot, deployments, _lock } = args.common.lock(session)?;
    let mut upstream = Upstream::of(&deployments, args.os.as_ref())?;
    upstream.refuse_unconfigured()?;
    upstream.set_origin(next_origin(args, &upstream)?);
    let fetch = if args.deploy_only { Fetch::Nothing } else { Fetch::FromRemote };
    let age = if args.allow_downgrade { Age::Any } else { Age::NotOlder };
    let fetched = upstream.fetch(sysroot.repo_mut(), fetch, age, session);
    if fetched.is_err() && args.pull_only {
        // Whoever pulls often and deploys seldom does not want to keep what came in between.
        let _ = sysroot.cleanup(&deployments, Cleanup::All, &session.ctx);
    }
    let (commit, is_new) = fetched?;
    if !is_new {
        return Ok(writeln!(session.out, "No update available.")?);
    }
    let booted = deployments.clone();
    if !args.pull_only {
        let finish = if args.stage { Finish::AtShutdown } else { Finish::Now };
        upstream.deploy(&sysroot, deployments, commit, finish, session)?;
    }
    if args.reboot { reboot(&booted) } else { Ok(()) }
}

/// The origin of what will be deployed: without what concerns the deployment before alone.
fn next_origin(args: &Args, upstream: &Upstream) -> anyhow::Result<crate::sysroot::DeploymentOrigin> {
    let mut origin = upstream.origin().clone();
    origin.remove_transient();
    if let Some(commit) = &args.override_commit {
        origin.keys_mut().set_string("origin", "override-commit", &commit.to_string())?;
    }
    Ok(origin)
}
