//! What no boot entry leads to is deleted.
//!
//! ```text
//! boot/loader.V'  ostree/boot.V'*  ostree/boot.V.S'     boot entries and links that are not in use
//! ostree/deploy/*/deploy/*, …/backing/*, ….origin       deployments that are not listed
//! boot/ostree/STATEROOT-CHECKSUM, initramfs-overlays    kernels that no deployment has
//! refs ostree/V/S/N                                     one for each deployment, so that prune keeps it
//! objects                                               that no ref needs
//! ```
//! Everything here can be done again: a deployment's directory goes last, after all that belongs to it, and what a
//! crash leaves behind is found by the next cleanup. Source: libostree ostree-sysroot-cleanup.c.
//!
//! libostree deletes every deployment of a disk whose `/boot` somebody forgot to mount: no boot entry leads to any. Here
//! that is refused. Deployments that no boot entry led to yet are what a first one that broke off has left, and its kernel
//! is in `/boot` before there are links; so links without anything in `/boot` mean that `/boot` is elsewhere.

use std::collections::BTreeSet;

use ostree_format::{Checksum, RefSpec};
use rustix::fs::FileType;

use super::name::DeploymentDir;
use super::{BootVersion, Deployment, Deployments, Error, Result, Sysroot, files};
use crate::base::{Ctx, Inode};
use crate::repo::prune::{Action, PruneOptions, Roots, Scope};
use crate::store::{Depth, Txn};

/// Where initial RAM disks lie that deployments add, beside `boot`.
pub(super) const OVERLAYS: &str = "ostree/initramfs-overlays";

/// How much is cleaned up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleanup {
    /// Everything.
    All,
    /// Everything but objects of the repository: to find those that nothing needs takes most of the time.
    AllButObjects,
}

impl Sysroot {
    /// Deletes what none of the deployments needs.
    ///
    /// # Errors
    /// [`Error::BootIsElsewhere`], and nothing is deleted; [`Error::Io`], [`Error::Store`]; [`Error::Cancelled`] between
    /// two steps.
    pub fn cleanup(&self, deployments: &Deployments, extent: Cleanup, ctx: &Ctx) -> Result<()> {
        self.require_boot()?;
        self.clean_boot_versions(deployments).map_err(Error::within("Cleaning bootversions"))?;
        ctx.cancel.check()?;
        self.clean_deployments(deployments).map_err(Error::within("Cleaning deployments"))?;
        ctx.cancel.check()?;
        self.clean_boot(deployments).map_err(Error::within("Cleaning bootfs"))?;
        self.write_refs(deployments, ctx).map_err(Error::within("Generating deployment refs"))?;
        if extent == Cleanup::All {
            let refs = Roots::Refs(Depth::Parents(0));
            let options = PruneOptions { roots: refs, scope: Scope::Everything, action: Action::Delete };
            let stats = self.repo.prune(&options, ctx).map_err(Error::from);
            let freed = stats.map_err(Error::within("Pruning system repository"))?.freed_bytes;
            tracing::info!(freed, "pruned the repository");
        }
        Ok(())
    }

    /// Refuses a sysroot with deployments whose boot entries are on a file system that is not mounted.
    pub(super) fn require_boot(&self) -> Result<()> {
        let is_there = |path: &str| Ok::<_, Error>(files::lstat(&self.dir, path)?.is_some());
        for path in ["boot/loader", "boot/loader.0", "boot/loader.1", "boot/ostree"] {
            if is_there(path)? {
                return Ok(());
            }
        }
        if !is_there("ostree/boot.0")? && !is_there("ostree/boot.1")? {
            return Ok(());
        }
        for (name, kind) in files::list(&self.dir, "ostree/deploy")? {
            let Ok(stateroot) = name.parse() else { continue };
            if kind == FileType::Directory && !self.deployment_dirs(&stateroot)?.is_empty() {
                return Err(Error::BootIsElsewhere);
            }
        }
        Ok(())
    }

    /// Boot entries and links of the versions that are not in use.
    fn clean_boot_versions(&self, deployments: &Deployments) -> Result<()> {
        let (version, subversion) = (deployments.boot_version, deployments.subboot_version);
        let other = version.other();
        let unused = [
            format!("boot/loader.{other}"),
            format!("ostree/boot.{other}"),
            format!("ostree/boot.{other}.0"),
            format!("ostree/boot.{other}.1"),
            format!("ostree/boot.{version}.{}", subversion.other()),
        ];
        unused.iter().try_for_each(|path| files::remove_all(&self.dir, path))
    }

    fn clean_deployments(&self, deployments: &Deployments) -> Result<()> {
        let listed: BTreeSet<_> = deployments.list.iter().map(|deployment| deployment.id.dir()).collect();
        for (name, kind) in files::list(&self.dir, "ostree/deploy")? {
            let Ok(stateroot) = name.parse() else { continue };
            if kind == FileType::Directory {
                for dir in self.deployment_dirs(&stateroot)? {
                    if !listed.contains(&dir) {
                        self.remove_deployment(&dir)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The directories of the deployments of a stateroot, listed or not, and what is called so.
    pub(super) fn deployment_dirs(&self, stateroot: &super::Stateroot) -> Result<Vec<DeploymentDir>> {
        let dirs = files::list(&self.dir, &format!("{}/deploy", stateroot.path()))?.into_iter();
        let dirs = dirs.filter(|(_, kind)| *kind == FileType::Directory);
        let named = |(name, _): (String, _)| DeploymentDir::from_name(stateroot.clone(), &name);
        dirs.map(|dir| named(dir).map_err(Error::invalid(stateroot.path()))).collect()
    }

    /// Deletes a deployment; the one that runs stays, whatever lists say.
    pub(super) fn remove_deployment(&self, dir: &DeploymentDir) -> Result<()> {
        let path = dir.path();
        let opened = files::open_dir(&self.dir, &path)?;
        let inode = Some(Inode::of(&opened).map_err(|e| Error::at(&opened, "stat", ".", e))?);
        if self.surroundings.root == inode || self.surroundings.booted == inode {
            return Ok(());
        }
        files::set_immutable(&opened, false).map_err(|e| Error::at(&opened, "make mutable", ".", e))?;
        // The directory is what makes a deployment: without it nobody would look for the rest.
        for path in [dir.backing_path(), dir.origin_path(), path] {
            files::remove_all(&self.dir, &path)?;
        }
        Ok(())
    }

    /// Kernels and initial RAM disks that no deployment has.
    pub(super) fn clean_boot(&self, deployments: &Deployments) -> Result<()> {
        let Some(boot) = self.boot_dir_if_there()? else { return Ok(()) };
        let kernels: BTreeSet<Checksum> = deployments.list.iter().map(|one| one.boot_checksum).collect();
        for (name, kind) in files::list(&boot, "ostree")? {
            let unused = kernel_in(&name).is_some_and(|checksum| !kernels.contains(&checksum));
            if kind == FileType::Directory && unused {
                files::remove_all(&boot, &format!("ostree/{name}"))?;
            }
        }
        let initrds = deployments.list.iter().flat_map(|one| one.entry.overlay_initrds());
        let initrds: BTreeSet<&str> = initrds.filter_map(|path| path.rsplit('/').next()).collect();
        for (name, kind) in files::list(&boot, OVERLAYS)? {
            if kind == FileType::RegularFile && !initrds.contains(&*name) {
                files::unlink(&boot, &format!("{OVERLAYS}/{name}"))?;
            }
        }
        Ok(())
    }

    /// A ref for each deployment, by its place in the list.
    fn write_refs(&self, deployments: &Deployments, ctx: &Ctx) -> Result<()> {
        let (version, subversion) = (deployments.boot_version, deployments.subboot_version);
        let unused = [
            (version.other(), BootVersion::Zero),
            (version.other(), BootVersion::One),
            (version, subversion.other()),
        ];
        for (version, subversion) in unused {
            let prefix = refspec(format!("ostree/{version}/{subversion}"))?;
            for name in self.repo.list_below(&prefix)?.keys() {
                self.repo.set_ref(name, None)?;
            }
        }
        // A transaction, because its end also removes what others have left in the repository.
        let txn = self.repo.begin(ctx)?;
        for (index, Deployment { id, .. }) in deployments.list.iter().enumerate() {
            let name = refspec(format!("ostree/{version}/{subversion}/{index}"))?;
            txn.set_ref(&name, Some(id.commit))?;
        }
        txn.commit(ctx)?;
        Ok(())
    }
}

fn refspec(name: String) -> Result<RefSpec> {
    name.parse().map_err(Error::invalid(name.clone()))
}

/// The checksum in the name of a directory `STATEROOT-CHECKSUM`.
pub(super) fn kernel_in(name: &str) -> Option<Checksum> {
    name.rsplit_once('-')?.1.parse().ok()
}
