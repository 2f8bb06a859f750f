//! What a server on this machine works with.

use std::fs::File;
use std::path::Path;

use cap_std::fs::Dir;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};
use rustix::fs::{Access as May, AtFlags, accessat, fstatvfs};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::repos::open_dir;
use super::{Error, Machine, Result};
use crate::container::server::{IMAGE_REPO, RootFiles, SERVED_REPO, ServerProgram};
use crate::repo::Repo;

/// Directories in which everybody may write; where all else is read-only, some are in memory.
const WRITABLE: [&str; 4] = ["/var/tmp", "/tmp", "/dev/shm", "/run"];

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

    /// The directory for files without a name in a container, of which much may be read-only: `TMPDIR`, or else the first
    /// of those in which everybody may write that can be written into.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn scratch_of_container(&self) -> Result<Dir> {
        if let Some(named) = self.env.path("TMPDIR") {
            return writable(&named);
        }
        let [first, others @ ..] = WRITABLE.map(|path| writable(Path::new(path)));
        others.into_iter().fold(first, |found, other| found.or_else(|error| other.map_err(|_| error)))
    }

    /// How many bytes files without a name may take in `scratch`, so that as much is left for others.
    pub fn room_in(&self, scratch: &Dir) -> u64 {
        fstatvfs(scratch).map_or(0, |room| room.f_bavail.saturating_mul(room.f_frsize) / 2)
    }

    /// Opens what a container of an image with a server serves: the repository that has the refs, the image's own below
    /// it, and the files of the container whose root is at `root`.
    ///
    /// # Errors
    /// As [`Machine::open_repo`]; [`Error::Store`] if metadata of a commit is missing or damaged.
    pub fn open_container(&self, root: impl AsRef<Path>) -> Result<Repo> {
        let root = root.as_ref();
        let mut repo = self.open_repo(root.join(SERVED_REPO))?;
        repo.set_parent(self.open_repo(root.join(IMAGE_REPO))?);
        let dir = open_dir("Opening", root)?;
        let failed = Error::io("Opening", root);
        let (refs, fd) = (repo.list_of(None)?, dir.try_clone().map_err(failed)?);
        let files = RootFiles::of(&repo, refs.values(), dir)?;
        if !files.is_empty() {
            repo.set_elsewhere(Box::new(files), fd.into());
        }
        Ok(repo)
    }

    /// This program, as an image can serve itself with it.
    ///
    /// # Errors
    /// [`Error::Io`], where `/proc` is missing for instance.
    pub fn own_program(&self) -> Result<ServerProgram> {
        // The file that runs, also if its name is gone or another file's by now.
        self.program(Path::new("/proc/self/exe"))
    }

    /// A program that an image can serve itself with.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn program(&self, path: &Path) -> Result<ServerProgram> {
        File::open(path).and_then(ServerProgram::new).map_err(Error::io("Reading", path))
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

/// Opens a directory into which this process may write.
fn writable(path: &Path) -> Result<Dir> {
    let dir = open_dir("Opening", path)?;
    match accessat(&dir, ".", May::WRITE_OK | May::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) => Ok(dir),
        Err(error) => Err(Error::io("Writing into", path)(error.into())),
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
