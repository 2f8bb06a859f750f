//! Changing a small file that others may change at the same time: the config, the signatures of a commit, the keys
//! of a remote.
//!
//! Who reads such a file, to write it again with something more in it, holds `.lock-edit` from before the reading
//! until after the writing. It is not `.lock`: that one is held, shared, by every pull for as long as it takes.
//! libostree knows neither, and takes no lock for these files: what it writes at the same moment may be lost.

use std::os::fd::{AsFd, OwnedFd};

use cap_std::fs::Dir;
use ostree_format::keyfile::KeyFile;
use ostree_format::{RepoConfig, RepoMode};

use super::sys::{self, LockKind};
use super::{Fsync, Lock, Repo, durable, invalid_config, not_writable, object, open_objects, read_keys};
use crate::base::Ctx;
use crate::store::{Error, Result};

/// The name of the file in the repository.
const NAME: &str = ".lock-edit";

impl Repo {
    /// Keeps others from changing the config, signatures and keys, until it is dropped. [`Repo::update_config`]
    /// does so by itself. Comes after [`Repo::begin`] where both are needed.
    ///
    /// # Errors
    /// As [`Repo::begin`].
    pub fn lock_edits(&self, ctx: &Ctx) -> Result<Lock> {
        self.require_writable()?;
        Lock::take(self.root.as_fd(), NAME, LockKind::Exclusive, self.config.locking, ctx)
    }

    /// Changes the config file, as a whole or not at all. `edit` gets it as it is now, which may not be how it was
    /// when the repository was opened.
    ///
    /// # Errors
    /// As [`ConfigFile::update`].
    pub fn update_config(&mut self, edit: impl FnOnce(&mut KeyFile) -> Result<()>) -> Result<()> {
        let mut file = ConfigFile::open(&self.dir)?;
        file.update(edit)?;
        let config = RepoConfig::from_keyfile(file.keys).map_err(invalid_config)?;
        self.fsync = Fsync::of(&config);
        self.format = object::file_format(&config);
        self.config = config;
        Ok(())
    }
}

/// The config of a repository as a file: read and changed where a value keeps the repository itself from being opened.
#[derive(Debug)]
pub struct ConfigFile {
    root: OwnedFd,
    keys: KeyFile,
}

impl ConfigFile {
    /// Reads the config of the repository in `dir`.
    ///
    /// # Errors
    /// [`Error::NotARepository`]; [`Error::Invalid`] if it is no key file; [`Error::Io`].
    pub fn open(dir: &Dir) -> Result<Self> {
        let root = sys::open_dir(dir, ".").map_err(|e| Error::at(dir, "open", ".", e))?;
        open_objects(dir)?;
        let keys = read_keys(&root)?;
        Ok(Self { root, keys })
    }

    /// All keys, as they were read or written last.
    pub fn keys(&self) -> &KeyFile {
        &self.keys
    }

    /// Changes the file, as a whole or not at all. `edit` gets it as it is now. What it leaves has to be understood, unless
    /// the file was not before: of several wrong values one can be mended after the other.
    ///
    /// # Errors
    /// What `edit` returns; [`Error::Invalid`] if the result is not a config; as [`Repo::begin`].
    pub fn update(&mut self, edit: impl FnOnce(&mut KeyFile) -> Result<()>) -> Result<()> {
        sys::require_writable(&self.root).map_err(|source| not_writable(&self.root, source))?;
        let settings = |keys: &KeyFile| RepoConfig::from_keyfile(keys.clone());
        // Where it is not known how others lock, it is as in a new repository.
        let new = || RepoConfig::new(RepoMode::Bare, None);
        let settings_now = settings(&self.keys).or_else(|_| new()).map_err(invalid_config)?;
        let (root, locking) = (self.root.as_fd(), settings_now.locking);
        let _lock = Lock::take(root, NAME, LockKind::Exclusive, locking, &Ctx::default())?;
        let mut keys = read_keys(&self.root)?;
        let was_understood = settings(&keys).is_ok();
        edit(&mut keys)?;
        let fsync = match settings(&keys) {
            Ok(config) => Fsync::of(&config),
            Err(error) if was_understood => return Err(invalid_config(error)),
            Err(_) => Fsync::of(&settings_now),
        };
        let open_tmp = |_| sys::open_dir(root, "tmp");
        // Whoever looks for free space may have removed it.
        let tmp = sys::mkdir(root, "tmp", 0o775).and_then(open_tmp);
        let tmp = tmp.map_err(|e| Error::at(root, "open", "tmp", e))?;
        durable::replace(tmp.as_fd(), root, "config", keys.to_string().as_bytes(), fsync)
            .map_err(|e| Error::at(root, "write", "config", e))?;
        if fsync != Fsync::Never {
            sys::sync_file(&self.root).map_err(|e| Error::at(&self.root, "fsync", ".", e))?;
        }
        self.keys = keys;
        Ok(())
    }
}
