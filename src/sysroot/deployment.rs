//! A deployment, and all of them in the order in which they are offered at boot.

use std::fmt;

use ostree_format::Checksum;
use ostree_format::variant::Dict;

use super::boot_entry::BootEntry;
use super::kargs::KernelArgs;
use super::origin::DeploymentOrigin;
use super::{BootVersion, DeploymentId, Error, Result, Stateroot};
use crate::base::Inode;

/// A commit that was checked out to be booted.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// Which one it is.
    pub id: DeploymentId,
    /// The checksum of its kernel and what belongs to that.
    pub boot_checksum: Checksum,
    /// The number among the deployments that are listed with the same kernel.
    pub boot_serial: u32,
    /// Where it came from, if that is known.
    pub origin: Option<DeploymentOrigin>,
    /// The boot entry; of a deployment that has none yet, the kernel's arguments that will be in it.
    pub entry: BootEntry,
    /// The initial RAM disks that were added to that of the kernel, by their checksums.
    pub overlay_initrds: Vec<Checksum>,
    /// Whether `/usr` can be written.
    pub unlocked: Unlocked,
    /// Whether it is finished.
    pub stage: Stage,
    /// Whether it is what the next soft reboot leads to.
    pub is_soft_reboot_target: bool,
    /// The directory.
    pub inode: Inode,
    /// Whether it is to be written although nothing tells it from the one in the list.
    pub(super) is_new: bool,
}

impl Deployment {
    /// Whether cleanup leaves it alone.
    pub fn is_pinned(&self) -> bool {
        self.origin.as_ref().is_some_and(DeploymentOrigin::is_pinned)
    }

    /// A copy with other kernel arguments, which the boot entry has once the list is written.
    #[must_use]
    pub fn with_kernel_args(&self, kernel_args: &KernelArgs) -> Self {
        // The kernel that runs has the old ones.
        let mut changed = Self { is_new: true, is_soft_reboot_target: false, ..self.clone() };
        changed.entry.set("options", kernel_args.to_string());
        changed
    }

    /// Whether it waits for the machine's shutdown to be finished.
    pub fn is_staged(&self) -> bool {
        self.stage != Stage::Finished
    }
}

/// Whether a deployment's `/usr` can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unlocked {
    /// Nobody can write there.
    #[default]
    No,
    /// `/usr` can be written; changes are lost when the machine restarts.
    Development,
    /// `/usr` can be written, and changes stay.
    Hotfix,
    /// Processes that mount it anew for themselves can write; changes are lost when the machine restarts.
    Transient,
}

impl fmt::Display for Unlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "none",
            Self::Development => "development",
            Self::Hotfix => "hotfix",
            Self::Transient => "transient",
        })
    }
}

/// Whether a deployment is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// The deployment is finished.
    #[default]
    Finished,
    /// The deployment is checked out, and gets its `/etc` and its boot entry when the machine shuts down.
    Staged,
    /// The deployment stays as it is when the machine shuts down, until somebody allows it to be finished.
    Locked,
}

/// The deployments of a sysroot, and which boot entries they were read from.
#[derive(Debug, Clone)]
pub struct Deployments {
    /// The deployments, in the order in which they are offered at boot; one that is staged comes first.
    pub list: Vec<Deployment>,
    /// The version of the boot entries that is in use: `boot/loader` leads to it.
    pub boot_version: BootVersion,
    /// The version of the links of this boot version that is in use: `ostree/boot.V` leads to it.
    pub subboot_version: BootVersion,
    /// The place of the booted deployment in the list.
    pub(super) booted: Option<usize>,
    /// What was written down about the staged deployment.
    pub(super) staged: Option<Dict>,
}

impl Deployments {
    /// The deployment that runs.
    pub fn booted(&self) -> Option<&Deployment> {
        self.list.get(self.booted?)
    }

    /// The deployment that runs.
    ///
    /// # Errors
    /// [`Error::NotBooted`]
    pub fn require_booted(&self) -> Result<&Deployment> {
        self.booted().ok_or(Error::NotBooted)
    }

    /// Whether this is the deployment that runs.
    pub fn is_booted(&self, deployment: &Deployment) -> bool {
        self.booted().is_some_and(|booted| booted.id == deployment.id)
    }

    /// The deployment that waits for the machine's shutdown.
    pub fn staged(&self) -> Option<&Deployment> {
        self.list.iter().find(|deployment| deployment.is_staged())
    }

    /// The deployments with a boot entry.
    pub fn finished(&self) -> impl Iterator<Item = &Deployment> {
        self.list.iter().filter(|deployment| !deployment.is_staged())
    }

    /// The deployment with this id.
    pub fn find(&self, id: &DeploymentId) -> Option<&Deployment> {
        self.list.iter().find(|deployment| deployment.id == *id)
    }

    /// The place in the list of the deployment with this id.
    ///
    /// # Errors
    /// [`Error::NoSuchDeployment`]
    pub fn place_of(&self, id: &DeploymentId) -> Result<usize> {
        let place = self.list.iter().position(|deployment| deployment.id == *id);
        place.ok_or_else(|| Error::NoSuchDeployment(format!("No such deployment: {}", id.path())))
    }

    /// The deployment at this place of the list.
    ///
    /// # Errors
    /// [`Error::NoSuchDeployment`]
    pub fn at(&self, index: usize) -> Result<&Deployment> {
        self.list.get(index).ok_or_else(|| {
            let len = self.list.len();
            Error::NoSuchDeployment(format!("Out of range deployment index {index}, expected < {len}"))
        })
    }

    /// The stateroot that is meant where none is named: the booted one.
    ///
    /// # Errors
    /// [`Error::WhichStateroot`]
    pub fn stateroot_or_booted(&self, named: Option<&Stateroot>) -> Result<Stateroot> {
        let booted = || self.booted().map(|booted| &booted.id.stateroot);
        named.or_else(booted).cloned().ok_or(Error::WhichStateroot)
    }

    /// Of a stateroot what the next boot leads to, if that is another one than the booted, and what was there
    /// before the booted one.
    pub fn around_booted(&self, stateroot: &Stateroot) -> (Option<&Deployment>, Option<&Deployment>) {
        let (mut found_booted, mut pending, mut rollback) = (false, None, None);
        for deployment in self.list.iter().filter(|deployment| deployment.id.stateroot == *stateroot) {
            if self.is_booted(deployment) {
                found_booted = true;
            } else if found_booted {
                rollback = rollback.or(Some(deployment));
            } else {
                pending = pending.or(Some(deployment));
            }
        }
        (pending, rollback)
    }

    /// The deployment whose configuration a new one of the stateroot takes over: the booted one if it is of this
    /// stateroot, otherwise its first.
    pub fn merge_deployment(&self, stateroot: &Stateroot) -> Option<&Deployment> {
        let booted = self.booted().filter(|booted| booted.id.stateroot == *stateroot);
        booted.or_else(|| self.around_booted(stateroot).0)
    }
}
