//! Repositories by their paths.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::{Error, Machine, Result};
use crate::format::RepoMode;
use crate::repo::{ConfigFile, Repo};
use crate::store;

/// The repository of the running system.
const SYSTEM_REPO: &str = "/sysroot/ostree/repo";

impl Machine {
    /// Opens the repository at `path`, and the one that it calls its parent.
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::NotARepository`], [`Error::Repository`], [`Error::Io`].
    pub fn open_repo(&self, path: impl AsRef<Path>) -> Result<Repo> {
        let mut repo = self.open_one(path.as_ref())?;
        if let Some(parent) = repo.config().parent.clone() {
            repo.set_parent(self.open_one(Path::new(&parent))?);
        }
        Ok(repo)
    }

    /// The repository that is meant where none is named: the current directory if it is one, that of `OSTREE_REPO`,
    /// that of the sysroot of `OSTREE_SYSROOT`, that of the running system.
    pub fn repo_path(&self) -> Option<PathBuf> {
        // Who stands in a repository means that one.
        let here = is_repo(Path::new(".")).then(|| PathBuf::from("."));
        let system = || is_repo(Path::new(SYSTEM_REPO)).then(|| SYSTEM_REPO.into());
        let sysroot = || self.env.path("OSTREE_SYSROOT").map(|path| path.join("ostree/repo"));
        here.or_else(|| self.env.path("OSTREE_REPO")).or_else(sysroot).or_else(system)
    }

    /// Whether commits and pulls may write files into a repository of this mode: bare-split-xattrs is there to be read, and
    /// is written as an experiment, as libostree says, by whoever sets `OSTREE_EXP_WRITE_BARE_SPLIT_XATTRS`. What is written
    /// is whole; images are pulled into it without being asked.
    pub fn may_write_files(&self, mode: RepoMode) -> bool {
        mode != RepoMode::BareSplitXattrs || self.env.get("OSTREE_EXP_WRITE_BARE_SPLIT_XATTRS").is_some()
    }

    /// The config of the repository at `path`, for whoever reads or mends it: other than the repository, it needs no values
    /// that are understood, and no parent.
    ///
    /// # Errors
    /// As [`Machine::open_repo`].
    pub fn config_file(&self, path: impl AsRef<Path>) -> Result<ConfigFile> {
        in_repo(path.as_ref(), |dir| ConfigFile::open(&dir))
    }

    fn open_one(&self, path: &Path) -> Result<Repo> {
        let mut repo = in_repo(path, Repo::open)?;
        // Staged objects are taken up again after a crash, but not after a restart of the machine. Where its id
        // cannot be read, it can be given.
        if let Some(boot_id) = self.env.text("OSTREE_BOOTID") {
            repo.set_boot_id(boot_id);
        }
        Ok(repo)
    }
}

/// Opens something in the directory of a repository, which errors name.
fn in_repo<T>(path: &Path, open: impl FnOnce(Dir) -> store::Result<T>) -> Result<T> {
    let dir = open_dir("Opening repository", path).map_err(|error| match error {
        Error::Io { source, .. } if source.kind() == ErrorKind::NotFound => Error::NoRepository(path.into()),
        error => error,
    })?;
    open(dir).map_err(|error| match error {
        store::Error::NotARepository { .. } => Error::NotARepository(path.into()),
        source => Error::Repository { path: path.into(), source },
    })
}

fn is_repo(path: &Path) -> bool {
    path.join("objects").is_dir() && path.join("config").is_file()
}

/// Opens a directory; `op` is what an error says was tried.
pub(super) fn open_dir(op: &'static str, path: &Path) -> Result<Dir> {
    Dir::open_ambient_dir(path, ambient_authority()).map_err(Error::io(op, path))
}
