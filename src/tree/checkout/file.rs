//! One file or symbolic link: linked, copied, or a whiteout.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use ostree_format::{FileHeader, FileId, FileKind, FileName};
use rustix::fs::{
    AtFlags, FileType, Mode, chmodat, chownat, copy_file_range, fchmod, fchown, fsync, ioctl_ficlone,
    mknodat, symlinkat,
};
use rustix::io::Errno;

use super::dir::{Dir, Run};
use super::{Linking, Ownership, PassthroughWhiteouts, Sync, Whiteouts};
use crate::base::io::{Cancellable, copy_exact};
use crate::base::{self, fs};
use crate::store::{Content, Error, FileObject, ObjectRead, Result};

const WHITEOUT_PREFIX: &str = ".wh.";
const PASSTHROUGH_PREFIX: &str = ".ostree-wh.";
/// Bytes that one system call copies, so that a cancelled copy stops soon.
const COPY_RANGE_BYTES: u64 = 16 << 20;

impl<S: ObjectRead + ?Sized> Run<'_, S> {
    /// Does a file of a directory, unless it is to be left out.
    pub(super) fn file(&self, dir: &Dir, name: &str, id: &FileId) -> Result<()> {
        if !self.options.skip.is_empty() && self.options.skip.contains(&dir.path_of(name)) {
            return Ok(());
        }
        self.wanted_file(dir, name, id)
    }

    /// Does a file that is asked for by its path, or not left out.
    pub(super) fn wanted_file(&self, dir: &Dir, name: &str, id: &FileId) -> Result<()> {
        self.ctx.cancel.check()?;
        if self.whiteout(dir, name, id)? {
            return Ok(());
        }
        if self.options.linking == Linking::Never || !self.link(dir, name, id)? {
            let object = self.open(id)?;
            let len = object.len;
            self.copy(dir, name, id, object)?;
            self.ctx.object_done(len);
        } else {
            self.ctx.object_done(0);
        }
        Ok(())
    }

    pub(super) fn open(&self, id: &FileId) -> Result<FileObject> {
        self.store.open_file(id)?.ok_or(Error::NotFound((*id).into()))
    }

    /// Does what a whiteout says; `false` if the file is none.
    fn whiteout(&self, dir: &Dir, name: &str, id: &FileId) -> Result<bool> {
        let plain =
            (self.options.whiteouts == Whiteouts::Process).then(|| name.strip_prefix(WHITEOUT_PREFIX));
        let quoted = (self.options.passthrough_whiteouts == PassthroughWhiteouts::Process)
            .then(|| name.strip_prefix(PASSTHROUGH_PREFIX));
        let (plain, quoted) = (plain.flatten(), quoted.flatten());
        let Some(hidden) = plain.or(quoted) else { return Ok(false) };
        let header = self.open(id)?.header;
        if header.kind != FileKind::Regular {
            return Ok(false);
        }
        // `.wh...` must not remove the directory above.
        if FileName::new(hidden).is_err() {
            return Err(Error::Unsupported(format!("Invalid whiteout '{}'", dir.path_of(name))));
        }
        if plain.is_some() {
            fs::remove_all(&dir.fd, hidden).map_err(|e| dir.failed("unlinkat", hidden, e))?;
        } else {
            self.whiteout_device(dir, hidden, &header)?;
        }
        Ok(true)
    }

    fn whiteout_device(&self, dir: &Dir, name: &str, header: &FileHeader) -> Result<()> {
        let mode = Mode::from_raw_mode(header.permissions);
        let make = || mknodat(&dir.fd, name, FileType::CharacterDevice, mode, 0);
        match make() {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                if !self.replaces_device(dir, name, header)? {
                    return Ok(());
                }
                make().map_err(|e| dir.failed("Creating whiteout char device", name, e))?;
            }
            Err(e) => return Err(dir.failed("Creating whiteout char device", name, e)),
        }
        if self.options.ownership == Ownership::Commit {
            let io = |op| move |e: Errno| dir.failed(op, name, e);
            base::write_xattrs_at(&dir.fd, name, &header.xattrs)
                .map_err(|e| dir.failed("whiteout char device", name, e))?;
            self.chown_at(dir, name, header)?;
            chmodat(&dir.fd, name, mode, AtFlags::empty()).map_err(io("fchmodat"))?;
        }
        Ok(())
    }

    /// Writes a file of its own, or a symbolic link.
    fn copy(&self, dir: &Dir, name: &str, id: &FileId, object: FileObject) -> Result<()> {
        let mut object = object;
        let wanted = match &object.header.kind {
            FileKind::Symlink(target) => {
                let header = object.header.clone();
                return self.symlink(dir, name, target, &header);
            }
            FileKind::Regular => self.wanted(&dir.path_of(name), &object.header),
        };
        self.place(dir, name, id, |file| {
            self.content(file, &mut object).map_err(|e| dir.failed("Copy checkout to", name, e))?;
            if self.options.ownership == Ownership::Commit {
                fs::owner(wanted.uid, wanted.gid)
                    .and_then(|(uid, gid)| Ok(fchown(file, Some(uid), Some(gid))?))
                    .map_err(|e| not_given(fs::place(&dir.fd, name), wanted.uid, wanted.gid, e))?;
            }
            self.attributes(file, &wanted).map_err(|e| dir.failed("Copy checkout to", name, e))
        })
    }

    /// The header of the file as it is to lie there.
    fn wanted(&self, path: &str, header: &FileHeader) -> FileHeader {
        let mut header = header.clone();
        header.xattrs = self.labeled(path, header.mode(), &header.xattrs).into_owned();
        if self.options.ownership == Ownership::User {
            header.permissions = (header.permissions & !0o6000) | 0o400;
        }
        header
    }

    fn content(&self, to: &OwnedFd, object: &mut FileObject) -> io::Result<()> {
        if object.len == 0 {
            return Ok(());
        }
        let mut copied = 0;
        if let Content::File(from) = &object.content {
            if self.reflinks.load(Ordering::Relaxed) {
                match ioctl_ficlone(to, from) {
                    Ok(()) => return Ok(()),
                    Err(_) => self.reflinks.store(false, Ordering::Relaxed),
                }
            }
            while copied < object.len {
                self.ctx.cancel.check().map_err(io::Error::other)?;
                let want = usize::try_from((object.len - copied).min(COPY_RANGE_BYTES)).unwrap_or(usize::MAX);
                match copy_file_range(from, None, to, None, want) {
                    Ok(0) => break,
                    Ok(n) => copied += n as u64,
                    Err(Errno::INTR) => {}
                    // Not between these two file systems.
                    Err(_) if copied == 0 => break,
                    Err(e) => return Err(e.into()),
                }
            }
        }
        let len = object.len - copied;
        let mut out = File::from(to.try_clone()?);
        copy_exact(&mut Cancellable::new(object, &self.ctx.cancel), &mut out, len)
    }

    /// Everything but the owner, which comes first: a change of it takes capabilities away.
    fn attributes(&self, file: &OwnedFd, wanted: &FileHeader) -> io::Result<()> {
        if self.options.ownership == Ownership::Commit {
            base::write_xattrs(file, &wanted.xattrs)?;
        }
        fchmod(file, Mode::from_raw_mode(wanted.permissions))?;
        match self.options.sync {
            Sync::Each => Ok(fsync(file)?),
            Sync::Later => Ok(()),
        }
    }

    fn symlink(&self, dir: &Dir, name: &str, target: &str, header: &FileHeader) -> Result<()> {
        let make = || symlinkat(target, &dir.fd, name);
        match make() {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                if !self.replaces_symlink(dir, name, target)? {
                    return Ok(());
                }
                make().map_err(|e| dir.failed("symlinkat", name, e))?;
            }
            Err(e) => return Err(dir.failed("symlinkat", name, e)),
        }
        if self.options.ownership == Ownership::Commit {
            self.chown_at(dir, name, header)?;
            let xattrs = self.labeled(&dir.path_of(name), header.mode(), &header.xattrs);
            base::write_xattrs_at(&dir.fd, name, &xattrs).map_err(|e| dir.failed("symlinkat", name, e))?;
        }
        Ok(())
    }

    fn chown_at(&self, dir: &Dir, name: &str, header: &FileHeader) -> Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        fs::owner(header.uid, header.gid)
            .and_then(|(uid, gid)| Ok(chownat(&dir.fd, name, Some(uid), Some(gid), flags)?))
            .map_err(|e| not_given(fs::place(&dir.fd, name), header.uid, header.gid, e))
    }
}

/// The error for a file that cannot be given to whom it should belong.
pub(super) fn not_given(path: impl Into<PathBuf>, uid: u32, gid: u32, source: io::Error) -> Error {
    Error::Owner { path: path.into(), uid, gid, source }
}

impl Dir {
    /// An error of the system about `name` in this directory, which says where that is.
    pub(super) fn failed(&self, op: &'static str, name: &str, source: impl Into<io::Error>) -> Error {
        Error::at(&self.fd, op, name, source)
    }

    /// The path of `name` in this directory, from the root of the tree.
    pub(super) fn path_of(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }
}
