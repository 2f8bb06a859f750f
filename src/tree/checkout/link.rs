//! A hard link to the object, where the store keeps it just as the file is to be.

use ostree_format::{FileId, FileKind, RepoMode, S_IFLNK, S_IFMT, S_IFREG};
use rustix::fs::{AtFlags, Stat, linkat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::dir::{Dir, Run};
use super::{Linking, Overwrite, Ownership, PlainFiles, Whiteouts};
use crate::base::{Inode, fs};
use crate::store::{Error, LooseFile, ObjectRead, Result};

impl<S: ObjectRead + ?Sized> Run<'_, S> {
    /// Links the object; `false` if it has to be copied.
    pub(super) fn link(&self, dir: &Dir, name: &str, id: &FileId) -> Result<bool> {
        let loose = match self.store.loose_file(id).filter(|loose| self.fits(loose)) {
            None if self.options.ownership == Ownership::User
                && self.options.plain_files == PlainFiles::Link =>
            {
                self.store.plain_file(id)?
            }
            other => other,
        };
        let Some(loose) = loose.filter(|loose| self.fits(loose)) else {
            return self.refuse_copy(id).map(|()| false);
        };
        if !self.linkable(&loose, id)? {
            return Ok(false);
        }
        match linkat(loose.dir, &loose.path, &dir.fd, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            // In a repository above this one, or nowhere: opening it will tell.
            Err(Errno::NOENT) => Ok(false),
            Err(Errno::EXIST) => self.existing(dir, name, id, &loose),
            Err(Errno::MLINK | Errno::XDEV | Errno::PERM) if self.options.linking == Linking::Prefer => {
                Ok(false)
            }
            Err(e) => Err(hardlinking(&loose, dir, name, e)),
        }
    }

    /// Whether the store keeps its objects as this checkout wants its files.
    fn fits(&self, loose: &LooseFile<'_>) -> bool {
        match self.options.ownership {
            Ownership::Commit => loose.mode == RepoMode::Bare,
            Ownership::User => matches!(loose.mode, RepoMode::BareUser | RepoMode::BareUserOnly),
        }
    }

    /// Whether this object may be linked. Empty files may not: there are so many of the same that they would run
    /// out of links.
    fn linkable(&self, loose: &LooseFile<'_>, id: &FileId) -> Result<bool> {
        if loose.mode == RepoMode::BareUser {
            // Only the object's xattr tells links and what the user cannot read.
            let object = self.open(id)?;
            let readable = object.header.permissions & 0o400 != 0;
            return Ok(object.header.kind == FileKind::Regular && object.len > 0 && readable);
        }
        let stat = match statat(loose.dir, &loose.path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(false),
            Err(e) => return Err(Error::at(loose.dir, "fstatat", &loose.path, e)),
        };
        Ok(match stat.st_mode & S_IFMT {
            S_IFREG => stat.st_size > 0 && (loose.mode == RepoMode::Bare || stat.st_mode & 0o400 != 0),
            S_IFLNK => loose.mode == RepoMode::Bare,
            _ => false,
        })
    }

    /// An error if hard links are required of a store that has none to give, for a file that needs one.
    fn refuse_copy(&self, id: &FileId) -> Result<()> {
        if self.options.linking != Linking::Require {
            return Ok(());
        }
        let object = self.open(id)?;
        let user_mode = self.options.ownership == Ownership::User;
        match object.header.kind {
            FileKind::Regular if object.len == 0 => return Ok(()),
            FileKind::Symlink(_) if !user_mode && self.keeps_user_files(id) => return Ok(()),
            _ => {}
        }
        Err(Error::Unsupported(match user_mode {
            false if self.keeps_user_files(id) => {
                "User repository mode requires user checkout mode to hardlink".into()
            }
            _ => "Bare repository mode cannot hardlink in user checkout mode".into(),
        }))
    }

    fn keeps_user_files(&self, id: &FileId) -> bool {
        let mode = self.store.loose_file(id).map(|loose| loose.mode);
        matches!(mode, Some(RepoMode::BareUser | RepoMode::BareUserOnly))
    }

    /// Something has the name already.
    fn existing(&self, dir: &Dir, name: &str, id: &FileId, loose: &LooseFile<'_>) -> Result<bool> {
        let refuse = || Err(hardlinking(loose, dir, name, Errno::EXIST));
        match self.options.overwrite {
            Overwrite::Never => return refuse(),
            Overwrite::AddFiles => return Ok(true),
            Overwrite::UnionFiles | Overwrite::UnionIdentical => {}
        }
        let stat = |fd, path: &str| {
            statat(fd, path, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| Error::at(fd, "fstatat", path, e))
        };
        let source = statat(loose.dir, &loose.path, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| Error::at(loose.dir, "fstatat", &loose.path, e))?;
        let there = stat(&dir.fd, name)?;
        let same = Inode::from(&source) == Inode::from(&there);
        if same || (looks_equal(&source, &there) && self.is_object(dir, name, id)?) {
            return Ok(true);
        }
        if self.options.overwrite == Overwrite::UnionIdentical {
            return refuse();
        }
        let temporary = self.temporary_name();
        linkat(loose.dir, &loose.path, &dir.fd, &temporary, AtFlags::empty())
            .map_err(|e| hardlinking(loose, dir, &temporary, e))?;
        let moved = match self.options.whiteouts {
            Whiteouts::Process => fs::remove_all(&dir.fd, name),
            Whiteouts::Keep => Ok(()),
        };
        moved.and_then(|()| Ok(renameat(&dir.fd, &temporary, &dir.fd, name)?)).map_err(|e| {
            // The first error is the one to report.
            let _ = unlinkat(&dir.fd, &temporary, AtFlags::empty());
            dir.failed("renameat", name, e)
        })?;
        Ok(true)
    }
}

fn looks_equal(a: &Stat, b: &Stat) -> bool {
    let size = |stat: &Stat| if stat.st_mode & S_IFMT == S_IFREG { stat.st_size } else { 0 };
    (a.st_mode, a.st_uid, a.st_gid, size(a)) == (b.st_mode, b.st_uid, b.st_gid, size(b))
}

fn hardlinking(loose: &LooseFile<'_>, dir: &Dir, name: &str, errno: Errno) -> Error {
    let to = fs::place(&dir.fd, name);
    Error::io("Hardlinking", format!("{} to {}", loose.path.display(), to.display()), errno)
}
