//! Files, links and directories copied with owner, mode, time and xattrs.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use rustix::fs::{
    self, AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, fchmod, fchown, fstat,
    futimens, openat, statat,
};
use rustix::io::Errno;

use super::super::{Error, Result};
use crate::base::{Ctx, all_xattrs, all_xattrs_at, write_xattrs, write_xattrs_at};
use crate::store::XattrPolicy;

/// Copies what was changed from one directory into another.
pub(super) struct Copier<'a> {
    default: &'a Dir,
    from: &'a Dir,
    to: &'a Dir,
    xattrs: XattrPolicy,
    ctx: &'a Ctx,
    /// The last directory that was copied with everything in it.
    whole: Option<PathBuf>,
    ignored: Vec<PathBuf>,
}

impl<'a> Copier<'a> {
    /// Copies from `from`, which was made of `default`, to `to`.
    pub(super) fn new(
        default: &'a Dir,
        from: &'a Dir,
        to: &'a Dir,
        xattrs: XattrPolicy,
        ctx: &'a Ctx,
    ) -> Self {
        Self { default, from, to, xattrs, ctx, whole: None, ignored: Vec::new() }
    }

    /// Devices, pipes and sockets that were met.
    pub(super) fn into_ignored(self) -> Vec<PathBuf> {
        self.ignored
    }

    /// Copies one changed file or directory. A directory that all three have gets the attributes alone, any other
    /// one comes with everything in it.
    pub(super) fn copy(&mut self, path: &Path) -> Result<()> {
        if self.whole.as_ref().is_some_and(|whole| path.starts_with(whole)) {
            return Ok(());
        }
        let is_dir = |dir: &Dir| dir.symlink_metadata(path).is_ok_and(|found| found.is_dir());
        if [self.default, self.from, self.to].into_iter().all(is_dir) {
            return self.ensure_dir(path).map(drop);
        }
        let (from, to) = match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => self.ensure_dir(parent)?,
            None => {
                let clone = |dir: &Dir| dir.try_clone().map_err(failed(dir, "dup", "."));
                (clone(self.from)?, clone(self.to)?)
            }
        };
        self.copy_into(&from, &to, path.file_name().map_or(path, Path::new), path)?;
        self.whole = is_dir(self.from).then(|| path.to_owned());
        Ok(())
    }

    /// Opens a directory on both sides, after it got the attributes that it has on the side that is copied from; those
    /// above it are made if they are missing.
    fn ensure_dir(&self, path: &Path) -> Result<(Dir, Dir)> {
        let from = open_below(self.from, path)?;
        // Paths do not lead out of `to`, whatever symbolic links the new default has.
        let made = match self.to.create_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                    self.ensure_dir(parent)?;
                }
                self.to.create_dir(path)
            }
            other => other,
        };
        match made {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::at(self.to, "mkdir", path, e));
            }
            _ => {}
        }
        let to = open_below(self.to, path)?;
        self.copy_attributes(&from, &to)?;
        Ok((from, to))
    }

    /// Copies `name` from one directory into another; `path` is where it is below `etc`.
    fn copy_into(&mut self, from: &Dir, to: &Dir, name: &Path, path: &Path) -> Result<()> {
        self.ctx.cancel.check()?;
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed(from, "stat", name))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !matches!(kind, FileType::Directory | FileType::RegularFile | FileType::Symlink) {
            self.ignored.push(path.to_owned());
            return Ok(());
        }
        let there = statat(to, name, AtFlags::SYMLINK_NOFOLLOW);
        match there.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Err(Errno::NOENT) => {}
            Ok(FileType::Directory) if kind != FileType::Directory => {
                return Err(Error::EtcConflict(path.to_owned()));
            }
            Ok(FileType::Directory) => {}
            Ok(_) => fs::unlinkat(to, name, AtFlags::empty()).map_err(failed(to, "unlink", name))?,
            Err(error) => return Err(Error::at(to, "stat", name, error)),
        }
        match kind {
            FileType::Directory => self.copy_dir(from, to, name, path),
            FileType::Symlink => self.copy_link(from, to, name, &stat),
            _ => self.copy_file(from, to, name, &stat),
        }
    }

    fn copy_dir(&mut self, from: &Dir, to: &Dir, name: &Path, path: &Path) -> Result<()> {
        let open = |dir: &Dir| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = openat(dir, name, flags, Mode::empty()).map_err(failed(dir, "opendir", name))?;
            Ok::<_, Error>(Dir::from_std_file(File::from(opened)))
        };
        match fs::mkdirat(to, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(Error::at(to, "mkdir", name, error)),
        }
        let (from, to) = (open(from)?, open(to)?);
        self.copy_attributes(&from, &to)?;
        for entry in from.entries().map_err(failed(&from, "read", "."))? {
            let name = entry.map_err(failed(&from, "read", "."))?.file_name();
            self.copy_into(&from, &to, Path::new(&name), &path.join(&name))?;
        }
        Ok(())
    }

    /// Gives a directory owner, mode and xattrs of another one.
    fn copy_attributes(&self, from: &Dir, to: &Dir) -> Result<()> {
        self.copy_xattrs(from, to)?;
        let stat = fstat(from).map_err(failed(from, "stat", "."))?;
        set_owner_and_mode(to, &stat).map_err(failed(to, "chown", "."))
    }

    fn copy_file(&self, from: &Dir, to: &Dir, name: &Path, stat: &Stat) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut source = openat(from, name, flags, Mode::empty()).map_err(failed(from, "open", name))?.into();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let made = openat(to, name, flags, Mode::RUSR | Mode::WUSR).map_err(failed(to, "create", name))?;
        let mut made = File::from(made);
        if fs::ioctl_ficlone(&made, &source).is_err() {
            io::copy::<File, _>(&mut source, &mut made).map_err(failed(to, "copy", name))?;
        }
        set_owner_and_mode(&made, stat).map_err(failed(to, "chown", name))?;
        self.copy_xattrs(&source, &made)?;
        futimens(&made, &times(stat)).map_err(failed(to, "utimens", name))
    }

    fn copy_link(&self, from: &Dir, to: &Dir, name: &Path, stat: &Stat) -> Result<()> {
        let target = fs::readlinkat(from, name, Vec::new()).map_err(failed(from, "readlink", name))?;
        fs::symlinkat(target, to, name).map_err(failed(to, "symlink", name))?;
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        let chowned = fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW);
        chowned.map_err(failed(to, "chown", name))?;
        // A link with another name can only have a label, which the new deployment's policy sets.
        if let (XattrPolicy::Keep, Some(name)) = (self.xattrs, name.to_str()) {
            let xattrs = all_xattrs_at(from, name).map_err(failed(from, "read xattrs of", name))?;
            write_xattrs_at(to, name, &xattrs).map_err(failed(to, "set xattrs of", name))?;
        }
        Ok(())
    }

    fn copy_xattrs(&self, from: &impl AsFd, to: &impl AsFd) -> Result<()> {
        if self.xattrs == XattrPolicy::Drop {
            return Ok(());
        }
        let xattrs = all_xattrs(from).map_err(failed(from, "read xattrs of", "."))?;
        write_xattrs(to, &xattrs).map_err(failed(to, "set xattrs of", "."))
    }
}

/// Opens a directory below `dir`, which symbolic links do not lead out of; with more rights than cap-std opens it with.
pub(super) fn open_below(dir: &Dir, path: impl AsRef<Path>) -> Result<Dir> {
    let path = path.as_ref();
    let found = dir.open_dir(path).map_err(failed(dir, "opendir", path))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(&found, ".", flags, Mode::empty()).map_err(failed(&found, "opendir", "."))?;
    Ok(Dir::from_std_file(File::from(opened)))
}

fn set_owner_and_mode(file: impl AsFd, stat: &Stat) -> io::Result<()> {
    // Mode last: a new owner takes away set-user-id.
    fchown(&file, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    Ok(fchmod(&file, Mode::from_raw_mode(stat.st_mode & 0o7777))?)
}

fn times(stat: &Stat) -> Timestamps {
    let nsec = |nsec| i64::try_from(nsec).unwrap_or(0);
    Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: nsec(stat.st_atime_nsec) },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: nsec(stat.st_mtime_nsec) },
    }
}

fn failed<'a, E: Into<io::Error>>(
    dir: &'a impl AsFd,
    op: &'static str,
    path: impl AsRef<Path> + 'a,
) -> impl FnOnce(E) -> Error + 'a {
    move |source| Error::at(dir, op, path, source)
}
