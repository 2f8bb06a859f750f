//! The mounts that all of this is made of, each with an error that names it.

use std::ffi::CString;
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, mount_move,
    mount_remount, unmount,
};
use rustix::process::pivot_root;

use super::{Error, Result};

/// Keeps the kernel from writing to the console.
const SILENT: MountFlags = MountFlags::SILENT;

/// Shows a directory at another place, without what is mounted below it.
pub(super) fn bind(from: &Path, to: &Path) -> Result<()> {
    mount_bind(from, to).map_err(failed("bind-mounting", to))
}

/// Changes whether what is seen at a mount point can be written to, and nothing below it.
pub(super) fn rebind(at: &Path, access: Access) -> Result<()> {
    let flags = if access == Access::ReadOnly { MountFlags::RDONLY } else { MountFlags::empty() };
    mount_remount(at, MountFlags::BIND | SILENT | flags, "").map_err(failed("remounting", at))
}

/// Changes whether a mounted file system can be written to.
pub(super) fn remount(at: &Path, access: Access) -> Result<(), Errno> {
    let flags = if access == Access::ReadOnly { MountFlags::RDONLY } else { MountFlags::empty() };
    mount_remount(at, SILENT | flags, "")
}

/// A choice between reading alone, and writing too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    ReadOnly,
    ReadWrite,
}

impl Access {
    /// How the file system at a path is mounted.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let found = statvfs(path).map_err(failed("looking at the mount of", path))?;
        let is_readonly = found.f_flag.contains(StatVfsMountFlags::RDONLY);
        Ok(if is_readonly { Self::ReadOnly } else { Self::ReadWrite })
    }
}

/// Keeps mounts in other namespaces apart from those here: shared mounts cannot be moved.
pub(super) fn make_private(root: &Path) -> Result<()> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change(root, flags).map_err(failed("making private", root))
}

/// Lets mounts below a place stay there, and be seen at its own binds.
pub(super) fn make_slave_and_shared(at: &Path) -> Result<()> {
    for flags in [MountPropagationFlags::DOWNSTREAM, MountPropagationFlags::SHARED] {
        mount_change(at, flags).map_err(failed("making slave and shared", at))?;
    }
    Ok(())
}

/// Moves a mount.
pub(super) fn relocate(from: &Path, to: &Path) -> Result<()> {
    mount_move(from, to).map_err(failed("moving a mount to", to))
}

/// Takes a mount away; who uses it keeps it.
pub(super) fn detach(at: &Path) -> Result<()> {
    unmount(at, UnmountFlags::DETACH).map_err(failed("unmounting", at))
}

/// Takes the mount at a path away; says whether there was one. Who uses it keeps it.
pub(super) fn detach_if_mounted(at: &Path) -> Result<bool> {
    match unmount(at, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOENT) => Ok(false),
        Err(errno) => Err(failed("unmounting", at)(errno)),
    }
}

/// Lets a mount be the root directory of this process, and of all that have the same one; what was that before is seen at
/// `put_old`.
pub(super) fn pivot(new_root: &Path, put_old: &Path) -> Result<()> {
    pivot_root(new_root, put_old).map_err(failed("changing the root to", new_root))
}

/// Mounts a `/run`, as systemd does where there is none.
pub(super) fn run_tmpfs(at: &Path) -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::STRICTATIME | SILENT;
    mount("tmpfs", at, "tmpfs", flags, c"mode=0755").map_err(failed("mounting a tmpfs at", at))
}

/// Mounts a file system of a type.
pub(super) fn filesystem(
    source: &str,
    at: &Path,
    kind: &'static str,
    access: Access,
    options: &str,
) -> Result<(), Errno> {
    let flags = if access == Access::ReadOnly { MountFlags::RDONLY } else { MountFlags::empty() };
    let options = CString::new(options).map_err(|_| Errno::INVAL)?;
    mount(source, at, kind, flags | SILENT, options.as_c_str())
}

/// A path among the options of overlayfs, where `:`, `,` and `\` have a meaning.
pub(in crate::sysroot) fn as_option(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| Error::NotUtf8(path.to_owned()))?;
    Ok(text.chars().fold(String::new(), |mut escaped, c| {
        if matches!(c, ':' | ',' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
        escaped
    }))
}

/// Names the mount that failed.
pub(super) fn failed(what: &'static str, path: &Path) -> impl FnOnce(Errno) -> Error {
    move |errno| Error::Mount { what, path: path.to_owned(), source: errno.into() }
}
