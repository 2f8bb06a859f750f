//! The switch from one list of deployments to the next.
//!
//! Where the kernels and their arguments stay the same, only the links of a boot version change, and no boot loader
//! learns of it:
//! ```text
//! 1  ostree/boot.V.S'/…            new links
//! 2  syncfs
//! 3  ostree/boot.V ─► boot.V.S'    the switch, one rename
//! ```
//! Otherwise there is a new boot version:
//! ```text
//! 1  boot/ostree/STATEROOT-CHECKSUM/…, boot/loader.V'/entries/…    kernels, boot entries
//! 2  ostree/boot.V'.S'/…, ostree/boot.V' ─► boot.V'.S'             links that these boot entries name
//! 3  what the boot loader wants besides, for version V'; after 5, if it can only be written where it is read
//! 4  boot/loader.tmp ─► loader.V'
//! 5  syncfs of the sysroot, syncfs of /boot
//! 6  boot/loader ─► loader.V'                                      the switch, one rename
//! 7  syncfs of /boot; boot loaders that cannot follow the link (zipl, aboot) are told
//! ```
//! Before the switch everything that the machine can boot is as it was; after it everything new is on the disk. Whatever
//! a crash leaves of the version that is not in use the next writer removes first. On a machine that runs a deployment
//! the syncfs of `/boot` empties its journal, too (`boot_journal.rs`). Source: libostree ostree-sysroot-deploy.c.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use super::bootloader::BootLoader;
use super::cleanup::Cleanup;
use super::install::Place;
use super::load::{STAGED, STAGED_LOCKED};
use super::{
    BootVersion, Deployment, DeploymentId, Deployments, Error, Result, Sysroot, boot_journal, files,
};
use crate::base::Ctx;
use crate::store::load_commit;

/// What happens once a list of deployments is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// What is not needed any more is deleted.
    Cleanup,
    /// Nothing is deleted: the caller calls [`Sysroot::cleanup`].
    Nothing,
}

impl Sysroot {
    /// Lets the machine offer the deployments `new`, in this order, from the next boot on; gives them as they were
    /// read again. A staged deployment stays if it comes first, and else it is deleted.
    ///
    /// # Errors
    /// [`Error::RemovesBooted`], [`Error::NoDeploymentRoot`]; those of a kernel that cannot be installed; [`Error::Io`],
    /// [`Error::Store`]. The machine boots what it did before, or the new list: there is nothing in between.
    pub fn write_deployments(
        &self,
        current: Deployments,
        new: Vec<Deployment>,
        after: After,
        ctx: &Ctx,
    ) -> Result<Deployments> {
        let current = self.make_room(current, &new, ctx)?;
        let written = self.write_list(current, new, ctx)?;
        if after == After::Cleanup {
            let cleaned = self.cleanup(&written, Cleanup::All, ctx);
            cleaned.map_err(Error::within("Performing final cleanup"))?;
        }
        Ok(written)
    }

    /// Lets the machine boot another deployment of the list from the next boot on, and deletes what is not needed any more.
    /// With the one that was there before the booted one ([`Deployments::around_booted`] gives it) this is a rollback.
    ///
    /// # Errors
    /// [`Error::NoSuchDeployment`] if it is not in the list; as [`Sysroot::write_deployments`].
    pub fn set_default(&self, current: Deployments, next: &DeploymentId, ctx: &Ctx) -> Result<Deployments> {
        let mut list = current.list.clone();
        list[..=current.place_of(next)?].rotate_right(1);
        self.write_deployments(current, list, After::Cleanup, ctx)
    }

    /// Takes a deployment out of the list. What nothing needs any more without it the next [`Sysroot::cleanup`] deletes.
    ///
    /// # Errors
    /// [`Error::NoSuchDeployment`] if it is not in the list; as [`Sysroot::write_deployments`].
    pub fn undeploy(&self, current: Deployments, gone: &DeploymentId, ctx: &Ctx) -> Result<Deployments> {
        let mut list = current.list.clone();
        list.remove(current.place_of(gone)?);
        self.write_deployments(current, list, After::Nothing, ctx)
    }

    /// Writes the list, and deletes nothing but a staged deployment and what a soft reboot would find of one that is gone.
    pub(super) fn write_list(
        &self,
        mut current: Deployments,
        mut new: Vec<Deployment>,
        ctx: &Ctx,
    ) -> Result<Deployments> {
        self.check(&current, &new)?;
        if !new.iter().any(|deployment| deployment.is_soft_reboot_target) {
            self.clear_soft_reboot(&current)?;
        }
        let removed_staged = self.drop_staged(&mut current, &new)?;
        new.retain(|deployment| !deployment.is_staged());
        assign_boot_serials(&mut new);
        let finished: Vec<&Deployment> = current.finished().collect();
        let swap = finished.len() != new.len()
            || finished.iter().zip(&new).any(|(old, new)| !self.boot_alike(old, new));
        let same = |(old, new): (&&Deployment, &Deployment)| old.id == new.id && !new.is_new;
        if !swap && finished.iter().zip(&new).all(same) {
            return if removed_staged { self.reload() } else { Ok(current) };
        }
        let count_change = new.len() as i64 - current.list.len() as i64;
        let (subdir, loader) = match swap {
            false => (self.swap_links(&current, &new)?, None),
            true => self.swap_boot_version(&current, &mut new, ctx)?,
        };
        let is_atomic = !swap || loader.as_ref().is_some_and(BootLoader::is_atomic);
        let done = if is_atomic { "Transaction complete" } else { "Bootloader updated" };
        let swap = if swap { "yes" } else { "no" };
        self.tell(&format!(
            "{done}; bootconfig swap: {swap}; bootversion: {subdir}, deployment count change: {count_change}"
        ));
        self.reload()
    }

    /// Deletes the staged deployment unless it stays; says whether it did.
    fn drop_staged(&self, current: &mut Deployments, new: &[Deployment]) -> Result<bool> {
        let Some(staged) = current.staged().cloned() else { return Ok(false) };
        if new.first().is_some_and(|first| first.is_staged() && first.id == staged.id) {
            return Ok(false);
        }
        if let Some(run) = &self.surroundings.run {
            files::unlink(run, STAGED)?;
            self.remove_deployment(&staged.id.dir())?;
            files::unlink(run, STAGED_LOCKED)?;
        }
        current.remove_staged();
        Ok(true)
    }

    /// Refuses a list that the machine could not live with.
    fn check(&self, current: &Deployments, new: &[Deployment]) -> Result<()> {
        for deployment in new {
            if files::stat(&self.dir, &deployment.id.path())?.is_none() {
                return Err(Error::NoDeploymentRoot(deployment.id.clone()));
            }
        }
        match current.booted() {
            Some(booted) if !new.iter().any(|one| one.id == booted.id) => Err(Error::RemovesBooted),
            _ => Ok(()),
        }
    }

    /// Whether boot entries of two deployments say the same, but for the link.
    fn boot_alike(&self, a: &Deployment, b: &Deployment) -> bool {
        let options = |deployment: &Deployment| {
            let mut options = deployment.entry.kernel_args();
            options.replace("ostree");
            options.to_string()
        };
        let version = |deployment: &Deployment| {
            let commit = load_commit(&self.repo, &deployment.id.commit).ok()?;
            commit.metadata.get_str("version").map(str::to_owned)
        };
        a.boot_checksum == b.boot_checksum
            && a.overlay_initrds == b.overlay_initrds
            && options(a) == options(b)
            && version(a) == version(b)
            && a.id.stateroot == b.id.stateroot
    }

    /// Switches the links of the boot version that is in use.
    fn swap_links(&self, current: &Deployments, new: &[Deployment]) -> Result<String> {
        let subdir = self.make_links(current, current.boot_version, new)?;
        self.sync()?;
        self.use_links(current.boot_version, &subdir)?;
        Ok(subdir)
    }

    /// Switches to a new boot version.
    fn swap_boot_version(
        &self,
        current: &Deployments,
        new: &mut [Deployment],
        ctx: &Ctx,
    ) -> Result<(String, Option<BootLoader>)> {
        let loader = BootLoader::of(self)?;
        let version = current.boot_version.other();
        let entries = format!("boot/loader.{version}/entries");
        files::remove_all(&self.dir, &entries)?;
        files::mkdir_all(&self.dir, &entries, 0o755)?;
        let with_stateroot = new.windows(2).any(|two| two[0].id.stateroot != two[1].id.stateroot);
        let count = new.len();
        for (index, deployment) in new.iter_mut().enumerate() {
            ctx.cancel.check()?;
            let place = Place { version, index, count, with_stateroot };
            self.install(deployment, place).map_err(Error::within("Installing kernel"))?;
        }
        let subdir = self.make_links(current, version, new)?;
        self.use_links(version, &subdir)?;
        if let Some(loader) = &loader {
            if !loader.is_atomic() {
                // Its configuration counts as soon as it is written.
                self.sync()?;
            }
            let written = loader.write_config(self, version, ctx);
            written.map_err(Error::within("Bootloader write config"))?;
        }
        self.switch_loader(version)?;
        if let Some(loader) = &loader {
            loader.after_swap(self, version, ctx)?;
        }
        Ok((subdir, loader))
    }

    /// Makes the links of a boot version, beside those that are in use; gives the name of their directory.
    fn make_links(&self, current: &Deployments, version: BootVersion, new: &[Deployment]) -> Result<String> {
        let in_use = match version == current.boot_version {
            true => current.subboot_version,
            false => self.subboot_version(version)?,
        };
        let subdir = format!("boot.{version}.{}", in_use.other());
        let dir = format!("ostree/{subdir}");
        files::remove_all(&self.dir, &dir)?;
        files::mkdir_all(&self.dir, &dir, 0o755)?;
        for Deployment { id, boot_checksum, boot_serial, .. } in new {
            let parent = format!("{dir}/{}/{boot_checksum}", id.stateroot);
            files::mkdir_all(&self.dir, &parent, 0o755)?;
            let target = format!("../../../deploy/{}/deploy/{}", id.stateroot, id.name());
            files::replace_link(&self.dir, &target, &format!("{parent}/{boot_serial}"))?;
        }
        Ok(subdir)
    }

    /// Lets the links of a boot version be those in `subdir`.
    fn use_links(&self, version: BootVersion, subdir: &str) -> Result<()> {
        files::replace_link(&self.dir, subdir, &format!("ostree/boot.{version}"))
    }

    /// Lets the boot loader find the boot entries of this version.
    fn switch_loader(&self, version: BootVersion) -> Result<()> {
        let boot = self.boot_dir()?;
        // So paths in boot entries are right whether or not /boot is a file system of its own.
        match rustix::fs::symlinkat(".", &boot, "boot") {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(Error::at(&boot, "symlink", "boot", error)),
        }
        files::replace_link(&boot, &format!("loader.{version}"), "loader.tmp")?;
        self.sync()?;
        files::rename(&boot, "loader.tmp", "loader")?;
        self.sync_boot()
    }

    /// Waits until everything that was written is on the disk.
    fn sync(&self) -> Result<()> {
        if !self.surroundings.tunables.skip_sync && self.repo.config().fsync {
            // The repository is on the same file system.
            let ostree = files::open_dir(&self.dir, "ostree")?;
            rustix::fs::syncfs(&ostree).map_err(|e| Error::at(&ostree, "syncfs", ".", e))?;
        }
        self.sync_boot()
    }

    fn sync_boot(&self) -> Result<()> {
        if self.surroundings.tunables.skip_sync {
            return Ok(());
        }
        let boot = self.boot_dir()?;
        rustix::fs::syncfs(&boot).map_err(|e| Error::at(&boot, "syncfs", ".", e))?;
        // The disk of another machine is unmounted before it is booted from.
        if self.surroundings.booted.is_some() {
            boot_journal::empty(boot.as_fd(), self.dir.as_fd())
                .map_err(|e| Error::at(&boot, "make writable again", ".", e))?;
        }
        Ok(())
    }

    /// Tells others that something has changed, and reads it again.
    fn reload(&self) -> Result<Deployments> {
        self.touch()?;
        let loaded = self.load().map_err(Error::within("Reloading deployments after commit"))?;
        for deployment in &loaded.list {
            // Older versions made it.
            files::unlink(&self.dir, &format!("{}/current", deployment.id.stateroot.path()))?;
        }
        Ok(loaded)
    }
}

/// Numbers the deployments that share a kernel.
fn assign_boot_serials(deployments: &mut [Deployment]) {
    let mut next = BTreeMap::new();
    for deployment in deployments {
        let next = next.entry(deployment.boot_checksum).or_insert(0);
        deployment.boot_serial = *next;
        *next += 1;
    }
}
