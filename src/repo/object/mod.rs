//! The forms in which the modes keep a content object on disk; one file per mode.
//!
//! ```text
//! bare                xx/….file      the file as it is, links as links
//! bare-user           xx/….file      the content; all else in the xattr user.ostreemeta
//! bare-user-only      xx/….file      the content and the mode, links as links
//! bare-split-xattrs   xx/….file      as bare, without xattrs: those are in files of their own
//! archive             xx/….filez     framed header, deflated content
//! ```
//! A content object is written in three steps: its bytes go into a file without a name, its id becomes
//! known, and only then it gets owner, mode and name, so that a half-written setuid program never exists.

mod archive;
mod archived;
mod bare;
mod bare_user;
mod bare_user_only;
mod inflate;
mod shared;
mod split_xattrs;
mod write;

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use ostree_format::{
    FileHeader, FileId, FileKind, ObjectName, ObjectType, RepoConfig, RepoMode, S_IFLNK, S_IFMT, S_IFREG,
    Xattrs,
};
use rustix::fs::Stat;

use super::dir::ObjectDir;
use super::sys;
use crate::store::{Content, Error, FileObject, LooseFile, Result};

pub(super) use archive::Archive;
pub(super) use archived::{open_archived, write_archived};
pub(super) use bare::Bare;
pub(super) use bare_user::BareUser;
pub(super) use bare_user_only::BareUserOnly;
pub(super) use shared::{clone_content, write_cloned};
pub(super) use split_xattrs::SplitXattrs;
pub(super) use write::{
    Body, ObjectSync, Regular, Sink, Source, link_loose, link_meta, replace_meta, write_link, write_meta,
    write_regular,
};

/// One mode's way to keep content objects.
pub(super) trait FileFormat: fmt::Debug + Send + Sync {
    /// The mode.
    fn mode(&self) -> RepoMode;

    /// How symbolic links are kept.
    fn links(&self) -> Links;

    /// Fails if the mode cannot keep a file with this header.
    fn check(&self, _id: &FileId, _header: &FileHeader) -> Result<()> {
        Ok(())
    }

    /// Writes the object's bytes into a fresh file.
    fn write_body(&self, out: &File, _header: &FileHeader, body: Body<'_, '_>) -> Result<()> {
        body.copy_to(out)
    }

    /// Gives the written file owner, mode, xattrs and times.
    fn seal(&self, sink: &Sink<'_>, id: &FileId, header: &FileHeader, file: &File) -> Result<()>;

    /// Gives the symbolic link at `name` in `sink.tmp` owner, xattrs and times; only for [`Links::AsLinks`].
    fn seal_link(&self, sink: &Sink<'_>, id: &FileId, header: &FileHeader, name: &str) -> Result<()>;

    /// Takes over what an object of another repository has besides its file; `false` if that is not
    /// possible.
    fn link_companions(&self, _sink: &Sink<'_>, _id: &FileId, _from: &LooseFile<'_>) -> Result<bool> {
        Ok(true)
    }

    /// Opens an object; `None` if it is not there.
    fn open(&self, objects: &ObjectDir, id: &FileId) -> Result<Option<FileObject>>;

    /// The header of an object without xattrs, and the size of its content in bytes; `None` if it is not there.
    fn stat(&self, objects: &ObjectDir, id: &FileId) -> Result<Option<(FileHeader, u64)>> {
        let without_xattrs =
            |file: FileObject| (FileHeader { xattrs: Xattrs::EMPTY, ..file.header }, file.len);
        Ok(self.open(objects, id)?.map(without_xattrs))
    }
}

/// How a mode keeps symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// Symbolic links are kept as symbolic links.
    AsLinks,
    /// Symbolic links are kept as regular files.
    AsFiles,
}

/// The file format of the mode that `config` asks for.
pub(super) fn file_format(config: &RepoConfig) -> Box<dyn FileFormat> {
    match config.mode {
        RepoMode::Bare => Box::new(Bare { xattrs: !config.disable_xattrs }),
        RepoMode::BareUser => Box::new(BareUser),
        RepoMode::BareUserOnly => Box::new(BareUserOnly),
        RepoMode::BareSplitXattrs => Box::new(SplitXattrs),
        RepoMode::Archive => Box::new(Archive::new(config.zlib_level.into())),
    }
}

/// Turns an error of the system about the object `id`, which lies in `dir` or is made there, into an [`Error::Io`].
fn failed<'d, D: AsFd>(
    dir: &'d D,
    op: &'static str,
    id: &FileId,
) -> impl FnOnce(io::Error) -> Error + use<'d, D> {
    let name = ObjectName::from(*id);
    move |e| Error::at(dir, op, name.to_string(), e)
}

/// Turns an error of giving the object `id` to whom `header` says into one that tells whom.
fn not_given(id: &FileId, header: &FileHeader) -> impl FnOnce(io::Error) -> Error {
    let (path, uid, gid) = (ObjectName::from(*id).to_string().into(), header.uid, header.gid);
    move |source| Error::Owner { path, uid, gid, source }
}

/// An object of a mode that keeps files as files and links as links: what lies there.
enum Loose {
    File(File, Stat),
    Link(Box<str>, Stat),
}

/// Opens the file of an object of a mode that keeps all of them in regular files.
pub(super) fn open_object(objects: BorrowedFd<'_>, path: &str, id: &FileId) -> Result<Option<(File, Stat)>> {
    match open_loose(objects, path, id)? {
        None => Ok(None),
        Some(Loose::File(file, stat)) => Ok(Some((file, stat))),
        Some(Loose::Link(..)) => Err(invalid(id, "a symbolic link, where a regular file should be")),
    }
}

/// Opens what lies there. Regular files, nearly all, need two system calls.
fn open_loose(objects: BorrowedFd<'_>, path: &str, id: &FileId) -> Result<Option<Loose>> {
    match sys::open_nofollow(objects, path) {
        Ok((file, stat)) => Ok(Some(Loose::File(file, stat))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => Err(invalid(id, &e.to_string())),
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            let Some(stat) = sys::lstat(objects, path).map_err(failed(&objects, "stat", id))? else {
                return Ok(None);
            };
            debug_assert_eq!(stat.st_mode & S_IFMT, S_IFLNK);
            let target = sys::read_link(objects, path).map_err(failed(&objects, "readlink", id))?;
            Ok(Some(Loose::Link(target.into(), stat)))
        }
        Err(e) => Err(failed(&objects, "open", id)(e)),
    }
}

/// What lies there as owner, permissions and type tell it, without opening it: one system call, and one more
/// for a link.
fn stat_loose(objects: &ObjectDir, path: &str, id: &FileId) -> Result<Option<(FileHeader, u64)>> {
    let Some(stat) = sys::lstat(objects.as_fd(), path).map_err(failed(&objects, "stat", id))? else {
        return Ok(None);
    };
    let len = stat.st_size.max(0).unsigned_abs();
    let (kind, len) = match stat.st_mode & S_IFMT {
        S_IFREG => (FileKind::Regular, len),
        S_IFLNK => {
            let target = sys::read_link(objects.as_fd(), path).map_err(failed(&objects, "readlink", id))?;
            (FileKind::Symlink(target.into()), 0)
        }
        _ => return Err(invalid(id, "neither a regular file nor a symbolic link")),
    };
    let permissions = stat.st_mode & 0o7777;
    let header = FileHeader { uid: stat.st_uid, gid: stat.st_gid, permissions, kind, xattrs: Xattrs::EMPTY };
    Ok(Some((header, len)))
}

/// The object whose file is not what it should be.
fn invalid(id: &FileId, why: &str) -> Error {
    let why = ostree_format::ParseError::invalid("content object", 0, why);
    Error::Corrupt { name: ObjectName::new(*id.checksum(), ObjectType::File), why }
}

impl Loose {
    /// The content object, with the xattrs that the mode knows.
    fn into_object(self, uid: u32, gid: u32, xattrs: ostree_format::Xattrs) -> FileObject {
        let (kind, mode, len, content) = match self {
            Self::File(file, stat) => {
                let len = stat.st_size.max(0).unsigned_abs();
                (FileKind::Regular, stat.st_mode, len, Content::File(file))
            }
            Self::Link(target, stat) => (FileKind::Symlink(target), stat.st_mode, 0, Content::Empty),
        };
        let header = FileHeader { uid, gid, permissions: mode & 0o7777, kind, xattrs };
        FileObject { header, len, content }
    }

    fn stat(&self) -> &Stat {
        match self {
            Self::File(_, stat) | Self::Link(_, stat) => stat,
        }
    }
}

/// Opens an object in a mode whose files and links are the object's own.
fn open_plain(
    objects: &ObjectDir,
    path: &str,
    id: &FileId,
    finish: impl FnOnce(Loose, BorrowedFd<'_>) -> Result<FileObject>,
) -> Result<Option<FileObject>> {
    match open_loose(objects.as_fd(), path, id)? {
        None => Ok(None),
        Some(loose) => finish(loose, objects.as_fd()).map(Some),
    }
}
