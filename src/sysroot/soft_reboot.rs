//! Soft reboots: systemd restarts everything but the kernel, with another deployment for a root.
//!
//! ```text
//! /run/nextroot                 the root of that deployment: prepare_root::prepare_next mounts it
//! /run/ostree/nextroot-booted   which one it is
//! ```
//! It lasts until the machine restarts, or what is in the list of deployments makes it senseless: another deployment is
//! staged, or the one that was meant is listed no more. Source: libostree ostree-sysroot-deploy.c.

use super::load::NEXT_ROOT;
use super::prepare_root::clear_next;
use super::{After, Deployment, DeploymentId, Deployments, Error, Result, Sysroot, files};
use crate::base::Ctx;

/// Beside `/run`: what is known of the running system.
const BOOTED: &str = "ostree-booted";

impl Deployments {
    /// The deployment that the next soft reboot leads to.
    pub fn soft_reboot_target(&self) -> Option<&Deployment> {
        self.list.iter().find(|deployment| deployment.is_soft_reboot_target)
    }

    /// Whether a soft reboot may lead to a deployment, from the one that runs: it has the same kernel, which stays, and the
    /// same arguments for it.
    ///
    /// # Errors
    /// [`Error::NotBooted`]
    pub fn can_soft_reboot(&self, target: &Deployment) -> Result<bool> {
        let booted = self.require_booted()?;
        // A staged deployment may get them from the one before.
        let has_args = target.entry.get("options").is_some();
        let args = |deployment: &Deployment| {
            let args = deployment.entry.kernel_args();
            let args = args.iter().filter(|(key, _)| *key != "ostree");
            args.map(|(key, value)| (key.to_owned(), value.map(str::to_owned))).collect::<Vec<_>>()
        };
        Ok(booted.boot_checksum == target.boot_checksum && (!has_args || args(booted) == args(target)))
    }
}

impl Sysroot {
    /// Makes way for a soft reboot into a deployment, which is to be mounted then
    /// ([`prepare_next`](super::prepare_root::prepare_next)). A deployment that is staged gives way, unless it is that one.
    ///
    /// # Errors
    /// [`Error::NotBooted`], [`Error::OtherKernel`]; [`Error::NoSuchDeployment`]; and as [`Sysroot::write_deployments`].
    pub fn plan_soft_reboot(&self, current: Deployments, target: &DeploymentId, ctx: &Ctx) -> Result<()> {
        let none = || Error::NoSuchDeployment(format!("no deployment {}", target.path()));
        if !current.can_soft_reboot(current.find(target).ok_or_else(none)?)? {
            return Err(Error::OtherKernel);
        }
        if current.staged().is_some_and(|staged| staged.id != *target) {
            let rest = current.finished().cloned().collect();
            self.write_deployments(current, rest, After::Nothing, ctx)?;
        }
        Ok(())
    }

    /// Lets the next soft reboot lead to the deployment that runs, as without preparation.
    ///
    /// # Errors
    /// [`Error::NextRoot`], [`Error::Io`].
    pub fn clear_soft_reboot(&self, current: &Deployments) -> Result<()> {
        if current.soft_reboot_target().is_none() {
            return Ok(());
        }
        clear_next(self.run()?)?;
        self.touch()
    }

    /// After a soft reboot, lets what was written down about its target be what is known of the running system.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn finish_soft_reboot(&self, current: &Deployments) -> Result<()> {
        match (&self.surroundings.run, current.soft_reboot_target()) {
            (Some(run), Some(_)) => files::rename(run, NEXT_ROOT, BOOTED),
            // It tells of a deployment that is gone.
            (Some(run), None) => files::unlink(run, NEXT_ROOT).map(drop),
            (None, _) => Ok(()),
        }
    }
}
