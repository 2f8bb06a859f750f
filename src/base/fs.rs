//! What the standard library does not do with files: everything starts from an open directory, and what is not there is
//! no error where that is expected; whole directories removed, names that nothing has, directories that nobody else
//! has put there.

use std::ffi::{CString, OsStr};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, OFlags, RawDir, ResolveFlags, Stat, Uid};
use rustix::io::Errno;
use rustix::path::Arg;

use super::Inode;

/// Bytes of a buffer that directory entries are read into.
pub const DIR_BUFFER_BYTES: usize = 32 * 1024;
/// How a directory is opened that must not be a symbolic link.
const OPEN_DIR: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Where `path` lies, which is looked up from the open directory `dir`: for messages, since the same names are in every
/// repository. For `dir` may stand a file that has no name yet, and then for the directory that it is in. It is the path
/// alone where `/proc` does not tell.
pub fn place(dir: impl AsFd, path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    let name = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
    match fs::readlink(name, Vec::new()) {
        // What is no path in this process's view of the file system begins otherwise.
        Ok(dir) if dir.to_bytes().starts_with(b"/") => {
            let (dir, unnamed) = match dir.to_bytes().strip_suffix(b" (deleted)") {
                Some(dir) => (dir, true),
                None => (dir.to_bytes(), false),
            };
            let dir = Path::new(OsStr::from_bytes(dir));
            let dir = if unnamed { dir.parent().unwrap_or(dir) } else { dir };
            dir.join(path).components().collect()
        }
        _ => path.to_owned(),
    }
}

/// Turns "there is no such file" into `None`.
///
/// # Errors
/// Every other error that is handed in.
pub fn optional<T, E: Into<io::Error>>(result: Result<T, E>) -> io::Result<Option<T>> {
    match result.map_err(Into::into) {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// What lies at `path`, not followed if it is a symbolic link; `None` if nothing is there.
///
/// # Errors
/// What the system says.
pub fn lstat(dir: impl AsFd, path: &str) -> io::Result<Option<Stat>> {
    optional(fs::statat(dir, path, AtFlags::SYMLINK_NOFOLLOW))
}

/// Makes a directory, unless something is there already; says whether it did.
///
/// # Errors
/// What the system says.
pub fn mkdir(dir: impl AsFd, path: &str, mode: u32) -> io::Result<bool> {
    match fs::mkdirat(dir, path, Mode::from_raw_mode(mode)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Makes a directory and those above it, unless they are there.
///
/// # Errors
/// What the system says.
pub fn mkdir_all(dir: impl AsFd, path: &str, mode: u32) -> io::Result<()> {
    let dir = dir.as_fd();
    for (end, _) in path.match_indices('/') {
        mkdir(dir, &path[..end], mode)?;
    }
    mkdir(dir, path, mode).map(drop)
}

/// Removes a file; says whether it was there.
///
/// # Errors
/// What the system says.
pub fn unlink(dir: impl AsFd, path: &str) -> io::Result<bool> {
    Ok(optional(fs::unlinkat(dir, path, AtFlags::empty()))?.is_some())
}

/// The entries of an open directory and what they are, without `.` and `..`. Names that are not UTF-8 are left out:
/// ostree makes none.
///
/// # Errors
/// What the system says.
pub fn entries(dir: impl AsFd) -> io::Result<Vec<(String, FileType)>> {
    let dir = dir.as_fd();
    let mut out = Vec::new();
    for entry in fs::Dir::read_from(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if matches!(name, "." | "..") {
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

/// The target of a symbolic link.
///
/// # Errors
/// `InvalidData` if it is not UTF-8; what the system says.
pub fn link_target(dir: impl AsFd, path: &str) -> io::Result<String> {
    let target = fs::readlinkat(dir, path, Vec::new())?;
    target.into_string().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the target is not UTF-8"))
}

/// Opens the directory `name` of `dir`, which must not be a symbolic link.
///
/// # Errors
/// What `openat` gives.
pub fn open_dir(dir: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    Ok(fs::openat(dir, name, OPEN_DIR, Mode::empty())?)
}

/// Opens the directory `name` of `dir` that this process has just made. Where others may write into `dir`, they
/// can put something else in its place: a symbolic link, or a directory of their own.
///
/// # Errors
/// `EPERM` if that happened; and what the system says.
pub fn open_made_dir(dir: impl AsFd, name: impl Arg) -> io::Result<OwnedFd> {
    let fd = fs::openat(&dir, name, OPEN_DIR, Mode::empty())?;
    if is_own(dir, &fs::fstat(&fd)?)? {
        return Ok(fd);
    }
    let why = "somebody else has put another directory in the place of the one that was made";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// The owner and group that a file is to be given.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for 4294967295: the system takes it for "as it is", and the file would keep
/// another owner than its checksum says.
pub fn owner(uid: u32, gid: u32) -> io::Result<(Uid, Gid)> {
    if uid == u32::MAX || gid == u32::MAX {
        let why = "no file can belong to 4294967295, which the system takes for \"as it is\"";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok((Uid::from_raw(uid), Gid::from_raw(gid)))
}

/// Gives a file that was opened without a name one: `path`, from the open directory `dir`.
///
/// # Errors
/// What the system says; [`Errno::EXIST`] if something has the name.
pub fn link_unnamed(file: impl AsFd, dir: impl AsFd, path: &Path) -> Result<(), Errno> {
    // Without the capability CAP_DAC_READ_SEARCH the first form fails with ENOENT, and without /proc the second.
    match fs::linkat(&file, "", &dir, path, AtFlags::EMPTY_PATH) {
        Err(Errno::NOENT | Errno::PERM | Errno::INVAL) => {
            let proc = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
            fs::linkat(fs::CWD, proc, dir, path, AtFlags::SYMLINK_FOLLOW)
        }
        linked => linked,
    }
}

/// Opens a file a second time, for reading alone.
///
/// # Errors
/// What the system says, also if `/proc` is not mounted.
pub fn reopen_to_read(file: impl AsFd) -> io::Result<OwnedFd> {
    let proc = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    Ok(fs::openat(fs::CWD, proc, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Whether what lies in `dir` was made by this user.
///
/// # Errors
/// What the system says.
pub fn is_own(dir: impl AsFd, stat: &Stat) -> io::Result<bool> {
    let own = |owner: u32| owner == stat.st_uid;
    Ok(own(rustix::process::geteuid().as_raw()) || own(owner_of_new_files(dir)?))
}

/// Some file systems know no owners, or other ones: what this user makes there belongs to whom they say.
fn owner_of_new_files(dir: impl AsFd) -> io::Result<u32> {
    let mode = Mode::RUSR | Mode::WUSR;
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = match fs::openat(&dir, ".", flags | OFlags::TMPFILE, mode) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOSYS | Errno::NOENT) => {
            let new = flags | OFlags::CREATE | OFlags::EXCL;
            let (name, file) = unused_name(".tmp-", |name| Ok(fs::openat(&dir, name, new, mode)?))?;
            fs::unlinkat(&dir, name, AtFlags::empty())?;
            file
        }
        opened => opened?,
    };
    Ok(fs::fstat(file)?.st_uid)
}

/// Calls `make` with random names until one was not taken.
///
/// # Errors
/// What `make` gives, except that something has the name.
pub fn unused_name<T>(prefix: &str, make: impl Fn(&str) -> io::Result<T>) -> io::Result<(String, T)> {
    const LETTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    loop {
        let mut bits = std::hash::RandomState::new().build_hasher().finish();
        let mut name = prefix.to_owned();
        for _ in 0..6 {
            name.push(char::from(LETTERS[(bits % 62) as usize]));
            bits /= 62;
        }
        match make(&name) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|made| (name, made)),
        }
    }
}

/// Removes `name` from `dir`, and if it is a directory everything below. Nothing there is no error.
///
/// # Errors
/// `EXDEV` where something is mounted there or below: what that holds stays. What the system says.
pub fn remove_all(dir: impl AsFd, name: &str) -> io::Result<()> {
    // The directories on the way may be mount points.
    let Some((parent, last)) = name.rsplit_once('/') else { return remove_entry(dir.as_fd(), name) };
    match fs::openat(dir, parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(parent) => remove_entry(parent.as_fd(), last),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

fn remove_entry(dir: BorrowedFd<'_>, name: impl Arg + Copy) -> io::Result<()> {
    let Some(inner) = unlink_or_open(dir, name)? else { return Ok(()) };
    clear_dir(inner)?;
    optional(fs::unlinkat(dir, name, AtFlags::REMOVEDIR)).map(drop)
}

/// Removes `name` unless it is a directory, which is opened.
fn unlink_or_open(dir: BorrowedFd<'_>, name: impl Arg + Copy) -> io::Result<Option<OwnedFd>> {
    match fs::unlinkat(dir, name, AtFlags::empty()) {
        Err(failed @ (Errno::ISDIR | Errno::PERM)) => match open_unmounted(dir, name) {
            // It cannot be removed at all.
            Err(Errno::NOTDIR) => Err(failed.into()),
            opened => optional(opened),
        },
        other => optional(other).map(|_| None),
    }
}

/// Opens the directory `name` of `dir`, which must not be a symbolic link, and on which nothing may be mounted.
fn open_unmounted(dir: BorrowedFd<'_>, name: impl Arg + Copy) -> rustix::io::Result<OwnedFd> {
    match fs::openat2(dir, name, OPEN_DIR, Mode::empty(), ResolveFlags::NO_XDEV) {
        // Before Linux 5.6, or where a filter of system calls does not know this one.
        Err(Errno::NOSYS | Errno::PERM) => fs::openat(dir, name, OPEN_DIR, Mode::empty()),
        opened => opened,
    }
}

/// A directory that is being emptied.
struct Emptied {
    /// What it is; where those above the innermost are found again.
    inode: Inode,
    /// What is still in it.
    names: Vec<CString>,
}

/// Removes everything in `dir`, however deep directories nest in it: no more than two of them are open at a time.
///
/// # Errors
/// `EBUSY` if one of them was moved meanwhile; what the system says.
pub fn clear_dir(dir: impl AsFd) -> io::Result<()> {
    let mut here = fs::openat(&dir, ".", OPEN_DIR, Mode::empty())?;
    let mut above = Vec::new();
    let mut level = Emptied::list(&here)?;
    loop {
        // The last one stays in the list until it is gone: it may be a directory that has to be emptied first.
        if let Some(name) = level.names.last() {
            match unlink_or_open(here.as_fd(), name.as_c_str())? {
                None => drop(level.names.pop()),
                Some(inner) => {
                    above.push(std::mem::replace(&mut level, Emptied::list(&inner)?));
                    here = inner;
                }
            }
            continue;
        }
        let Some(parent) = above.pop() else { return Ok(()) };
        let up = fs::openat(&here, "..", OPEN_DIR, Mode::empty())?;
        if Inode::of(&up)? != parent.inode {
            return Err(Errno::BUSY.into());
        }
        (here, level) = (up, parent);
        if let Some(name) = level.names.pop() {
            optional(fs::unlinkat(&here, name.as_c_str(), AtFlags::REMOVEDIR))?;
        }
    }
}

impl Emptied {
    /// Lists a directory. Names first: what a directory lists while it changes is not defined.
    fn list(dir: &OwnedFd) -> io::Result<Self> {
        let mut names = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); 8 * 1024];
        let mut entries = RawDir::new(dir, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push(entry.file_name().to_owned());
            }
        }
        Ok(Self { inode: Inode::of(dir)?, names })
    }
}
