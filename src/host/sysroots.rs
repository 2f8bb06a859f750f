//! Sysroots by their paths, and what they have to be told of the machine.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ostree_format::variant::Dict;

use super::boot_programs::BootPrograms;
use super::repos::open_dir;
use super::{Error, Machine, Result};
use crate::sysroot::{Epoch, Inode, Surroundings, Sysroot, Tunables, inode_in};

/// Says that the running system was booted from a deployment, and which.
const BOOTED: &str = "/run/ostree-booted";
/// Finishes a staged deployment when it is stopped.
const FINALIZE: &str = "ostree-finalize-staged.service";

impl Machine {
    /// The sysroot that is meant where none is named: that of `OSTREE_SYSROOT`, that of the running system.
    pub fn sysroot_path(&self) -> PathBuf {
        self.env.path("OSTREE_SYSROOT").unwrap_or_else(|| "/".into())
    }

    /// Opens the sysroot at `path`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Sysroot`], [`Error::KeyFile`] if `/run/ostree-booted` cannot be read.
    pub fn open_sysroot(&self, path: impl AsRef<Path>) -> Result<Sysroot> {
        let dir = open_dir("Opening sysroot", path.as_ref())?;
        let mut surroundings = self.surroundings(&dir)?;
        surroundings.programs = Some(Box::new(BootPrograms::named(&self.env, path.as_ref())));
        let mut sysroot = Sysroot::open(dir, surroundings)?;
        if let Some(boot_id) = self.env.text("OSTREE_BOOTID") {
            sysroot.repo_mut().set_boot_id(boot_id);
        }
        Ok(sysroot)
    }

    /// Makes the directories of a sysroot at `path`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Sysroot`].
    pub fn create_sysroot(&self, path: impl AsRef<Path>, epoch: Epoch) -> Result<()> {
        Ok(Sysroot::create(&open_dir("Opening sysroot", path.as_ref())?, epoch)?)
    }

    /// Starts the service that finishes staged deployments when the machine shuts down.
    ///
    /// # Errors
    /// [`Error::Service`]
    pub fn start_finalization(&self) -> Result<()> {
        let mut systemctl = Command::new("systemctl");
        let started = systemctl.args(["start", "--quiet", FINALIZE]).stderr(Stdio::null()).status();
        let failed = |why: String| Error::Service { name: FINALIZE, why };
        match started {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(failed(status.to_string())),
            Err(error) => Err(failed(format!("systemctl: {error}"))),
        }
    }

    /// What the sysroot in `dir` has to be told of this machine.
    fn surroundings(&self, dir: &Dir) -> Result<Surroundings> {
        let inode = |stat: rustix::io::Result<rustix::fs::Stat>, path: &Path| {
            stat.map(|stat| Inode::from(&stat)).map_err(|e| Error::io("stat", path)(e.into()))
        };
        let root = inode(rustix::fs::stat("/"), Path::new("/"))?;
        let is_root = inode(rustix::fs::fstat(dir), Path::new("."))? == root;
        let booted = match fs::read(BOOTED) {
            Ok(bytes) if is_root => Some(backing(&bytes)?.unwrap_or(root)),
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::io("Reading", BOOTED)(error));
            }
            _ => None,
        };
        let open = |path: &str| Dir::open_ambient_dir(path, ambient_authority()).ok();
        let words = |name: &str| self.env.text(name).unwrap_or_default();
        Ok(Surroundings {
            booted,
            root: Some(root),
            run: open("/run"),
            var: booted.and_then(|_| open("/var")),
            programs: None,
            tunables: Tunables::parse(words("OSTREE_SYSROOT_OPTS"), words("OSTREE_SYSROOT_DEBUG")),
        })
    }
}

/// The directory of the deployment that is told of; older systems leave the file empty.
fn backing(bytes: &[u8]) -> Result<Option<Inode>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let data = Dict::parse(bytes).map_err(|source| Error::KeyFile { path: BOOTED.into(), source })?;
    Ok(inode_in(&data))
}
