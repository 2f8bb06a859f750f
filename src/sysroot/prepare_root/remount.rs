//! The last step, in the running system: what init has remounted becomes writable or read-only as it should.

use std::path::Path;

use rustix::io::Errno;

use super::mounts::{self, Access};
use super::{Booted, Result};

/// Remounts `sysroot`, `etc` and `var` below `root` as `booted` says, and returns those that it changed. systemd
/// remounts the root by `/etc/fstab`, and with the root every bind mount of the same file system.
///
/// # Errors
/// [`Error::Mount`](super::Error::Mount).
pub fn remount(root: &Path, booted: &Booted) -> Result<Vec<&'static str>> {
    // Somebody wants a root that can only be read.
    if booted.composefs.is_none() && Access::of(root)? == Access::ReadOnly {
        return Ok(Vec::new());
    }
    let sysroot = if booted.is_sysroot_readonly { Access::ReadOnly } else { Access::ReadWrite };
    let mut wanted = vec![("sysroot", sysroot), ("var", Access::ReadWrite)];
    // Only then is it a mount of its own.
    if booted.is_sysroot_readonly && booted.transient_etc.is_none() {
        wanted.insert(1, ("etc", Access::ReadWrite));
    }
    let mut changed = Vec::new();
    for (name, access) in wanted {
        if set(&root.join(name), access)? {
            changed.push(name);
        }
    }
    Ok(changed)
}

/// Remounts what is at a path, unless nothing is mounted there or it is as it should be.
fn set(at: &Path, access: Access) -> Result<bool> {
    // A link leads to the physical root, and nothing is mounted over it.
    if !at.symlink_metadata().is_ok_and(|found| found.is_dir()) || Access::of(at)? == access {
        return Ok(false);
    }
    match mounts::remount(at, access) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL) => Ok(false),
        Err(errno) => Err(mounts::failed("remounting", at)(errno)),
    }
}
