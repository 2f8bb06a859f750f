//! The root that the next soft reboot leads to, put together while the system runs.
//!
//! ```text
//! /run/nextroot            a deployment's composefs; systemd makes it the root, with everything that is mounted in it
//!              /etc        the deployment's own, or one whose changes are lost
//!              /boot       the physical root's, unless it is a file system of its own
//!              /sysroot    the physical root, read-only
//! /run/ostree/nextroot-booted   what /run/ostree-booted will be: `boot-complete` moves it there
//! ```
//! systemd mounts everything else anew. What the running system has of its root stays as it is. Source: libostree
//! `ostree-soft-reboot.c`.

use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::path::Path;

use cap_std::fs::Dir;

use super::mounts::{self, Access};
use super::root::{self, HOTFIX};
use super::{Booted, Composefs, Error, Place, Result, RootConfig, Stage, io_error, load_keys, make_dir};
use crate::sign::PublicKeys;

/// Where systemd looks for the next root, below `/run`.
const NEXT: &str = "nextroot";
/// What is known of it, below `/run`.
const BOOTED: &str = "ostree/nextroot-booted";
/// Where the physical root is mounted in a running system.
const PHYSICAL: &str = "sysroot";

/// Mounts what the next soft reboot will find as its root: `deployment`, a path below `/sysroot`, in place of whatever was
/// mounted for that before. `root` is the root directory of this process, where keys are looked for that `prepare-root.conf`
/// of the deployment asks for; `cmdline` is the kernel's.
///
/// # Errors
/// [`Error::NextWithoutComposefs`] if the deployment's configuration wants bind mounts; [`Error`]. Then nothing stays mounted.
pub fn prepare_next(root: &Place, deployment: &Path, cmdline: &str) -> Result<Booted> {
    let run = root.dir.open_dir("run").map_err(io_error("opening", "run"))?;
    clear_next(&run)?;
    for dir in [NEXT, "ostree"] {
        make_dir(&run, dir, 0o755).map_err(|errno| io_error("creating", dir)(errno.into()))?;
    }
    let physical = root.path.join(PHYSICAL);
    // The new root would keep systemd from unmounting /sysroot. What it is made of is a mount of its own, which goes away.
    mounts::bind(&physical, &physical)?;
    let mounted = mount_next(root, &run, deployment, cmdline);
    let detached = mounts::detach(&physical);
    let done = mounted.and_then(|booted| detached.map(|()| booted)).and_then(|booted| {
        let sysroot = root.path.join("run").join(NEXT).join("sysroot");
        mounts::bind(&physical, &sysroot)?;
        mounts::rebind(&sysroot, Access::ReadOnly)?;
        run.write(BOOTED, booted.to_bytes()).map_err(io_error("writing", BOOTED))?;
        Ok(booted)
    });
    if done.is_err() {
        clear_next(&run)?;
    }
    done
}

/// Mounts the deployment, its `/etc` and `/boot`.
fn mount_next(root: &Place, run_dir: &Dir, deployment: &Path, cmdline: &str) -> Result<Booted> {
    let open = |dir: &Dir, path: &Path| dir.open_dir(path).map_err(io_error("opening", path));
    // By the new mount.
    let physical_dir = open(&root.dir, Path::new(PHYSICAL))?;
    let dir = open(&physical_dir, deployment)?;
    let config = RootConfig::load(&dir, cmdline)?;
    if config.composefs != Composefs::Yes {
        return Err(Error::NextWithoutComposefs);
    }
    let keys: Option<PublicKeys> = load_keys(&root.dir, &config)?;
    let run = root.path.join("run");
    let stage = Stage {
        root: &root.path,
        root_dir: &root.dir,
        run: &run,
        run_dir,
        physical: &root.path.join(PHYSICAL),
        scratch: &run.join(NEXT),
        deployment,
    };
    stage.make_run_dir("ostree/.private", 0)?;
    let booted = Booted::before_mounts(&dir, deployment, &config)?;
    // A soft reboot leads to no other kind of `/sysroot`.
    let mut booted = Booted { is_sysroot_readonly: true, ..booted };
    if dir.symlink_metadata(HOTFIX.1).is_ok() {
        // Otherwise nothing could be written through the overlay.
        mounts::rebind(stage.physical, Access::ReadWrite)?;
    }
    let dirs = (&physical_dir, &dir);
    root::mount_deployment(&stage, &config, keys.as_ref(), dirs, Access::ReadWrite, &mut booted)?;
    root::mount_boot(&stage, &physical_dir)?;
    Ok(booted)
}

/// Unmounts what was to be the next root, so that a soft reboot leads to the same deployment as before; `run` is the
/// directory `/run`. Where nothing was mounted, nothing happens.
///
/// # Errors
/// [`Error::Mount`], [`Error::Io`].
pub fn clear_next(run: &Dir) -> Result<()> {
    let next = format!("/proc/self/fd/{}/{NEXT}", run.as_raw_fd());
    // Other programs mount one over the other.
    while mounts::detach_if_mounted(Path::new(&next))? {}
    match run.remove_file(BOOTED) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error("removing", BOOTED)(error)),
        _ => Ok(()),
    }
}
