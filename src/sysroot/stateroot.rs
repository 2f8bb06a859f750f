//! New sysroots and new stateroots.

use cap_std::fs::Dir;
use ostree_format::RepoMode;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW};

use super::{Error, Result, Stateroot, Sysroot, files};
use crate::repo::Repo;

/// Which directories a new sysroot gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Epoch {
    /// `boot`, `ostree`, and those of a root file system: `dev`, `home`, `proc`, `root`, `run`, `sys`, `tmp`.
    #[default]
    Traditional,
    /// `boot` and `ostree`, which is all that is needed.
    Modern,
    /// `boot` and `ostree`, which only root may enter.
    Private,
}

impl Sysroot {
    /// Makes the directories of a sysroot and its repository in `dir`; what is there stays.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Store`].
    pub fn create(dir: &Dir, epoch: Epoch) -> Result<()> {
        files::mkdir_all(dir, "boot", 0o755)?;
        match epoch {
            Epoch::Traditional => {
                for name in ["dev", "home", "proc", "run", "sys"] {
                    files::mkdir(dir, name, 0o755)?;
                }
                files::mkdir(dir, "root", 0o700)?;
                files::mkdir(dir, "tmp", 0o1777)?;
                files::chmod(dir, "tmp", 0o1777)?;
            }
            Epoch::Modern => {}
            Epoch::Private => drop(files::mkdir(dir, "ostree", 0o700)?),
        }
        Self::ensure_ostree(dir)
    }

    /// Makes `ostree` with a repository, where they are missing.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Store`].
    pub fn ensure_ostree(dir: &Dir) -> Result<()> {
        files::mkdir_all(dir, "ostree/repo", 0o755)?;
        files::mkdir_all(dir, "ostree/deploy", 0o755)?;
        let repo = files::into_dir(files::open_dir(dir, "ostree/repo")?);
        Repo::create(repo, RepoMode::Bare, None)?;
        Ok(())
    }

    /// Makes a stateroot, with an empty `/var`. One that lacks it was only begun, and is finished.
    ///
    /// # Errors
    /// [`Error::Io`], also if it is there already.
    pub fn create_stateroot(&self, name: &Stateroot) -> Result<()> {
        files::mkdir(&self.dir, &name.path(), 0o777)?;
        if !files::mkdir(&self.dir, &format!("{}/var", name.path()), 0o777)? {
            return Err(Error::at(&self.dir, "Creating", name.path(), rustix::io::Errno::EXIST));
        }
        self.touch()
    }

    /// Lets others see that something has changed: they look at when `ostree/deploy` was modified.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn touch(&self) -> Result<()> {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        let touched = rustix::fs::utimensat(&self.dir, "ostree/deploy", &times, rustix::fs::AtFlags::empty());
        touched.map_err(|e| Error::at(&self.dir, "touch", "ostree/deploy", e))
    }
}
