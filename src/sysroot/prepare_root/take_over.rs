//! The start of a system without an initramfs: the kernel has mounted the physical root and executes this program, in place
//! of the init of a deployment.
//!
//! ```text
//! before                             after
//! /          the physical root       /          a deployment, by bind mounts or composefs
//! /ostree    a directory of it       /sysroot   the physical root, with all that is mounted in it
//! /run       a directory of it       /run       a tmpfs; in it ostree-booted, for the running system
//!                                    /boot, /etc, /usr, /var   as an initramfs prepares them
//! ```
//! Nobody has brought configuration along: `prepare-root.conf` is the deployment's own. Source: libostree
//! `ostree-prepare-root-static.c`, which knows bind mounts alone and leaves `/run` to others.

use std::path::Path;

use rustix::fs::{AtFlags, unlinkat};

use super::mounts::{self, Access};
use super::root::{self, MOUNT_VAR};
use super::{
    Booted, Error, Integrity, Place, Prepared, Result, RootConfig, Stage, Target, find, io_error,
    is_sysroot_readonly,
};

/// Where the new root is put together, below `/run`.
const SCRATCH: &str = "ostree/root";

/// Makes the deployment that `cmdline` names the root directory of this process, and of all that have the same one. `root`
/// is that directory, `/`, before: the physical root.
///
/// # Errors
/// [`Error::NotPhysical`] if it is a deployment; [`Error::SignedWithoutInitramfs`]; [`Error`]. Mounts that were made stay:
/// there is no system without them.
pub fn take_over(root: &Place, cmdline: &str) -> Result<Prepared> {
    if root.dir.symlink_metadata("ostree").is_ok_and(|found| found.is_symlink()) {
        return Err(Error::NotPhysical);
    }
    let target = Target::of(cmdline)?.ok_or(Error::NoTarget)?;
    let (deployment, dir) = find(&root.dir, &target)?;
    let config = RootConfig::load(&dir, cmdline)?;
    if config.integrity == Integrity::Signed {
        return Err(Error::SignedWithoutInitramfs);
    }
    let access = Access::of(&root.path)?;
    let booted = Booted::before_mounts(&dir, &deployment, &config)?;
    let mut booted = Booted { is_sysroot_readonly: is_sysroot_readonly(&config, &root.dir), ..booted };
    let run = root.path.join("run");
    mounts::make_private(&root.path)?;
    mounts::run_tmpfs(&run)?;
    let stage = Stage {
        root: &root.path,
        root_dir: &root.dir,
        run: &run,
        run_dir: &root.dir.open_dir("run").map_err(io_error("opening", "run"))?,
        physical: &root.path,
        scratch: &run.join(SCRATCH),
        deployment: &deployment,
    };
    for (path, mode) in [("ostree", 0o755), ("ostree/.private", 0), (SCRATCH, 0o755)] {
        stage.make_run_dir(path, mode)?;
    }
    // systemd's generator finds it, and leaves alone what is mounted here.
    stage.run_dir.write(MOUNT_VAR, []).map_err(io_error("writing", run.join(MOUNT_VAR)))?;
    root::mount_deployment(&stage, &config, None, (&root.dir, &dir), access, &mut booted)?;
    root::mount_boot(&stage, &root.dir)?;
    root::mount_var(&stage, &root.path.join(&deployment).join("../../var"), &booted)?;
    let written = stage.run_dir.write("ostree-booted", booted.to_bytes());
    written.map_err(io_error("writing", run.join("ostree-booted")))?;
    change_root(&stage, &booted)?;
    Ok(Prepared { deployment, booted, is_physical_writable: access == Access::ReadWrite })
}

/// Lets what was put together be `/`, and brings `/run` along.
fn change_root(stage: &Stage<'_>, booted: &Booted) -> Result<()> {
    let physical = Path::new("sysroot");
    mounts::pivot(stage.scratch, &stage.scratch.join(physical))?;
    // From here on paths begin in the new root.
    let physical = stage.root.join(physical);
    mounts::relocate(&physical.join("run"), stage.run)?;
    let removed = unlinkat(stage.run_dir, SCRATCH, AtFlags::REMOVEDIR);
    removed.map_err(|errno| io_error("removing", stage.scratch)(errno.into()))?;
    if booted.is_sysroot_readonly {
        mounts::rebind(&physical, Access::ReadOnly)?;
    }
    Ok(())
}
