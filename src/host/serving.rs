//! What a server on this machine works with.

use std::path::Path;

use cap_std::fs::Dir;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};
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

    /// Takes from this thread, and from those that it starts, what no server needs: from now on it can read `repo`, make
    /// files in `scratch`, and open nothing else on disk nor any connection. Says whether the kernel can do that
    /// (landlock, Linux 5.13); an older one does what it can.
    ///
    /// # Errors
    /// [`Error::Confine`] if the kernel knows how, and refuses.
    pub fn confine(&self, repo: &Repo, scratch: &Dir) -> Result<bool> {
        let confined = confine(repo, scratch).map_err(|e| Error::Confine(e.to_string()))?;
        Ok(confined != RulesetStatus::NotEnforced)
    }

    /// Lets this process have as many files and connections open as the system allows it. Programs begin with fewer,
    /// for the sake of old ones that could not cope.
    pub fn allow_many_files(&self) {
        let limit = getrlimit(Resource::Nofile);
        // Nothing but the number of clients at a time depends on it.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}

fn confine(repo: &Repo, scratch: &Dir) -> Result<RulesetStatus, RulesetError> {
    const LATEST: ABI = ABI::V5;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let make = read | AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::Truncate;
    let places = repo.places().into_iter().map(|place| Ok(PathBeneath::new(place, read)));
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LATEST))?
        .handle_access(AccessNet::from_all(LATEST))?
        .create()?
        .add_rules(places.collect::<Vec<Result<_, RulesetError>>>())?
        .add_rule(PathBeneath::new(scratch, make))?;
    Ok(ruleset.restrict_self()?.ruleset)
}
