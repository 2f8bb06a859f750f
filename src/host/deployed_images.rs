//! Commits of images as deployments: their origin names the image, for upgrades by whoever comes next: this program,
//! ostree-ext, bootc, rpm-ostree.
//!
//! ```text
//! pull_image ► commit ► deployed, or staged on the running system ► origin: container-image-reference=ostree-…
//! ```
//! Source: ostree-ext container/deploy.rs.

use ostree_format::CommitId;

use super::image_kargs::follow_image;
use super::{Finish, Machine, Result};
use crate::base::Ctx;
use crate::container::image::OstreeImageReference;
use crate::sysroot::kargs::KernelArgs;
use crate::sysroot::{
    DeployOptions, Deployment, DeploymentOrigin, Deployments, StagedLock, Stateroot, Sysroot,
};

/// A commit of an image that is to be deployed.
#[derive(Debug, Clone)]
pub struct ImageDeployment<'a> {
    /// The stateroot that the deployment belongs to.
    pub stateroot: &'a Stateroot,
    /// The commit that the image became.
    pub commit: CommitId,
    /// The image that upgrades will come from.
    pub image: &'a OstreeImageReference,
    /// The kernel's arguments; those of the deployment before if `None`. What the image itself asks for in
    /// `usr/lib/bootc/kargs.d` is added, and what the one before asked for alone taken away.
    pub kernel_args: Option<KernelArgs>,
    /// When the deployment is finished; if `None`, on the running system when the machine shuts down, elsewhere at once.
    pub finish: Option<Finish>,
}

/// The image that upgrades of a deployment come from, if it is one.
///
/// # Errors
/// [`Error::Parse`](super::Error::Parse) if the origin names no image that can be read.
pub fn image_of(deployment: &Deployment) -> Result<Option<OstreeImageReference>> {
    let text = deployment.origin.as_ref().and_then(DeploymentOrigin::image);
    Ok(text.map(|text| text.parse()).transpose()?)
}

impl Machine {
    /// Deploys a commit of an image. What the deployment before says of its origin stays, but where upgrades come from,
    /// and what was for it alone.
    ///
    /// # Errors
    /// As [`Machine::deploy`]; [`Error::Image`](super::Error::Image) if what the image asks of the kernel's arguments cannot be
    /// read.
    pub fn deploy_image(
        &self,
        sysroot: &Sysroot,
        current: Deployments,
        what: &ImageDeployment<'_>,
        ctx: &Ctx,
    ) -> Result<Deployments> {
        let merge = current.merge_deployment(what.stateroot).cloned();
        let mut origin = merge.as_ref().and_then(|merge| merge.origin.clone()).unwrap_or_default();
        origin.remove_transient();
        origin.set_image(&what.image.to_string())?;
        let (args, before) = match (&what.kernel_args, &merge) {
            (Some(args), _) => (args.clone(), None),
            (None, Some(merge)) => (current.kernel_args_of(merge)?, Some(&merge.id.commit)),
            (None, None) => (KernelArgs::default(), None),
        };
        let followed = follow_image(sysroot.repo(), &args, before, &what.commit)?;
        // Those of a deployment that is staged are what they are when the machine shuts down, if nothing changes them here.
        let kernel_args = if followed == args { what.kernel_args.clone() } else { Some(followed) };
        let options = DeployOptions {
            origin: Some(origin),
            merge: merge.as_ref(),
            kernel_args,
            ..DeployOptions::new(what.stateroot.clone(), what.commit)
        };
        let finish = what.finish.unwrap_or(match current.booted() {
            Some(_) => Finish::AtShutdown { lock: StagedLock::Open },
            None => Finish::AT_ONCE,
        });
        self.deploy(sysroot, current, &options, finish, ctx)
    }
}
