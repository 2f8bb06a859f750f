//! The mounts of the new root, in their order.

use std::path::Path;

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FileType, fstat, major, minor, statat, symlinkat, unlinkat};

use super::config::{Composefs, RootChanges, RootConfig};
use super::mounts::{self, Access, as_option};
use super::{Booted, Error, Place, Result, SCRATCH, Stage, composefs, io_error, make_dir};
use crate::sign::PublicKeys;

/// `admin unlock --hotfix` makes these in a deployment: changes to `/usr`, and room for overlayfs.
pub(super) const HOTFIX: (&str, &str) = (".usr-ovl-upper", ".usr-ovl-work");
/// Whoever makes this below `run` has no systemd that would mount `/var`.
pub(super) const MOUNT_VAR: &str = "ostree/initramfs-mount-var";

/// Puts the root together, moves it to where the physical root was, and writes down what it is.
pub(super) fn assemble(
    stage: &Stage<'_>,
    config: &RootConfig,
    keys: Option<&PublicKeys>,
    physical: &Place,
    deployment: &Dir,
    booted: &mut Booted,
) -> Result<()> {
    let access = Access::of(stage.physical)?;
    mounts::make_private(stage.root)?;
    let scratch = make_dir(stage.root_dir, SCRATCH, 0o755);
    scratch.map_err(|errno| io_error("creating", stage.scratch)(errno.into()))?;
    mount_deployment(stage, config, keys, (&physical.dir, deployment), access, booted)?;
    // The physical root is not moved into the new one, which is made of it: nobody could unmount that.
    let sysroot = stage.scratch.join("sysroot");
    mounts::bind(stage.physical, &sysroot)?;
    mounts::detach(stage.physical)?;
    mount_var(stage, &sysroot.join(stage.deployment).join("../../var"), booted)?;
    let written = stage.run_dir.write("ostree-booted", booted.to_bytes());
    written.map_err(io_error("writing", stage.run.join("ostree-booted")))?;
    mounts::relocate(stage.scratch, stage.physical)?;
    let removed = unlinkat(stage.root_dir, SCRATCH, AtFlags::REMOVEDIR);
    removed.map_err(|errno| io_error("removing", stage.scratch)(errno.into()))?;
    if booted.is_sysroot_readonly {
        mounts::rebind(&stage.physical.join("sysroot"), Access::ReadOnly)?;
    }
    Ok(())
}

/// Shows the deployment at `stage.scratch`: its root directory, `/etc` and `/usr`. `access` is how the file system of the
/// physical root is mounted; the directories are the physical root and the deployment.
pub(super) fn mount_deployment(
    stage: &Stage<'_>,
    config: &RootConfig,
    keys: Option<&PublicKeys>,
    (physical, deployment): (&Dir, &Dir),
    access: Access,
    booted: &mut Booted,
) -> Result<()> {
    if config.composefs != Composefs::No {
        booted.composefs = composefs::mount(stage, physical, deployment, config, keys)?;
    }
    let from = stage.physical.join(stage.deployment);
    match (&booted.composefs, config.composefs, config.root) {
        (Some(_), ..) => name_device(stage, physical),
        (None, Composefs::Yes, _) => return Err(Error::NoImage),
        (None, _, RootChanges::AsMounted) => mounts::bind(&from, stage.scratch)?,
        (None, ..) => return Err(Error::TransientWithoutComposefs),
    }
    if booted.is_sysroot_readonly || booted.composefs.is_some() {
        mount_etc(stage, config, &from, booted)?;
    }
    mount_usr(stage, &from, deployment, access, booted)
}

/// A writable `/etc` on a root that is not: the deployment's own, or one whose changes are lost.
fn mount_etc(stage: &Stage<'_>, config: &RootConfig, from: &Path, booted: &mut Booted) -> Result<()> {
    let etc = stage.scratch.join("etc");
    if !config.is_etc_transient {
        mounts::bind(&from.join("etc"), &etc)?;
        return mounts::rebind(&etc, Access::ReadWrite);
    }
    let dir = stage.make_new_run_dir("ostree/transient-etc")?;
    let mut options = format!("lowerdir={}", as_option(&stage.scratch.join("usr/etc"))?);
    for (option, name) in [("upperdir", "upper"), ("workdir", "work")] {
        let path = format!("{dir}/{name}");
        stage.make_run_dir(&path, 0o755)?;
        options.push_str(&format!(",{option}={}", as_option(&stage.run.join(path))?));
    }
    mounts::filesystem("overlay", &etc, "overlay", Access::ReadWrite, &options)
        .map_err(mounts::failed("mounting transient etc at", &etc))?;
    booted.transient_etc = Some(stage.run.join(dir).display().to_string());
    Ok(())
}

/// A `/usr` that cannot be written to, or the one with the changes of `admin unlock --hotfix`. Those do not count where
/// a signature vouches for the root.
fn mount_usr(
    stage: &Stage<'_>,
    from: &Path,
    deployment: &Dir,
    access: Access,
    booted: &Booted,
) -> Result<()> {
    let usr = stage.scratch.join("usr");
    let (upper, work) = HOTFIX;
    let is_signed = booted.composefs.as_ref().is_some_and(|mounted| mounted.signed_by.is_some());
    if deployment.symlink_metadata(work).is_ok() && !is_signed {
        let [upper, work] = [upper, work].map(|name| as_option(&from.join(name)));
        let options = format!("lowerdir={},upperdir={},workdir={}", as_option(&usr)?, upper?, work?);
        let mounted = mounts::filesystem("overlay", &usr, "overlay", access, &options);
        mounted.map_err(mounts::failed("mounting overlayfs at", &usr))
    } else if booted.composefs.is_none() {
        mounts::bind(&usr, &usr)?;
        mounts::rebind(&usr, Access::ReadOnly)
    } else {
        Ok(())
    }
}

/// Shows `/boot` of the physical root, where boot entries lie on that file system and not on one of their own.
pub(super) fn mount_boot(stage: &Stage<'_>, physical: &Dir) -> Result<()> {
    let is_inside = physical.symlink_metadata("boot/loader").is_ok_and(|found| found.is_symlink());
    let at = stage.scratch.join("boot");
    let is_dir = at.symlink_metadata().is_ok_and(|found| found.is_dir());
    if is_inside && is_dir { mounts::bind(&stage.physical.join("boot"), &at) } else { Ok(()) }
}

/// Keeps the stateroot's `/var` writable below a read-only `/sysroot`, and mounts it, if nobody does later.
pub(super) fn mount_var(stage: &Stage<'_>, var: &Path, booted: &Booted) -> Result<()> {
    if booted.is_sysroot_readonly {
        mounts::bind(var, var)?;
        mounts::rebind(var, Access::ReadWrite)?;
    }
    if stage.run_dir.symlink_metadata(MOUNT_VAR).is_ok() {
        let at = stage.scratch.join("var");
        mounts::bind(var, &at)?;
        mounts::make_slave_and_shared(&at)?;
    }
    Ok(())
}

/// Tells systemd which device the root is on, since overlayfs has none of its own. Nothing depends on it but the look for
/// other partitions of the same disk.
fn name_device(stage: &Stage<'_>, physical: &Dir) {
    let found_by_udev = statat(stage.root_dir, "dev/gpt-auto-root", AtFlags::empty()).ok();
    let found_by_udev = found_by_udev
        .filter(|found| FileType::from_raw_mode(found.st_mode) == FileType::BlockDevice)
        .map(|found| found.st_rdev);
    // btrfs has devices of its own that are none; of those udev's answer counts alone.
    let device =
        found_by_udev.or_else(|| Some(fstat(physical).ok()?.st_dev).filter(|device| major(*device) > 0));
    if let Some(device) = device
        && make_dir(stage.run_dir, "systemd", 0o755).is_ok()
    {
        let name = stage.root.join(format!("dev/block/{}:{}", major(device), minor(device)));
        let _ = symlinkat(name, stage.run_dir, "systemd/volatile-root");
    }
}
