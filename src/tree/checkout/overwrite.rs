//! Copies files to places where something may be already.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use ostree_format::{Checksum, FileHeader, FileId, RepoMode, S_IFLNK, S_IFMT, S_IFREG, Xattrs};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, openat, readlinkat, renameat_with, statat, unlinkat};
use rustix::io::Errno;

use super::dir::{Dir, Run};
use super::{Overwrite, Ownership, Whiteouts};
use crate::base::io::{Cancellable, Hashing};
use crate::base::{self, fs};
use crate::store::{ObjectRead, Result};

/// The type of a character device in `st_mode`.
const S_IFCHR: u32 = 0o020_000;

impl<S: ObjectRead + ?Sized> Run<'_, S> {
    /// Puts a regular file that `write` fills under `name`. Where there may be one, nobody sees it half written.
    pub(super) fn place(
        &self,
        dir: &Dir,
        name: &str,
        id: &FileId,
        write: impl FnOnce(&OwnedFd) -> Result<()>,
    ) -> Result<()> {
        let exists = || dir.failed("Copy checkout to", name, Errno::EXIST);
        let flags = match self.options.overwrite {
            Overwrite::Never => return self.fill(dir, name, write),
            Overwrite::UnionFiles => {
                if self.options.whiteouts == Whiteouts::Process {
                    fs::remove_all(&dir.fd, name).map_err(|e| dir.failed("unlinkat", name, e))?;
                }
                RenameFlags::empty()
            }
            Overwrite::AddFiles if self.is_there(dir, name)? => return Ok(()),
            Overwrite::UnionIdentical if self.is_there(dir, name)? => {
                return if self.is_object(dir, name, id)? { Ok(()) } else { Err(exists()) };
            }
            Overwrite::AddFiles | Overwrite::UnionIdentical => RenameFlags::NOREPLACE,
        };
        let temporary = self.temporary_name();
        self.fill(dir, &temporary, write)?;
        renameat_with(&dir.fd, &temporary, &dir.fd, name, flags).map_err(|e| {
            // The first error is the one to report.
            let _ = unlinkat(&dir.fd, &temporary, AtFlags::empty());
            dir.failed("renameat", name, e)
        })
    }

    fn fill(&self, dir: &Dir, name: &str, write: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&dir.fd, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| dir.failed("Copy checkout to", name, e))?;
        write(&file).inspect_err(|_| {
            // The first error is the one to report.
            let _ = unlinkat(&dir.fd, name, AtFlags::empty());
        })
    }

    /// A name that nothing else has.
    pub(super) fn temporary_name(&self) -> String {
        let n = self.temporary.fetch_add(1, Ordering::Relaxed);
        format!(".ostree-checkout-{}-{n}", std::process::id())
    }

    fn is_there(&self, dir: &Dir, name: &str) -> Result<bool> {
        match statat(&dir.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(dir.failed("fstatat", name, e)),
        }
    }

    /// Whether the file that is there would become this object.
    pub(super) fn is_object(&self, dir: &Dir, name: &str, id: &FileId) -> Result<bool> {
        let actual = self.checksum(dir, name, id).map_err(|e| dir.failed("reading", name, e))?;
        Ok(actual.as_ref() == Some(id.checksum()))
    }

    fn checksum(&self, dir: &Dir, name: &str, id: &FileId) -> io::Result<Option<Checksum>> {
        let canonical = self.store.loose_file(id).is_some_and(|loose| loose.mode == RepoMode::BareUserOnly);
        let stat = statat(&dir.fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let owner = if canonical { (0, 0) } else { (stat.st_uid, stat.st_gid) };
        let mask = if canonical { 0o755 } else { 0o7777 };
        match stat.st_mode & S_IFMT {
            S_IFREG => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(&dir.fd, name, flags, Mode::empty())?;
                let xattrs = if canonical { Xattrs::EMPTY } else { base::read_xattrs(&file)? };
                let header = FileHeader::regular(owner.0, owner.1, stat.st_mode & mask, xattrs);
                let content = Cancellable::new(File::from(file), &self.ctx.cancel);
                let mut hashing = Hashing::with_hasher(content, header.hasher());
                io::copy(&mut hashing, &mut io::sink())?;
                Ok(Some(hashing.finish().1))
            }
            S_IFLNK => {
                let xattrs = if canonical { Xattrs::EMPTY } else { base::read_xattrs_at(&dir.fd, name)? };
                let Ok(target) = readlinkat(&dir.fd, name, Vec::new())?.into_string() else {
                    return Ok(None);
                };
                let header = FileHeader::symlink(owner.0, owner.1, &target, xattrs);
                Ok(Some(*header.id_with(&[]).checksum()))
            }
            _ => Ok(None),
        }
    }

    /// Makes room for a symbolic link; `false` if what is there stays.
    pub(super) fn replaces_symlink(&self, dir: &Dir, name: &str, target: &str) -> Result<bool> {
        let io = |op| move |e: io::Error| dir.failed(op, name, e);
        match (self.options.overwrite, self.options.whiteouts) {
            (Overwrite::AddFiles, _) => Ok(false),
            (Overwrite::UnionFiles, Whiteouts::Process) => {
                fs::remove_all(&dir.fd, name).map_err(io("unlinkat"))?;
                Ok(true)
            }
            (Overwrite::UnionFiles, Whiteouts::Keep) => match unlinkat(&dir.fd, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(true),
                Err(e) => Err(dir.failed("unlinkat", name, e)),
            },
            (Overwrite::UnionIdentical, _)
                if readlinkat(&dir.fd, name, Vec::new())
                    .is_ok_and(|there| there.as_bytes() == target.as_bytes()) =>
            {
                Ok(false)
            }
            _ => Err(dir.failed("symlinkat", name, Errno::EXIST)),
        }
    }

    /// Makes room for a whiteout of overlayfs; `false` if what is there stays.
    pub(super) fn replaces_device(&self, dir: &Dir, name: &str, header: &FileHeader) -> Result<bool> {
        let exists = || Err(dir.failed("Creating whiteout char device", name, Errno::EXIST));
        match self.options.overwrite {
            Overwrite::Never => exists(),
            Overwrite::AddFiles => Ok(false),
            Overwrite::UnionFiles => match unlinkat(&dir.fd, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(true),
                Err(e) => Err(dir.failed("unlinkat", name, e)),
            },
            Overwrite::UnionIdentical => {
                let stat = statat(&dir.fd, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|e| dir.failed("fstatat", name, e))?;
                let wanted = (header.uid, header.gid, S_IFCHR | header.permissions);
                let same = match self.options.ownership {
                    Ownership::User => stat.st_mode & S_IFMT == S_IFCHR && stat.st_rdev == 0,
                    Ownership::Commit => {
                        stat.st_rdev == 0 && (stat.st_uid, stat.st_gid, stat.st_mode) == wanted
                    }
                };
                if same { Ok(false) } else { exists() }
            }
        }
    }
}
