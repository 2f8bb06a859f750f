//! A new deployment: a commit checked out to be booted, with a configuration of its own.
//!
//! ```text
//! 1  ostree/deploy/S/deploy/COMMIT.N       the tree, hard links to objects; .ostree.cfs in it, if it wants one
//! 2  …/etc                                 a copy of …/usr/etc
//! 3  ostree/deploy/S/var                   a copy of …/var, if nothing is there yet
//! 4  …/etc                                 with what the administrator changed in the deployment before
//! 5  ostree/deploy/S/backing/COMMIT.N      room for what overlays write
//! 6  ostree/deploy/S/deploy/COMMIT.N.origin
//! 7  chattr +i ostree/deploy/S/deploy/COMMIT.N
//! ```
//! No boot entry leads there before the list of deployments is written; what a crash leaves is deleted by the next
//! cleanup, and a directory that is half there by the next checkout of its name. A staged deployment stops after 3
//! (its origin is written, too) and goes on when the machine shuts down. Source: libostree ostree-sysroot-deploy.c.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use ostree_format::{CommitId, RootDir, S_IFDIR};

use super::boot_entry::BootEntry;
use super::etc;
use super::files::{self, Durability, into_dir};
use super::image;
use super::kargs::KernelArgs;
use super::kernel::Kernel;
use super::labels::Labels;
use super::name::DeploymentDir;
use super::{Deployment, DeploymentId, DeploymentOrigin, Error, Result, Stateroot, Sysroot};
use crate::base::Ctx;
use crate::store::XattrPolicy;
use crate::store::load_commit;
use crate::tree::{CheckoutOptions, Linking, PassthroughWhiteouts, checkout};

/// What is deployed, and how.
#[derive(Debug, Clone)]
pub struct DeployOptions<'a> {
    /// The stateroot that the deployment belongs to.
    pub stateroot: Stateroot,
    /// The commit.
    pub commit: CommitId,
    /// Where upgrades will come from.
    pub origin: Option<DeploymentOrigin>,
    /// The deployment whose changes to `/etc`, and whose kernel arguments, the new one takes over.
    pub merge: Option<&'a Deployment>,
    /// The kernel's arguments; those of the deployment that is taken over if `None`.
    pub kernel_args: Option<KernelArgs>,
    /// Initial RAM disks to add, as [`Sysroot::stage_initrd`] named them.
    pub overlay_initrds: Vec<ostree_format::Checksum>,
}

impl DeployOptions<'_> {
    /// Options for a deployment of `commit` as it is: without an origin, changes to `/etc` or kernel arguments.
    pub fn new(stateroot: Stateroot, commit: CommitId) -> Self {
        let (origin, merge, kernel_args, overlay_initrds) = (None, None, None, Vec::new());
        Self { stateroot, commit, origin, merge, kernel_args, overlay_initrds }
    }
}

impl Sysroot {
    /// Makes a deployment, which has no boot entry yet: see [`Sysroot::add_deployment`].
    ///
    /// # Errors
    /// [`Error::BootIsElsewhere`]; [`Error::NoStateroot`], [`Error::NoKernel`], [`Error::KernelMismatch`],
    /// [`Error::BothEtcs`]; [`Error::Store`] if the commit cannot be checked out; [`Error::EtcConflict`];
    /// [`Error::Io`], [`Error::Cancelled`]. What was written before an error is deleted by the next
    /// [`Sysroot::cleanup`].
    pub fn deploy(&self, options: &DeployOptions<'_>, ctx: &Ctx) -> Result<Deployment> {
        let deploy = || {
            let mut deployment = self.begin_deployment(options, ctx)?;
            self.finish_deployment(&mut deployment, options.merge, ctx)?;
            Ok(deployment)
        };
        deploy().map_err(Error::within("Deploying tree"))
    }

    /// Checks the tree out, with its `/etc`, and fills an empty `/var`.
    pub(super) fn begin_deployment(&self, options: &DeployOptions<'_>, ctx: &Ctx) -> Result<Deployment> {
        let DeployOptions { stateroot, commit, .. } = options;
        self.require_boot()?;
        if files::stat(&self.dir, &stateroot.path())?.is_none() {
            return Err(Error::NoStateroot(stateroot.clone()));
        }
        files::mkdir_all(&self.dir, &format!("{}/backing", stateroot.path()), 0o700)?;
        let id = self.free_id(stateroot, *commit)?;
        let tree = load_commit(&self.repo, commit)?.root;
        let root = self.check_out(&id, tree, ctx).map_err(Error::within("Checking out deployment tree"))?;
        let kernel = Kernel::find(&root, !self.surroundings.tunables.no_device_trees, None)?;
        self.make_etc(tree, root.as_fd(), ctx).map_err(Error::within("Preparing /etc"))?;
        self.fill_var(stateroot, tree, root.as_fd(), ctx)
            .map_err(Error::within("Preparing deployment /var"))?;
        let mut entry = BootEntry::default();
        if let Some(kernel_args) = &options.kernel_args {
            entry.set("options", kernel_args.to_string());
        }
        let mut deployment = self.deployment(id, kernel.checksum, entry)?;
        deployment.origin.clone_from(&options.origin);
        deployment.overlay_initrds.clone_from(&options.overlay_initrds);
        deployment.is_new = true;
        Ok(deployment)
    }

    /// Merges `/etc`, and does what is left to do before there can be a boot entry.
    pub(super) fn finish_deployment(
        &self,
        deployment: &mut Deployment,
        merge: Option<&Deployment>,
        ctx: &Ctx,
    ) -> Result<()> {
        if let Some(merge) = merge {
            if deployment.entry.get("options").is_none() {
                deployment.entry.set("options", merge.entry.get("options").unwrap_or_default());
            }
            self.merge_etc(deployment, merge, ctx).map_err(Error::within("During /etc merge"))?;
        }
        let id = &deployment.id;
        let root = self.deployment_dir(id)?;
        // So that services run again that systemd starts after an update (ConditionNeedsUpdate=).
        files::unlink(&root, "etc/.updated")?;
        match self.surroundings.var.as_ref().filter(|_| self.is_booted_stateroot(&id.stateroot)) {
            Some(var) => files::unlink(var, ".updated")?,
            None => files::unlink(&self.dir, &format!("{}/var/.updated", id.stateroot.path()))?,
        };
        let labels = Labels::of(&root)?;
        self.label_var(&id.stateroot, &labels).map_err(Error::within("Relabeling /var"))?;
        self.make_backing(id, &labels).map_err(Error::within("Preparing deployment backing dir"))?;
        self.write_origin_file(deployment, Durability::Later)?;
        if !self.surroundings.tunables.mutable {
            let sealed = files::set_immutable(&root, true);
            sealed.map_err(|e| Error::at(&root, "make immutable", ".", e))?;
        }
        Ok(())
    }

    /// The id of the next deployment of a commit.
    fn free_id(&self, stateroot: &Stateroot, commit: CommitId) -> Result<DeploymentId> {
        let all = self.deployment_dirs(stateroot)?;
        let last = all
            .iter()
            .filter_map(DeploymentDir::id)
            .filter(|id| id.commit == commit)
            .max_by_key(|id| id.serial);
        let serial = match last {
            None => 0,
            Some(last) => last.serial.checked_add(1).ok_or_else(|| {
                Error::io("number a deployment after", last.path(), rustix::io::Errno::OVERFLOW)
            })?,
        };
        Ok(DeploymentId { stateroot: stateroot.clone(), commit, serial })
    }

    fn check_out(&self, id: &DeploymentId, tree: RootDir, ctx: &Ctx) -> Result<OwnedFd> {
        let parent = format!("{}/deploy", id.stateroot.path());
        files::mkdir_all(&self.dir, &parent, 0o775)?;
        files::remove_all(&self.dir, &id.path())?;
        let options = CheckoutOptions {
            passthrough_whiteouts: PassthroughWhiteouts::Process,
            ..CheckoutOptions::default().for_mode(self.repo.mode())
        };
        let parent = files::open_dir(&self.dir, &parent)?;
        checkout(&self.repo, tree, &parent, Path::new(&id.name()), &options, ctx)?;
        let root = files::open_dir(&self.dir, &id.path())?;
        image::write(&self.repo, &id.commit, &into_dir(files::open_dir(&root, ".")?), ctx)?;
        Ok(root)
    }

    /// Copies `usr/etc` to `etc`.
    fn make_etc(&self, tree: RootDir, root: BorrowedFd<'_>, ctx: &Ctx) -> Result<()> {
        let has_etc = files::lstat(root, "etc")?.is_some();
        let is_empty = files::list(root, "etc")?.is_empty();
        let mut source = "usr/etc";
        match (has_etc, is_empty, files::lstat(root, "usr/etc")?.is_some()) {
            (true, false, true) => return Err(Error::BothEtcs),
            (true, true, true) => {
                let removed = rustix::fs::unlinkat(root, "etc", rustix::fs::AtFlags::REMOVEDIR);
                removed.map_err(|e| Error::at(root, "rmdir", "etc", e))?;
            }
            (false, _, true) => {}
            // Very old trees have their configuration where it is used.
            (true, false, false) => {
                let moved = rustix::fs::renameat(root, "etc", root, "usr/etc");
                moved.map_err(|e| Error::at(root, "rename", "etc", e))?;
                source = "etc";
            }
            (_, _, false) => return Ok(()),
        }
        let options = CheckoutOptions {
            linking: Linking::Never,
            subpath: Some(source.to_owned()),
            labels: Labels::of(root)?.below("etc").filter(|_| !self.repo.config().disable_xattrs),
            ..CheckoutOptions::default().for_mode(self.repo.mode())
        };
        Ok(checkout(&self.repo, tree, root, Path::new("etc"), &options, ctx)?)
    }

    fn merge_etc(&self, deployment: &Deployment, merge: &Deployment, ctx: &Ctx) -> Result<()> {
        let (default, current) = self.etc_of(&merge.id)?;
        let new = self.current_etc(&deployment.id)?;
        let xattrs = match self.surroundings.tunables.no_xattrs {
            true => XattrPolicy::Drop,
            false => XattrPolicy::Keep,
        };
        let merged = etc::merge(&default, &current, &new, xattrs, ctx)?;
        for path in &merged.ignored {
            tracing::info!(
                "Ignoring non-regular/non-symlink file found during /etc merge: {}",
                path.display()
            );
        }
        let changes = &merged.changes;
        self.tell(&format!(
            "Copying /etc changes: {} modified, {} removed, {} added",
            changes.modified.len(),
            changes.removed.len(),
            changes.added.len()
        ));
        Ok(())
    }

    /// Makes the directories of overlays over the root. The upper one is seen in its place, and looks like it.
    fn make_backing(&self, id: &DeploymentId, labels: &Labels) -> Result<()> {
        let path = id.path();
        let mode = files::stat(&self.dir, &path)?.map_or(0o755, |stat| stat.st_mode & 0o7777);
        let transient = format!("{}/root-transient", id.backing_path());
        for dir in [id.backing_path(), transient.clone(), format!("{transient}/work")] {
            files::mkdir(&self.dir, &dir, 0o700)?;
        }
        let upper = format!("{transient}/upper");
        files::mkdir(&self.dir, &upper, mode)?;
        labels.set(files::open_dir(&self.dir, &upper)?, "", S_IFDIR | mode)
    }

    /// Writes where a deployment came from, as it says itself.
    pub(super) fn write_origin_file(&self, deployment: &Deployment, durability: Durability) -> Result<()> {
        let Some(origin) = &deployment.origin else { return Ok(()) };
        let path = deployment.id.origin_path();
        files::replace(&self.dir, &path, origin.to_string().as_bytes(), durability)
            .map_err(Error::within("Writing out origin file"))
    }

    /// Replaces the origin of a deployment.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn write_origin(&self, deployment: &Deployment, origin: &DeploymentOrigin) -> Result<()> {
        let changed = Deployment { origin: Some(origin.clone()), ..deployment.clone() };
        self.write_origin_file(&changed, Durability::Synced)?;
        self.touch()
    }
}
