//! A deployment whose `/usr` can be written: overlayfs on it keeps what is changed.
//!
//! ```text
//! development   …/backing/COMMIT.N/usr-transient/{upper,work}          until the next boot
//! transient     the same, mounted so that only who remounts it writes
//! hotfix        …/deploy/COMMIT.N/.usr-ovl-{upper,work}                prepare-root mounts it at each boot
//! ```
//! A hotfix stands in the origin; the others in `/run/ostree/deployment-state`, which is gone with the boot. Source:
//! libostree ostree-sysroot.c.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::mount::{MountFlags, mount};

use super::files::{self, Durability};
use super::labels::Labels;
use super::load::run_state;
use super::{
    Cleanup, DeployOptions, Deployment, Deployments, Error, Position, Result, Retain, Sysroot, Unlocked,
};
use crate::base::Ctx;

/// The directory beside a deployment in which changes lie that the next boot forgets.
const TRANSIENT: &str = "usr-transient";

/// How long changes to `/usr` stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlock {
    /// Until the next boot.
    Development,
    /// For good; a copy of the deployment without changes is kept to go back to.
    Hotfix,
    /// Until the next boot, and only who remounts `/usr` in a mount namespace can make any.
    Transient,
}

impl Sysroot {
    /// Lets `/usr` of the booted deployment be written; `usr` is where it is mounted in the running system.
    ///
    /// # Errors
    /// [`Error::NotBooted`]; [`Error::Usage`] if it can be written already; [`Error::Io`], also if the overlay cannot be
    /// mounted; for a hotfix as [`Sysroot::deploy`] and [`Sysroot::write_deployments`].
    pub fn unlock(&self, current: Deployments, how: Unlock, usr: &Path, ctx: &Ctx) -> Result<()> {
        let booted = current.require_booted()?.clone();
        let state = booted.unlocked;
        if state != Unlocked::No {
            return Err(Error::Usage(format!("Deployment is already in unlocked state: {state}")));
        }
        if how == Unlock::Hotfix {
            self.keep_to_go_back(current, &booted, ctx)?;
        }
        let root = self.deployment_dir(&booted.id)?;
        files::set_immutable(&root, false).map_err(|e| Error::io("make mutable", booted.id.path(), e))?;
        let (dir, [upper, work]) = self.overlay_dirs(&booted, &root, how)?;
        // The paths lead through open directories: the overlay is made in the caller's mounts, whatever these are.
        let (lower, dir) = (root.as_raw_fd(), dir.as_raw_fd());
        let options = format!(
            "lowerdir=/proc/self/fd/{lower}/usr,\
             upperdir=/proc/self/fd/{dir}/{upper},workdir=/proc/self/fd/{dir}/{work}"
        );
        let options = CString::new(options).map_err(|e| Error::Usage(e.to_string()))?;
        let flags = if how == Unlock::Transient { MountFlags::RDONLY } else { MountFlags::empty() };
        let mounted = mount("overlay", usr, "overlay", flags, options.as_c_str());
        mounted.map_err(|e| Error::io("mount an overlay at", usr, e))?;
        self.write_unlocked(&booted, how)?;
        self.touch()
    }

    /// Deploys the same commit once more, behind the booted deployment.
    fn keep_to_go_back(&self, current: Deployments, booted: &Deployment, ctx: &Ctx) -> Result<()> {
        self.cleanup(&current, Cleanup::AllButObjects, ctx)?;
        let options = DeployOptions {
            origin: booted.origin.clone(),
            merge: Some(booted),
            kernel_args: Some(booted.entry.kernel_args()),
            ..DeployOptions::new(booted.id.stateroot.clone(), booted.id.commit)
        };
        let new = self.deploy(&options, ctx)?;
        let how = (Retain::default(), Position::NotDefault);
        let written = self.add_deployment(current, new, Some(&booted.id), how, ctx)?;
        self.cleanup(&written, Cleanup::All, ctx)
    }

    /// Makes the directories that overlayfs writes into; gives the one that has both, and their names.
    fn overlay_dirs(
        &self,
        booted: &Deployment,
        root: &OwnedFd,
        how: Unlock,
    ) -> Result<(OwnedFd, [&'static str; 2])> {
        let missing = || Error::io("stat", "usr", rustix::io::Errno::NOENT);
        let mode = files::stat(root, "usr")?.ok_or_else(missing)?.st_mode & 0o7777;
        let (dir, names) = if how == Unlock::Hotfix {
            (files::open_dir(root, ".")?, [".usr-ovl-upper", ".usr-ovl-work"])
        } else {
            let path = format!("{}/{TRANSIENT}", booted.id.backing_path());
            files::remove_all(&self.dir, &path)?;
            make(&self.dir, &path, mode)?;
            let dir = files::open_dir(&self.dir, &path)?;
            Labels::of(root)?.set(&dir, "usr", mode | ostree_format::S_IFDIR)?;
            (dir, ["upper", "work"])
        };
        names.iter().try_for_each(|name| make(&dir, name, mode))?;
        Ok((dir, names))
    }

    /// Writes down that the deployment can be written.
    fn write_unlocked(&self, booted: &Deployment, how: Unlock) -> Result<()> {
        let flag = match how {
            Unlock::Hotfix => {
                let mut origin = booted.origin.clone().unwrap_or_default();
                let set = origin.keys_mut().set_string("origin", "unlocked", "hotfix");
                set.map_err(Error::invalid("origin"))?;
                return self.write_origin(booted, &origin);
            }
            Unlock::Development => "unlocked-development",
            Unlock::Transient => "unlocked-transient",
        };
        let (run, dir) = (self.run()?, run_state(&booted.id));
        files::mkdir_all(run, &dir, 0o755)?;
        files::replace(run, &format!("{dir}/{flag}"), b"", Durability::Later)
    }
}

/// Makes a directory, and those above it, with just this mode.
fn make(dir: impl AsFd, path: &str, mode: u32) -> Result<()> {
    files::mkdir_all(&dir, path, mode)?;
    files::chmod(&dir, path, mode)
}
