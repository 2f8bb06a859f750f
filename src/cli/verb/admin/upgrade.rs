//! `admin upgrade`: the newest commit of the ref that the system was deployed from becomes what it boots next.

use std::io::Write;

use anyhow::{Context, bail};

use super::upstream::{Age, Common, Fetch, Upstream};
use super::{Locked, of_image};
use crate::cli::terminal::Session;
use crate::cli::verb::container::upgrade::{Extent, Upgraded};
use crate::container::image::OstreeImageReference;
use crate::format::CommitId;
use crate::host::Finish;
use crate::sysroot::{Cleanup, Deployments, StagedLock, Stateroot, Sysroot};

/// Arguments of `admin upgrade`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
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
    /// Only tell what is new of the image that the system came from: digest, version, bytes to fetch, packages; exit with
    /// 77 if nothing is
    #[arg(long, conflicts_with_all = ["reboot", "kexec", "pull_only", "deploy_only", "stage"])]
    check: bool,
    /// Print one JSON object
    #[arg(long, requires = "check")]
    json: bool,
}

/// Upgrades.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    if args.pull_only && args.deploy_only {
        bail!("Cannot simultaneously specify --pull-only and --deploy-only");
    }
    if args.pull_only
        && let Some(start) = args.common.starts()
    {
        bail!("Cannot simultaneously specify --pull-only and {start}");
    }
    if args.stage && args.common.kexec {
        bail!("Cannot simultaneously specify --stage and --kexec: what is staged has no kernel to start yet");
    }
    if args.check {
        return check(args, session);
    }
    let Locked { mut sysroot, deployments, _lock } = args.common.sysroot.lock(session)?;
    let mut upstream = Upstream::of(&deployments, args.common.os.as_ref())?;
    upstream.refuse_unconfigured()?;
    if let Some(image) = upstream.image()? {
        return to_image(args, &sysroot, deployments, (upstream.stateroot(), &image), session);
    }
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
    if args.pull_only {
        return Ok(());
    }
    let finish = match args.stage {
        true => Finish::AtShutdown { lock: StagedLock::Open },
        false => Finish::AT_ONCE,
    };
    let (stateroot, before) = (upstream.stateroot().clone(), deployments.clone());
    upstream.deploy(&sysroot, deployments, commit, finish, session)?;
    args.common.start(&sysroot, &stateroot, &before)
}

/// Tells what an upgrade would bring.
fn check(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let sysroot = args.common.sysroot.open()?;
    let upstream = Upstream::of(&sysroot.load()?, args.common.os.as_ref())?;
    let image = upstream.image()?;
    let image =
        image.context("--check is for systems that came from an image; 'remote refs' tells of refs")?;
    of_image::look(&sysroot, (upstream.stateroot(), &image), (&args.common.pulling, args.json), session)
}

/// Upgrades a system that came from an image.
fn to_image(
    args: &Args,
    sysroot: &Sysroot,
    deployments: Deployments,
    what: (&Stateroot, &OstreeImageReference),
    session: &mut Session,
) -> anyhow::Result<()> {
    if args.override_commit.is_some() {
        bail!("--override-commit is for refs; 'admin switch' takes an image by its digest");
    }
    let extent = match (args.pull_only, args.deploy_only) {
        (true, _) => Extent::PullOnly,
        (_, true) => Extent::DeployOnly,
        _ => Extent::Deploy,
    };
    let before = deployments.clone();
    match of_image::deploy(sysroot, deployments, what, (extent, &args.common), session)? {
        Upgraded::Yes if extent != Extent::PullOnly => args.common.start(sysroot, what.0, &before),
        _ => Ok(()),
    }
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
