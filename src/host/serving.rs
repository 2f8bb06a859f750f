//! What a server on this machine works with.

use std::path::Path;

use cap_std::fs::Dir;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::repos::open_dir;
use super::{Error, Machine, Result};
use crate::repo::Repo;

impl Machine {
    /// The directory for files without a name while `repo` is served: on its own disk where this process may write there,
    /// or else in `TMPDIR` or `/var/tmp`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn scratch(&self, repo: &Repo) -> Result<Dir> {
        if repo.is_writable() {
            return repo.dir().open_dir("tmp").map_err(Error::io("Opening", Path::new("tmp")));
        }
        open_dir("Opening", &self.env.path("TMPDIR").unwrap_or_else(|| "/var/tmp".into()))
    }

    /// Lets this process have as many files and connections open as the system allows it. Programs begin with fewer,
    /// for the sake of old ones that could not cope.
    pub fn allow_many_files(&self) {
        let limit = getrlimit(Resource::Nofile);
        // Nothing but the number of clients at a time depends on it.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}
