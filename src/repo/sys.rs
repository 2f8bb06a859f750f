//! The system calls of the repository: files without a name, links, renames, locks, xattrs.
//!
//! Every path is relative to a directory that is handed in. The two exceptions are `/proc/self/fd`, for
//! ordinary users the only way to give a file without a name one, and the boot id in `/proc/sys`.

mod open;

use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{
    Access, AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, UTIME_NOW,
    UTIME_OMIT, Uid, XattrFlags,
};
use rustix::io::Errno;

use crate::base::fs::unused_name;

pub(super) use open::{
    create_new, open_dir, open_nofollow, open_or_create, open_own_dir, open_to_append, read_file,
    read_file_nofollow,
};

/// Turns "there is no such file" into `None`.
pub(super) fn optional<T, E: Into<io::Error>>(result: Result<T, E>) -> io::Result<Option<T>> {
    match result.map_err(Into::into) {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// `lstat`; `None` if nothing is there.
pub(super) fn lstat(dir: impl AsFd, path: &str) -> io::Result<Option<Stat>> {
    optional(rustix::fs::statat(dir, path, AtFlags::SYMLINK_NOFOLLOW))
}

/// Whether this process may write into the directory.
pub(super) fn is_writable(dir: impl AsFd) -> bool {
    rustix::fs::accessat(dir, ".", Access::WRITE_OK, AtFlags::empty()).is_ok()
}

/// Makes a directory, unless something is there already; says whether it did.
pub(super) fn mkdir(dir: impl AsFd, path: &str, mode: u32) -> io::Result<bool> {
    match rustix::fs::mkdirat(dir, path, Mode::from_raw_mode(mode)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Makes a directory and those above it.
pub(super) fn mkdir_all(dir: impl AsFd, path: &str, mode: u32) -> io::Result<()> {
    let dir = dir.as_fd();
    for (end, _) in path.match_indices('/') {
        mkdir(dir, &path[..end], mode)?;
    }
    mkdir(dir, path, mode).map(drop)
}

/// Removes a file; says whether it was there.
pub(super) fn unlink(dir: impl AsFd, path: &str) -> io::Result<bool> {
    Ok(optional(rustix::fs::unlinkat(dir, path, AtFlags::empty()))?.is_some())
}

/// Removes a directory that is empty.
pub(super) fn rmdir(dir: impl AsFd, path: &str) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(dir, path, AtFlags::REMOVEDIR)?)
}

/// The entries of an open directory, without `.` and `..`. Names that are not UTF-8 are left out: ostree
/// makes none.
pub(super) fn read_dir(dir: impl AsFd) -> io::Result<Vec<(String, FileType)>> {
    let dir = dir.as_fd();
    let mut out = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name == "." || name == ".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => match lstat(dir, name)? {
                Some(stat) => FileType::from_raw_mode(stat.st_mode),
                None => continue,
            },
            known => known,
        };
        out.push((name.to_owned(), kind));
    }
    Ok(out)
}

/// [`read_dir`] of a directory that may not be there: then it has no entries.
pub(super) fn list(dir: impl AsFd, path: &str) -> io::Result<Vec<(String, FileType)>> {
    match optional(open_dir(dir, path))? {
        Some(dir) => read_dir(dir),
        None => Ok(Vec::new()),
    }
}

/// The target of a symbolic link.
pub(super) fn read_link(dir: impl AsFd, path: &str) -> io::Result<String> {
    let target = rustix::fs::readlinkat(dir, path, Vec::new())?;
    target.into_string().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the target is not UTF-8"))
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

/// What [`TempFile::link`] and [`link`] found at the new name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Linked {
    /// The name was free: the file has it now.
    New,
    /// A file, which stays as it is.
    Existed,
}

/// A file that nobody else sees: it has no name yet, or where the file system knows no such files, a
/// random one. Dropped, it is gone.
#[derive(Debug)]
pub(super) struct TempFile<'d> {
    file: File,
    dir: BorrowedFd<'d>,
    name: Option<String>,
}

impl<'d> TempFile<'d> {
    /// Makes an empty file on the file system of `dir`.
    pub(super) fn new(dir: BorrowedFd<'d>) -> io::Result<Self> {
        let owner_only = Mode::RUSR | Mode::WUSR;
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::TMPFILE;
        match rustix::fs::openat(dir, ".", flags, owner_only) {
            Ok(fd) => return Ok(Self { file: fd.into(), dir, name: None }),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOSYS | Errno::NOENT) => {}
            Err(e) => return Err(e.into()),
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOCTTY;
        let (name, fd) = unused_name(".tmp-", |name| Ok(rustix::fs::openat(dir, name, flags, owner_only)?))?;
        Ok(Self { file: fd.into(), dir, name: Some(name) })
    }

    /// The open file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file a name, unless a file has it.
    pub(super) fn link(&self, dir: BorrowedFd<'_>, path: &str) -> io::Result<Linked> {
        let linked = match &self.name {
            Some(name) => rustix::fs::linkat(self.dir, name.as_str(), dir, path, AtFlags::empty()),
            // Without the capability CAP_DAC_READ_SEARCH the first form fails with ENOENT.
            None => match rustix::fs::linkat(&self.file, "", dir, path, AtFlags::EMPTY_PATH) {
                Err(Errno::NOENT | Errno::PERM | Errno::INVAL) => {
                    let proc = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                    rustix::fs::linkat(rustix::fs::CWD, proc, dir, path, AtFlags::SYMLINK_FOLLOW)
                }
                other => other,
            },
        };
        match linked {
            Ok(()) => Ok(Linked::New),
            Err(Errno::EXIST) => Ok(Linked::Existed),
            Err(e) => Err(e.into()),
        }
    }

    /// Gives the file a name, in place of a file that has it. With `sync` its content reaches the disk first, and
    /// then that it has a name: without a journal a file system takes it for deleted otherwise, whatever the
    /// directory says. The directory is the caller's.
    pub(super) fn replace(mut self, dir: BorrowedFd<'_>, path: &str, sync: bool) -> io::Result<()> {
        if sync {
            sync_file(&self.file)?;
        }
        let name = match self.name.take() {
            Some(name) => name,
            None => {
                let link = |name: &str| match self.link(self.dir, name)? {
                    Linked::New => Ok(()),
                    Linked::Existed => Err(Errno::EXIST.into()),
                };
                unused_name(".tmp-", link)?.0
            }
        };
        let renamed = rustix::fs::renameat(self.dir, name.as_str(), dir, path);
        self.name = renamed.is_err().then_some(name);
        renamed?;
        if sync { sync_file(&self.file) } else { Ok(()) }
    }
}

impl Drop for TempFile<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = unlink(self.dir, name);
        }
    }
}

/// Hard-links a file, never through a symbolic link.
pub(super) fn link(from: BorrowedFd<'_>, path: &str, to: BorrowedFd<'_>, name: &str) -> io::Result<Linked> {
    match rustix::fs::linkat(from, path, to, name, AtFlags::empty()) {
        Ok(()) => Ok(Linked::New),
        Err(Errno::EXIST) => Ok(Linked::Existed),
        Err(e) => Err(e.into()),
    }
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
        // The file system has no such rename: linking refuses an existing name as well.
        Err(Errno::INVAL | Errno::NOSYS) => {
            let linked = link(from, path, to, name)?;
            unlink(from, path)?;
            Ok(linked == Linked::New)
        }
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

/// Owner and group of an open file.
pub(super) fn set_owner(file: impl AsFd, uid: u32, gid: u32) -> io::Result<()> {
    Ok(rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?)
}

/// Owner and group of a symbolic link.
pub(super) fn set_link_owner(dir: impl AsFd, path: &str, uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    Ok(rustix::fs::chownat(dir, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Permission bits of an open file; the umask has no say.
pub(super) fn set_mode(file: impl AsFd, permissions: u32) -> io::Result<()> {
    Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(permissions))?)
}

/// Sets the time of modification to the epoch.
pub(super) fn set_mtime_zero(file: impl AsFd) -> io::Result<()> {
    set_times(file, Timespec { tv_sec: 0, tv_nsec: 0 }, UTIME_OMIT)
}

/// Sets the times to now.
pub(super) fn touch(file: impl AsFd) -> io::Result<()> {
    set_times(file, Timespec { tv_sec: 0, tv_nsec: UTIME_NOW }, UTIME_NOW)
}

/// Gives a file the time of modification of another one.
pub(super) fn copy_mtime(from: &File, to: &File) -> io::Result<()> {
    let stat = rustix::fs::fstat(from)?;
    let nsec = i64::try_from(stat.st_mtime_nsec).unwrap_or(0);
    set_times(to, Timespec { tv_sec: stat.st_mtime, tv_nsec: nsec }, UTIME_OMIT)
}

fn set_times(file: impl AsFd, modified: Timespec, access_nsec: i64) -> io::Result<()> {
    let last_access = Timespec { tv_sec: 0, tv_nsec: access_nsec };
    Ok(rustix::fs::futimens(file, &Timestamps { last_access, last_modification: modified })?)
}

/// Sets one xattr of an open file.
pub(super) fn set_xattr(file: impl AsFd, name: &str, value: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(file, name, value, XattrFlags::empty())?)
}

/// The value of one xattr of an open file.
pub(super) fn get_xattr(file: impl AsFd, name: &[u8]) -> io::Result<Vec<u8>> {
    let file = file.as_fd();
    sized(|buf| rustix::fs::fgetxattr(file, name, buf))
}

/// Calls with a buffer that grows until the answer fits. The first one is on the stack and large enough
/// for nearly all.
fn sized(mut call: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>) -> io::Result<Vec<u8>> {
    let mut first = [0; 512];
    match call(&mut first) {
        Ok(n) => return Ok(first[..n].to_vec()),
        Err(Errno::RANGE) => {}
        Err(e) => return Err(e.into()),
    }
    // The kernel's limit for names and for a value.
    let mut buf = vec![0; 65_536];
    let n = call(&mut buf)?;
    buf.truncate(n);
    Ok(buf)
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
