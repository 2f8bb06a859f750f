//! Sysroots by their paths, and what they have to be told of the machine.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nix::sched::{CloneFlags, unshare};
use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::boot_programs::BootPrograms;
use super::repos::open_dir;
use super::{Error, Machine, Result};
use crate::base::Inode;
use crate::sysroot::prepare_root::Booted;
use crate::sysroot::{Epoch, Surroundings, Sysroot, Tunables};

/// Says that the running system was booted from a deployment, and which.
const BOOTED: &str = "/run/ostree-booted";
/// What a running system may have mounted read-only, and is written here.
const MOUNTED: [&str; 2] = ["/sysroot", "/boot"];
/// Finishes a staged deployment when it is stopped.
const FINALIZE: &str = "ostree-finalize-staged.service";
/// How often a file system that is busy is remounted.
const TRIES: u32 = 50;
/// How long it is waited for each time.
const PAUSE: Duration = Duration::from_millis(20);

impl Machine {
    /// The sysroot that is meant where none is named: that of `OSTREE_SYSROOT`, that of the running system.
    pub fn sysroot_path(&self) -> PathBuf {
        self.env.path("OSTREE_SYSROOT").unwrap_or_else(|| "/".into())
    }

    /// Opens the sysroot at `path`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::At`] with what is wrong with the sysroot; [`Error::KeyFile`] if `/run/ostree-booted` cannot
    /// be read.
    pub fn open_sysroot(&self, path: impl AsRef<Path>) -> Result<Sysroot> {
        let dir = open_dir("Opening sysroot", path.as_ref())?;
        let mut surroundings = self.surroundings(&dir)?;
        surroundings.programs = Some(Box::new(BootPrograms::named(&self.env, path.as_ref())));
        let mut sysroot = Sysroot::open(dir, surroundings).map_err(|source| Error::At {
            place: format!("sysroot {}", path.as_ref().display()),
            source: Box::new(source.into()),
        })?;
        if let Some(boot_id) = self.env.text("OSTREE_BOOTID") {
            sysroot.repo_mut().set_boot_id(boot_id);
        }
        Ok(sysroot)
    }

    /// Opens the sysroot at `path` to change it. Where the running system has its own read-only, this process gets a
    /// view of its own in which it is not; what others see stays as it is.
    ///
    /// # Errors
    /// As [`Machine::open_sysroot`]; [`Error::Io`] if the view cannot be had.
    pub fn open_sysroot_to_write(&self, path: impl AsRef<Path>) -> Result<Sysroot> {
        let path = path.as_ref();
        let sysroot = self.open_sysroot(path)?;
        let is_running = sysroot.surroundings().booted.is_some();
        let read_only: Vec<&str> = MOUNTED.into_iter().filter(|path| is_read_only(path)).collect();
        if !is_running || read_only.is_empty() || !rustix::process::geteuid().is_root() {
            return Ok(sysroot);
        }
        drop(sysroot);
        own_view()?;
        for path in read_only {
            remount_to_write(path).map_err(|e| Error::io("Remounting read-write", path)(e.into()))?;
        }
        self.open_sysroot(path)
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
        systemctl(&["start", "--quiet", FINALIZE], FINALIZE)
    }

    /// Restarts the machine, as systemd does it: services are stopped first, and a staged deployment is finished.
    ///
    /// # Errors
    /// [`Error::Service`]
    pub fn reboot(&self) -> Result<()> {
        systemctl(&["reboot"], "reboot.target")
    }

    /// Restarts as [`Machine::reboot`], but with the kernel that the running one has loaded
    /// ([`Sysroot::load_kexec`](crate::sysroot::Sysroot::load_kexec)).
    ///
    /// # Errors
    /// [`Error::Service`]
    pub fn kexec(&self) -> Result<()> {
        systemctl(&["kexec"], "kexec.target")
    }

    /// What the sysroot in `dir` has to be told of this machine.
    fn surroundings(&self, dir: &Dir) -> Result<Surroundings> {
        let root = Inode::from(&fs::metadata("/").map_err(Error::io("stat", "/"))?);
        let is_root = Inode::of(dir).map_err(Error::io("stat", "."))? == root;
        let booted = match fs::read(BOOTED) {
            Ok(bytes) if is_root => {
                let wrong = |source| Error::KeyFile { path: BOOTED.into(), source };
                // Older systems leave the file empty.
                Some(Booted::parse(&bytes).map_err(wrong)?.backing.unwrap_or(root))
            }
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

/// Whether a file system is mounted read-only.
fn is_read_only(path: &str) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Lets this process write to a file system that is mounted read-only.
fn remount_to_write(path: &str) -> Result<(), Errno> {
    let remount = || rustix::mount::mount_remount(path, MountFlags::RELATIME, "");
    for _ in 0..TRIES {
        match remount() {
            // libostree freezes it for a moment when it has written boot entries.
            Err(Errno::BUSY) => thread::sleep(PAUSE),
            done => return done,
        }
    }
    remount()
}

/// Leaves the mounts that all processes share, unless somebody has seen to that.
fn own_view() -> Result<()> {
    let view = |path: &'static str| fs::read_link(path).map_err(Error::io("Reading", path));
    if view("/proc/1/ns/mnt")? == view("/proc/self/ns/mnt")? {
        let unshared = unshare(CloneFlags::CLONE_NEWNS).map_err(std::io::Error::from);
        unshared.map_err(Error::io("Leaving the mounts of", "/"))?;
    }
    Ok(())
}

/// Asks systemd for something that only it can do; `name` is what an error calls it.
pub(super) fn systemctl(args: &[&str], name: &'static str) -> Result<()> {
    let failed = |why: String| Error::Service { name, why };
    match Command::new("systemctl").args(args).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(status.to_string())),
        Err(error) => Err(failed(format!("systemctl: {error}"))),
    }
}
