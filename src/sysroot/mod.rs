//! Deployments: checked-out commits that a machine boots, their boot entries, and the way from one set of them to
//! the next.
//!
//! ```text
//! Sysroot        a directory that is, or becomes, the root of a machine's disk; what it is told of the machine
//! load           which deployments there are, by boot entries  ─►  Deployments
//! deploy, var    a commit checked out to be booted
//! staged         what is finished when the machine shuts down
//! soft_reboot    what systemd starts next, on the kernel that runs
//! write          the switch from one list of deployments to the next: in which order things become visible
//! install        kernels and boot entries
//! kexec          a kernel that the running one starts, without the boot loader
//! room           what to do if /boot is too small for old and new kernels
//! retain         which deployments stay when a new one comes
//! cleanup        what no boot entry leads to
//! lock           one writer at a time
//! stateroot      new sysroots and stateroots
//! bootloader     what GRUB, U-Boot, syslinux, zipl and aboot want beside the boot entries
//! boot_entry     one file of loader/entries (boot loader specification)
//! settings       what the repository's config says of boot entries
//! kargs          the kernel's command line
//! origin         where a deployment came from, and where its upgrades come from
//! etc            /etc of the old deployment merged into that of the new one
//! state_overlay  a directory of the deployment whose changes last
//! unlock         a /usr that can be written, for a while or for good
//! image          the composefs image of a deployment, and fs-verity for its files
//! sealed         whether an initramfs that asks for a signature will take it
//! prepare_root   from the kernel to the running system: a deployment becomes the root file system
//! ```
//!
//! The layout is libostree's (`docs/manual/deployment`, `ostree-sysroot.c`): `ostree/repo` is the repository,
//! `ostree/deploy/STATEROOT/deploy/COMMIT.SERIAL` a deployment, `boot/loader.V` the boot entries of version V (0 or
//! 1), `ostree/boot.V.S` the links that boot entries name.

pub mod boot_entry;
mod boot_journal;
pub mod bootloader;
mod cleanup;
mod deploy;
mod deployment;
mod error;
pub mod etc;
mod files;
mod image;
mod in_place;
mod install;
pub mod kargs;
mod kernel;
mod kexec;
mod labels;
mod load;
mod lock;
mod name;
pub mod origin;
mod os_release;
pub mod prepare_root;
mod relabel;
mod retain;
mod room;
mod sealed;
mod settings;
mod soft_reboot;
mod staged;
mod state_overlay;
mod stateroot;
mod surroundings;
mod unlock;
mod var;
mod write;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use cap_std::fs::Dir;
use rustix::fs::fstat;

use crate::repo::Repo;

pub use cleanup::Cleanup;
pub use deploy::DeployOptions;
pub use deployment::{Deployment, Deployments, Stage, Unlocked};
pub use error::{Error, Result};
pub use lock::SysrootLock;
pub use name::{BootLink, BootVersion, DeploymentId, Stateroot};
pub use origin::DeploymentOrigin;
pub use relabel::ensure_labelled;
pub use retain::{Position, Retain};
pub use sealed::Unsealed;
pub use settings::{BootLoaderChoice, SysrootSettings};
pub use staged::StagedLock;
pub use stateroot::Epoch;
pub use surroundings::{Surroundings, Tunables};
pub use unlock::Unlock;
pub use write::After;

/// `f_type` of file systems of MS-DOS, as statfs(2) lists it.
const MSDOS_MAGIC: i64 = 0x4d44;

/// A directory with deployments, the repository that they were checked out from, and their boot entries: the root of
/// the running system, or that of a disk that will be booted elsewhere.
pub struct Sysroot {
    dir: Dir,
    repo: Repo,
    surroundings: Surroundings,
    journal: Journal,
}

/// A listener, such as the journal of the system, that is told what was done, a sentence at a time.
pub type Journal = Arc<dyn Fn(&str) + Send + Sync>;

impl Sysroot {
    /// Opens the sysroot in `dir`.
    ///
    /// # Errors
    /// [`Error::NotASysroot`]; [`Error::RepositoryElsewhere`]; [`Error::Store`], [`Error::Io`].
    pub fn open(dir: Dir, surroundings: Surroundings) -> Result<Self> {
        let repo = files::open_dir(&dir, "ostree/repo").map_err(|error| match &error {
            Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Error::NotASysroot,
            _ => Error::within("Opening sysroot repo")(error),
        })?;
        let repo = Repo::open(files::into_dir(repo)).map_err(Error::from);
        let repo = repo.map_err(Error::within("Opening sysroot repo"))?;
        // Deployments are hard links to its objects.
        let ostree = files::open_dir(&dir, "ostree")?;
        let device = |dir: &dyn AsFd| fstat(dir.as_fd()).map(|stat| stat.st_dev);
        let stat = |e| Error::io("stat", "ostree", e);
        if device(&ostree).map_err(stat)? != device(repo.dir()).map_err(stat)? {
            return Err(Error::RepositoryElsewhere);
        }
        Ok(Self { dir, repo, surroundings, journal: Arc::new(|_| ()) })
    }

    /// Lets `journal` be told what is done.
    #[must_use]
    pub fn with_journal(mut self, journal: Journal) -> Self {
        self.journal = journal;
        self
    }

    /// The directory of the sysroot.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The repository of the sysroot.
    pub fn repo(&self) -> &Repo {
        &self.repo
    }

    /// The repository of the sysroot, to be configured.
    pub fn repo_mut(&mut self) -> &mut Repo {
        &mut self.repo
    }

    /// The repository of the sysroot, without the rest.
    pub fn into_repo(self) -> Repo {
        self.repo
    }

    /// What is known of the machine.
    pub fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// The directory `boot`, which may be a file system of its own.
    ///
    /// # Errors
    /// [`Error::VfatBoot`]; [`Error::Io`].
    pub fn boot_dir(&self) -> Result<OwnedFd> {
        self.boot_dir_if_there()?.ok_or_else(|| Error::io("opendir", "boot", rustix::io::Errno::NOENT))
    }

    /// The directory of a deployment.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn deployment_dir(&self, id: &DeploymentId) -> Result<OwnedFd> {
        files::open_dir(&self.dir, &id.path())
    }

    fn boot_dir_if_there(&self) -> Result<Option<OwnedFd>> {
        let Some(boot) = files::open_dir_if_there(&self.dir, "boot")? else { return Ok(None) };
        let kind = rustix::fs::fstatfs(&boot).map_err(|e| Error::io("statfs", "boot", e))?.f_type;
        if kind == MSDOS_MAGIC { Err(Error::VfatBoot) } else { Ok(Some(boot)) }
    }

    /// What is configured for boot entries.
    fn settings(&self) -> Result<SysrootSettings> {
        SysrootSettings::parse(self.repo.config().keyfile())
            .map_err(Error::invalid("config of the repository"))
    }

    /// Says what was done.
    fn tell(&self, what: &str) {
        tracing::info!("{what}");
        (self.journal)(what);
    }
}

impl std::fmt::Debug for Sysroot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sysroot").field("dir", &self.dir).finish_non_exhaustive()
    }
}
