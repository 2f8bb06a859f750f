//! The system calls of the repository: files without a name, links, renames, locks, xattrs.
//!
//! Every path is relative to a directory that is handed in. The exception is the boot id in `/proc/sys`.

mod attributes;
mod open;
mod temp_file;

use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Access, AtFlags, FileType, Mode, RenameFlags};
use rustix::io::Errno;

use crate::base::fs::unused_name;

pub(super) use crate::base::fs::{
    entries as read_dir, link_target as read_link, lstat, mkdir, mkdir_all, optional, unlink,
};

pub(super) use attributes::{
    copy_mtime, get_xattr, set_link_owner, set_mode, set_mtime_zero, set_owner, set_xattr, touch,
};
pub(super) use open::{
    create_new, open_dir, open_nofollow, open_or_create, open_own_dir, open_to_append, read_file,
    read_file_nofollow,
};
pub(super) use temp_file::{Linked, TempFile, link};

/// An error if this process may not write into the directory.
pub(super) fn require_writable(dir: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::accessat(dir, ".", Access::WRITE_OK, AtFlags::empty())?)
}

/// Removes a directory that is empty.
pub(super) fn rmdir(dir: impl AsFd, path: &str) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(dir, path, AtFlags::REMOVEDIR)?)
}

/// [`read_dir`] of a directory that may not be there: then it has no entries.
pub(super) fn list(dir: impl AsFd, path: &str) -> io::Result<Vec<(String, FileType)>> {
    match optional(open_dir(dir, path))? {
        Some(dir) => read_dir(dir),
        None => Ok(Vec::new()),
    }
}

/// Makes a symbolic link with a name of its own that starts with `prefix`; returns the name.
pub(super) fn temporary_symlink(dir: impl AsFd, target: &str, prefix: &str) -> io::Result<String> {
    let dir = dir.as_fd();
    unused_name(prefix, |name| Ok(rustix::fs::symlinkat(target, dir, name)?)).map(|(name, ())| name)
}

/// Makes a directory with a name of its own that starts with `prefix`; returns the name.
pub(super) fn temporary_dir(dir: impl AsFd, prefix: &str, mode: u32) -> io::Result<String> {
    let dir = dir.as_fd();
    let mode = Mode::from_raw_mode(mode);
    unused_name(prefix, |name| Ok(rustix::fs::mkdirat(dir, name, mode)?)).map(|(name, ())| name)
}

/// Lets a file have all the content of another by sharing its blocks; `false` if that is not possible.
pub(super) fn share_blocks(to: &File, from: impl AsFd) -> bool {
    rustix::fs::ioctl_ficlone(to, from).is_ok()
}

/// Moves a file, in place of one that is there.
pub(super) fn rename(from: impl AsFd, path: &str, to: impl AsFd, name: &str) -> io::Result<()> {
    Ok(rustix::fs::renameat(from, path, to, name)?)
}

/// Moves a file, unless something is there already; says whether it did.
pub(super) fn rename_new(
    from: BorrowedFd<'_>,
    path: &str,
    to: BorrowedFd<'_>,
    name: &str,
) -> io::Result<bool> {
    match rustix::fs::renameat_with(from, path, to, name, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(Errno::INVAL | Errno::NOSYS) => link_new(from, path, to, name),
        Err(e) => Err(e.into()),
    }
}

/// [`rename_new`] where the file system has no such rename.
fn link_new(from: BorrowedFd<'_>, path: &str, to: BorrowedFd<'_>, name: &str) -> io::Result<bool> {
    match rustix::fs::linkat(from, path, to, name, AtFlags::empty()) {
        // Linking refuses an existing name as well.
        Ok(()) => unlink(from, path),
        Err(Errno::EXIST) => unlink(from, path).map(|_| false),
        // It knows no hard links, either, as exFAT by FUSE. Who gives the same name meanwhile has the same object.
        Err(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP) if lstat(to, name)?.is_none() => {
            rename(from, path, to, name).map(|()| true)
        }
        Err(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Whether what is made in two directories gets the same group, access control list and label from them. Yes
/// only if the directories agree in everything that hands these down on some file system.
pub(super) fn inherit_alike(a: impl AsFd, b: impl AsFd) -> io::Result<bool> {
    const HANDED_DOWN: [&[u8]; 3] = [b"system.posix_acl_default", b"system.nfs4_acl", b"security.selinux"];
    let inherited = |dir: BorrowedFd<'_>| -> io::Result<_> {
        let stat = rustix::fs::fstat(dir)?;
        let set_gid = Mode::from_raw_mode(stat.st_mode).contains(Mode::SGID);
        Ok((set_gid, stat.st_gid, HANDED_DOWN.map(|xattr| get_xattr(dir, xattr).ok())))
    };
    Ok(inherited(a.as_fd())? == inherited(b.as_fd())?)
}

/// Writes an open file or directory to the disk.
pub(super) fn sync_file(file: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::fsync(file)?)
}

/// Writes the whole file system to the disk.
pub(super) fn sync_filesystem(dir: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::syncfs(dir)?)
}

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockKind {
    /// Together with others that hold it shared.
    Shared,
    /// The lock of one holder.
    Exclusive,
}

/// Locks an open file as libostree does, with a lock that belongs to the open file and not to the process
/// (`F_OFD_SETLK`), where there is none with `flock`; `false` if somebody else holds it.
pub(crate) fn try_lock(file: &File, kind: LockKind) -> io::Result<bool> {
    use nix::libc;
    let (ofd, flock) = match kind {
        LockKind::Shared => (libc::F_RDLCK, rustix::fs::FlockOperation::NonBlockingLockShared),
        LockKind::Exclusive => (libc::F_WRLCK, rustix::fs::FlockOperation::NonBlockingLockExclusive),
    };
    let whole = libc::flock {
        l_type: ofd as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    let locked = match nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_OFD_SETLK(&whole)) {
        Err(nix::Error::EINVAL) => rustix::fs::flock(file, flock).map_err(io::Error::from),
        other => other.map(drop).map_err(io::Error::from),
    };
    match locked {
        Ok(()) => Ok(true),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::PermissionDenied) => {
            Ok(false)
        }
        Err(e) => Err(e),
    }
}

/// Room on a file system, in its blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Bytes of a block.
    pub(super) block_bytes: u64,
    /// All blocks.
    pub(super) blocks: u64,
    /// Blocks that this process may still use.
    pub(super) free: u64,
}

/// How much room the file system of `dir` has.
pub(super) fn room(dir: impl AsFd) -> io::Result<Room> {
    let fs = rustix::fs::fstatvfs(dir)?;
    let free = if rustix::process::getuid().is_root() { fs.f_bfree } else { fs.f_bavail };
    Ok(Room { block_bytes: fs.f_bsize.max(1), blocks: fs.f_blocks, free })
}

/// The id of this boot, which tells files that may not have reached the disk. Where the kernel does not tell
/// it, it is one that no file has: everything may be of another boot.
pub(super) fn boot_id() -> String {
    match std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(id) => id.trim_end().to_owned(),
        Err(_) => format!("unknown{:016x}", std::hash::RandomState::new().build_hasher().finish()),
    }
}
