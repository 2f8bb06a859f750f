//! Images that are deployed: pulled into the repository of a sysroot, and made the deployment that is booted next.

use std::io::Write;

use anyhow::bail;

use super::Image;
use super::vouch::{KeyringOptions, Who};
use crate::cli::images::{self, RegistryOptions};
use crate::cli::terminal::{self, BarOptions, Session, size};
use crate::container::image::OstreeImageReference;
use crate::container::pull::{
    Check, NameImage, PullOptions, StoreOptions, Unneeded, check_image, pull_image,
};
use crate::format::CommitId;
use crate::host::{Finish, ImageDeployment, Machine};
use crate::sysroot::kargs::KernelArgs;
use crate::sysroot::{Deployments, Stateroot, Sysroot};
use crate::tar::Var;

/// Labels of images that are said to boot.
const BOOTABLE: [&str; 2] = ["ostree.bootable", "containers.bootc"];

/// An image that is to be deployed.
pub(in crate::cli::verb) struct Update<'a> {
    pub(in crate::cli::verb) stateroot: &'a Stateroot,
    /// The image that is pulled.
    pub(in crate::cli::verb) image: &'a Image,
    /// The image that upgrades will come from.
    pub(in crate::cli::verb) target: &'a OstreeImageReference,
    pub(in crate::cli::verb) kernel_args: Option<KernelArgs>,
    /// When the deployment is finished, if it is not left to [`ImageDeployment`].
    pub(in crate::cli::verb) finish: Option<Finish>,
    pub(in crate::cli::verb) pulling: &'a PullingOptions,
    /// Whether the image gets its name in the repository.
    pub(in crate::cli::verb) name: NameImage,
}

/// Options of every verb that pulls images into a sysroot.
#[derive(clap::Args)]
pub(in crate::cli::verb) struct PullingOptions {
    #[command(flatten)]
    pub(super) keyring: KeyringOptions,
    #[command(flatten)]
    pub(super) registry: RegistryOptions,
    #[command(flatten)]
    bars: BarOptions,
}

impl Update<'_> {
    /// Pulls the image, unless it is there, and deploys its commit.
    pub(in crate::cli::verb) fn pull_and_deploy(
        &self,
        sysroot: &Sysroot,
        current: Deployments,
        session: &mut Session,
    ) -> anyhow::Result<CommitId> {
        let commit = pull(sysroot, self.image, self.target, (self.pulling, self.name), session)?;
        self.deploy(sysroot, current, commit, session)?;
        Ok(commit)
    }

    /// Deploys a commit of the image.
    pub(in crate::cli::verb) fn deploy(
        &self,
        sysroot: &Sysroot,
        current: Deployments,
        commit: CommitId,
        session: &Session,
    ) -> anyhow::Result<()> {
        let what = ImageDeployment {
            stateroot: self.stateroot,
            commit,
            image: self.target,
            kernel_args: self.kernel_args.clone(),
            finish: self.finish,
        };
        Machine::from_env().deploy_image(sysroot, current, &what, &session.ctx)?;
        Ok(())
    }
}

/// Pulls an image into the repository of a sysroot, unless it is there; gives the commit of all its layers.
pub(in crate::cli::verb) fn pull(
    sysroot: &Sysroot,
    image: &Image,
    target: &OstreeImageReference,
    (pulling, name): (&PullingOptions, NameImage),
    session: &mut Session,
) -> anyhow::Result<CommitId> {
    let repo = sysroot.repo();
    let who = Who::of(image, &pulling.keyring, repo)?;
    let opened = images::open(&image.reference, &pulling.registry, &session.ctx)?;
    let admitted = opened.admit(who.demand(), &session.ctx)?;
    let pull = PullOptions { vouching: who.vouching(), name: None, var: Var::Keep };
    if let Check::Current(stored) = check_image(repo, &admitted, &target.image, &pull)? {
        repo.settle(&session.ctx)?;
        return Ok(stored.commit);
    }
    let labels = admitted.image()?.labels();
    if !BOOTABLE.iter().any(|label| labels.contains_key(*label)) {
        bail!("Target image does not have {} label", BOOTABLE[0]);
    }
    let options = StoreOptions { pull, unneeded: Unneeded::Prune, name };
    let pulled =
        pull_image(&admitted, repo, &target.image, &options, &session.ctx).map_err(who.failed(repo))?;
    if !pulling.bars.quiet {
        let (there, fetched) = (pulled.reused, pulled.fetched);
        let bytes = size(pulled.fetched_bytes);
        writeln!(session.out, "layers already present: {there}; layers fetched: {fetched} ({bytes})")?;
        session.out.flush()?;
        if !pulled.left_out.is_empty() {
            let parts: Vec<_> = pulled.left_out.iter().map(|(name, n)| format!(" {name}: {n}")).collect();
            let parts = parts.concat();
            terminal::say(format_args!("Image contains files that a commit of ostree cannot hold:{parts}"));
        }
    }
    Ok(pulled.commit)
}
