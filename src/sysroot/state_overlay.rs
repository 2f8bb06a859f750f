//! State in a directory of the deployment, such as `/opt`: packages bring files there, and programs write among them.
//!
//! ```text
//! /var/ostree/state-overlays/NAME/upper    what was written, for overlayfs
//!                                /work
//! user.ostree.deploymentcsum               of upper: the commit of the deployment that it was last used with
//! ```
//! The first time with another commit its files count again: what shadows any of them is deleted, and what programs have
//! made beside them stays. Source: libostree ot-admin-builtin-state-overlay.c.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

use super::files;
use super::prepare_root::{Place, as_option};
use super::{Deployments, Error, Result, Sysroot};
use crate::base::fs::clear_dir;

/// Where the overlays lie, from `/var`.
const OVERLAYS: &str = "ostree/state-overlays";
/// The xattr with the commit.
const COMMIT: &str = "user.ostree.deploymentcsum";
/// The xattr of a directory that hides the one below it, of the value `y`. Source: the kernel's overlayfs.rst.
const OPAQUE: &str = "trusted.overlay.opaque";

impl Sysroot {
    /// Mounts an overlay on `at`, a directory of the booted deployment, that keeps what is written there below `var`,
    /// the directory `/var`, by the name `name`.
    ///
    /// # Errors
    /// [`Error::NotBooted`]; [`Error::Usage`] if the name is not one of a file; [`Error::Io`].
    pub fn mount_state_overlay(
        &self,
        current: &Deployments,
        name: &str,
        at: &Place,
        var: &Place,
    ) -> Result<()> {
        let commit = current.require_booted()?.id.commit.to_string();
        if matches!(name, "" | "." | "..") || name.contains('/') {
            return Err(Error::Usage(format!("No name of an overlay: '{name}'")));
        }
        let overlay = format!("{OVERLAYS}/{name}");
        for dir in ["work", "upper"] {
            files::mkdir_all(&var.dir, &format!("{overlay}/{dir}"), 0o700)?;
        }
        let upper = files::open_dir(&var.dir, &format!("{overlay}/upper"))?;
        if xattr(&upper, COMMIT)?.as_deref() != Some(commit.as_bytes()) {
            prune(at.dir.as_fd(), upper.as_fd())
                .map_err(Error::within(format!("Pruning upperdir for {name}")))?;
            let set = rustix::fs::fsetxattr(&upper, COMMIT, commit.as_bytes(), XattrFlags::empty());
            set.map_err(|e| Error::io("set an xattr of", &overlay, e))?;
        }
        let option = |path: &Path| as_option(path).map_err(|e| Error::Usage(e.to_string()));
        let overlay = var.path.join(overlay);
        let [upper, work] = ["upper", "work"].map(|dir| option(&overlay.join(dir)));
        let options = format!("lowerdir={},upperdir={},workdir={}", option(&at.path)?, upper?, work?);
        let options = CString::new(options).map_err(|e| Error::Usage(e.to_string()))?;
        let mounted = mount("overlay", &at.path, "overlay", MountFlags::SILENT, options.as_c_str());
        mounted.map_err(|e| Error::io("mount an overlay at", &at.path, e))
    }
}

/// Deletes in `upper` what shadows something in `lower`. Takes two more descriptors for each level.
fn prune(lower: BorrowedFd<'_>, upper: BorrowedFd<'_>) -> Result<()> {
    for name in names(upper)? {
        let name = name.as_c_str();
        let Some(below) = kind(lower, name)? else { continue };
        if kind(upper, name)? != Some(FileType::Directory) {
            let gone = rustix::fs::unlinkat(upper, name, AtFlags::empty());
            gone.map_err(|e| failed("unlink", name, e))?;
            continue;
        }
        let inner = open(upper, name)?;
        if below == FileType::Directory && xattr(&inner, OPAQUE)?.as_deref() != Some(b"y") {
            prune(open(lower, name)?.as_fd(), inner.as_fd())?;
            continue;
        }
        clear_dir(&inner).map_err(|e| Error::io("remove", &*name.to_string_lossy(), e))?;
        let gone = rustix::fs::unlinkat(upper, name, AtFlags::REMOVEDIR);
        gone.map_err(|e| failed("rmdir", name, e))?;
    }
    Ok(())
}

/// What a directory lists, whatever bytes the names are.
fn names(dir: BorrowedFd<'_>) -> Result<Vec<CString>> {
    let list = || -> Result<Vec<CString>, Errno> {
        let entries = rustix::fs::Dir::read_from(dir)?;
        let names = entries.map(|entry| Ok(entry?.file_name().to_owned()));
        names.filter(|name| !matches!(name.as_deref().map(CStr::to_bytes), Ok(b"." | b".."))).collect()
    };
    list().map_err(|e| Error::io("readdir", ".", e))
}

/// What the name is, not followed if it is a symbolic link; `None` if it is not there.
fn kind(dir: BorrowedFd<'_>, name: &CStr) -> Result<Option<FileType>> {
    let found = files::optional(rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW));
    let found = found.map_err(|e| Error::io("stat", &*name.to_string_lossy(), e))?;
    Ok(found.map(|stat| FileType::from_raw_mode(stat.st_mode)))
}

fn open(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(|e| failed("opendir", name, e))
}

/// The value of an xattr, if it is there; of one that is longer than any that is asked for, nothing.
fn xattr(file: impl AsFd, name: &'static str) -> Result<Option<Vec<u8>>> {
    let mut value = [0; 128];
    match rustix::fs::fgetxattr(file, name, &mut value[..]) {
        Ok(len) => Ok(Some(value[..len].to_vec())),
        Err(Errno::NODATA | Errno::RANGE) => Ok(None),
        Err(error) => Err(Error::io("getxattr", name, error)),
    }
}

fn failed(op: &'static str, name: &CStr, error: Errno) -> Error {
    Error::io(op, &*name.to_string_lossy(), error)
}
