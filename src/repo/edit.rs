//! Changing a small file that others may change at the same time: the config, the signatures of a commit, the keys
//! of a remote.
//!
//! Who reads such a file, to write it again with something more in it, holds `.lock-edit` from before the reading
//! until after the writing. It is not `.lock`: that one is held, shared, by every pull for as long as it takes.
//! libostree knows neither, and takes no lock for these files: what it writes at the same moment may be lost.

use std::os::fd::AsFd;

use ostree_format::RepoConfig;
use ostree_format::keyfile::KeyFile;

use super::sys::LockKind;
use super::{Fsync, Lock, Repo, invalid_config, object, read_config};
use crate::base::Ctx;
use crate::store::Result;

/// The name of the file in the repository.
const NAME: &str = ".lock-edit";

impl Repo {
    /// Keeps others from changing the config, signatures and keys, until it is dropped. [`Repo::update_config`]
    /// does so by itself. Comes after [`Repo::begin`] where both are needed.
    ///
    /// # Errors
    /// As [`Repo::begin`].
    pub fn lock_edits(&self, ctx: &Ctx) -> Result<Lock> {
        match self.writable {
            true => Lock::take(self.root.as_fd(), NAME, LockKind::Exclusive, self.config.locking, ctx),
            false => Ok(Lock::none()),
        }
    }

    /// Changes the config file, as a whole or not at all. `edit` gets it as it is now, which may not be how it was
    /// when the repository was opened.
    ///
    /// # Errors
    /// What `edit` returns; [`Error::Invalid`](crate::store::Error::Invalid) if the result is not a config; as
    /// [`Repo::begin`].
    pub fn update_config(&mut self, edit: impl FnOnce(&mut KeyFile) -> Result<()>) -> Result<()> {
        let _lock = self.lock_edits(&Ctx::default())?;
        let mut file = read_config(&self.dir)?.keyfile().clone();
        edit(&mut file)?;
        let config = RepoConfig::from_keyfile(file).map_err(invalid_config)?;
        self.replace_file("config", config.keyfile().to_string().as_bytes())?;
        self.fsync = Fsync::of(&config);
        self.format = object::file_format(&config);
        self.config = config;
        Ok(())
    }
}
