//! `container image upgrade` and `container image switch`: the next image for a machine that was deployed from one.

use std::io::Write;

use anyhow::Context;

use super::super::update::PullingOptions;
use super::super::upgrade::{Extent, Upgraded, check, upgrade as upgrade_to};
use crate::cli::terminal::{Nothing, Session};
use crate::cli::verb::admin::{Locked, SysrootOptions};
use crate::container::image::OstreeImageReference;
use crate::host::image_of;
use crate::sysroot::{Deployments, Stateroot};

/// Options of both.
#[derive(clap::Args)]
struct Common {
    #[command(flatten)]
    sysroot: SysrootOptions,
    /// The name of the stateroot [default: that of the running system, or the only one with deployments]
    #[arg(long, alias = "os", value_name = "STATEROOT")]
    stateroot: Option<Stateroot>,
    #[command(flatten)]
    pulling: PullingOptions,
    /// Pull the image, and deploy nothing
    #[arg(long)]
    pull_only: bool,
}

/// Arguments of `container image upgrade`.
#[derive(clap::Args)]
pub(crate) struct UpgradeArgs {
    #[command(flatten)]
    common: Common,
    /// Only tell what is new: digest, version, bytes to fetch, packages; exit with 77 if there is nothing
    #[arg(long, conflicts_with = "pull_only")]
    check: bool,
    /// Print one JSON object
    #[arg(long, requires = "check")]
    json: bool,
}

/// Arguments of `container image switch`.
#[derive(clap::Args)]
pub(crate) struct SwitchArgs {
    #[command(flatten)]
    common: Common,
    /// The image, and who vouches for it: ostree-image-signed:…, ostree-remote-image:REMOTE:…, ostree-unverified-image:…
    image: OstreeImageReference,
}

impl Common {
    fn stateroot(&self, deployments: &Deployments) -> anyhow::Result<Stateroot> {
        let mut all: Vec<_> = deployments.list.iter().map(|deployment| &deployment.id.stateroot).collect();
        all.dedup();
        let only = match all[..] {
            [only] => Some(only.clone()),
            _ => None,
        };
        Ok(deployments.stateroot_or_booted(self.stateroot.as_ref().or(only.as_ref()))?)
    }

    /// The image that upgrades come from, and the stateroot that gets them.
    fn image(&self, current: &Deployments) -> anyhow::Result<(Stateroot, OstreeImageReference)> {
        let stateroot = self.stateroot(current)?;
        let merge = current.merge_deployment(&stateroot);
        let merge = merge.with_context(|| format!("No previous deployment for OS '{stateroot}'"))?;
        let none =
            || format!("{} came from no image: 'admin upgrade' takes what a remote has", merge.id.name());
        Ok((stateroot.clone(), image_of(merge)?.with_context(none)?))
    }

    fn upgrade(
        &self,
        locked: &Locked,
        current: Deployments,
        (stateroot, image): (&Stateroot, &OstreeImageReference),
        session: &mut Session,
    ) -> anyhow::Result<()> {
        let extent = if self.pull_only { Extent::PullOnly } else { Extent::Deploy };
        let how = (extent, None, &self.pulling);
        match upgrade_to(&locked.sysroot, current, stateroot, image, how, session)? {
            Upgraded::Yes => Ok(()),
            Upgraded::No => Ok(writeln!(session.out, "No update available.")?),
        }
    }
}

/// Upgrades to what the image of the newest deployment is now.
pub(super) fn upgrade(args: &UpgradeArgs, session: &mut Session) -> anyhow::Result<()> {
    let common = &args.common;
    if args.check {
        let sysroot = common.sysroot.open()?;
        let (stateroot, image) = common.image(&sysroot.load()?)?;
        return match check(&sysroot, &stateroot, &image, (&common.pulling, args.json), session)? {
            Upgraded::Yes => Ok(()),
            Upgraded::No => Err(Nothing.into()),
        };
    }
    let locked = common.sysroot.lock(session)?;
    let current = locked.deployments.clone();
    let (stateroot, image) = common.image(&current)?;
    common.upgrade(&locked, current, (&stateroot, &image), session)
}

/// Lets upgrades come from another image, and takes the first of them.
pub(super) fn switch(args: &SwitchArgs, session: &mut Session) -> anyhow::Result<()> {
    let common = &args.common;
    let locked = common.sysroot.lock(session)?;
    let current = locked.deployments.clone();
    let stateroot = common.stateroot(&current)?;
    common.upgrade(&locked, current, (&stateroot, &args.image), session)
}
