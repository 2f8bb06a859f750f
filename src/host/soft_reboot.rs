//! Soft reboots of the running system: what systemd will find in `/run/nextroot`.
//!
//! libostree executes itself and `umount` for this, and has systemd start the service that finishes staged deployments. Here
//! a thread does the first two; the third one who stages a deployment has done already. `systemctl` is executed for
//! [`Machine::soft_reboot`] alone.

use std::fs::File;
use std::path::Path;
use std::{fs, io, thread};

use nix::sched::{CloneFlags, setns, unshare};

use super::booting::{CMDLINE, place};
use super::sysroots::systemctl;
use super::{Error, Machine, Result};
use crate::base::{Ctx, join, spawn};
use crate::sysroot::prepare_root::{Booted, prepare_next};
use crate::sysroot::{DeploymentId, Deployments, Sysroot};

/// The mounts that systemd works with.
const INIT: &str = "/proc/1/ns/mnt";
/// Where the running system has the physical root.
const PHYSICAL: &str = "/sysroot";

impl Machine {
    /// Lets the next soft reboot of the running system lead to a deployment of `sysroot`, its sysroot.
    ///
    /// # Errors
    /// [`Error::Sysroot`], as [`Sysroot::plan_soft_reboot`]; [`Error::Booting`], [`Error::Io`]. Then a soft reboot leads to
    /// the deployment that runs, as without preparation.
    pub fn prepare_soft_reboot(
        &self,
        sysroot: &Sysroot,
        current: Deployments,
        target: &DeploymentId,
        ctx: &Ctx,
    ) -> Result<()> {
        sysroot.plan_soft_reboot(current, target, ctx)?;
        in_mounts_of_init(|| self.mount_next_root(Path::new(&target.path())))?;
        Ok(sysroot.touch()?)
    }

    /// Mounts the next root, in the mounts that this process sees: `deployment` is a directory in `/sysroot`, by its path
    /// from there.
    ///
    /// # Errors
    /// [`Error::Booting`], [`Error::Io`].
    pub fn mount_next_root(&self, deployment: &Path) -> Result<Booted> {
        let cmdline = fs::read_to_string(CMDLINE).map_err(Error::io("Reading", CMDLINE))?;
        Ok(prepare_next(&place("/")?, deployment, &cmdline)?)
    }

    /// The deployment that the current directory is, by its path from `/sysroot`: who prepares a soft reboot by way of
    /// another process tells it so.
    ///
    /// # Errors
    /// [`Error::Io`] if the current directory is not in `/sysroot`.
    pub fn current_deployment(&self) -> Result<std::path::PathBuf> {
        let here = std::env::current_dir().map_err(Error::io("Resolving", "."))?;
        let inside = here.strip_prefix(PHYSICAL).map(Path::to_owned);
        inside.map_err(|_| {
            let why = io::Error::new(io::ErrorKind::InvalidInput, "not a deployment in /sysroot");
            Error::io("Looking for a deployment in", here)(why)
        })
    }

    /// Restarts everything but the kernel, as systemd does it: with what is in `/run/nextroot` for a root.
    ///
    /// # Errors
    /// [`Error::Service`]
    pub fn soft_reboot(&self) -> Result<()> {
        systemctl(&["soft-reboot"], "soft-reboot.target")
    }
}

/// Does something in the mounts that init sees, on a thread of its own: the others of this process may have left them to
/// write to a `/sysroot` that is read-only for everybody else.
fn in_mounts_of_init<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let mounts = File::open(INIT).map_err(Error::io("Opening", INIT))?;
    let enter = || {
        // Who shares root and current directory with other threads may not change them.
        unshare(CloneFlags::CLONE_FS).and_then(|()| setns(&mounts, CloneFlags::CLONE_NEWNS))
    };
    let entered = || {
        enter().map_err(io::Error::from).map_err(Error::io("Entering the mounts of", INIT))?;
        work()
    };
    thread::scope(|scope| spawn(scope, entered).map(join))
        .map_err(Error::io("Entering the mounts of", INIT))?
}
