//! Mode bare-user: every object is a regular file of the current user.
//!
//! ```text
//! content                  the file's content; for a link, its target and a NUL
//! xattr user.ostreemeta    (uuua(ayay)) uid, gid, mode, xattrs
//! mode on disk             mode & 0775 | 0400; 0644 for a link
//! ```
//! Source: libostree ostree-repo-commit.c:268-290, 968-978.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

use ostree_format::{FileHeader, FileId, FileKind, ObjectName, RepoMode, S_IFLNK, S_IFMT};
use rustix::io::Errno;

use super::super::dir::ObjectDir;
use super::{Body, FileFormat, Links, Sink, failed, invalid, open_object, sys};
use crate::store::{Content, Error, FileObject, Result};

/// The xattr that keeps what the file itself cannot.
const XATTR: &str = "user.ostreemeta";

/// What is wrong with an object without that xattr: nothing takes it away but a copy.
const LOST: &str = "it has no xattr user.ostreemeta: was the repository copied without xattrs?";

/// The longest link target, in bytes (PATH_MAX).
const MAX_TARGET_BYTES: u64 = 4096;

/// Mode bare-user.
#[derive(Debug)]
pub(in crate::repo) struct BareUser;

impl FileFormat for BareUser {
    fn mode(&self) -> RepoMode {
        RepoMode::BareUser
    }

    fn links(&self) -> Links {
        Links::AsFiles
    }

    fn write_body(&self, out: &File, header: &FileHeader, body: Body<'_, '_>) -> Result<()> {
        match header.symlink_target() {
            None => body.copy_to(out),
            Some(target) => Body::Bytes(&[target.as_bytes(), b"\0"].concat()).copy_to(out),
        }
    }

    fn seal(&self, sink: &Sink<'_>, id: &FileId, header: &FileHeader, file: &File) -> Result<()> {
        sys::set_xattr(file, XATTR, &header.to_ostreemeta()).map_err(failed(
            &sink.tmp,
            "setxattr(user.ostreemeta)",
            id,
        ))?;
        let permissions = match header.kind {
            FileKind::Regular => header.permissions & 0o775 | 0o400,
            FileKind::Symlink(_) => 0o644,
        };
        sys::set_mode(file, permissions).map_err(failed(&sink.tmp, "chmod", id))?;
        sys::set_mtime_zero(file).map_err(failed(&sink.tmp, "utimens", id))
    }

    fn seal_link(&self, _: &Sink<'_>, id: &FileId, _: &FileHeader, _: &str) -> Result<()> {
        Err(invalid(id, "a symbolic link in a bare-user repository"))
    }

    fn open(&self, objects: &ObjectDir, id: &FileId) -> Result<Option<FileObject>> {
        let path = ObjectName::from(*id).loose_path(RepoMode::BareUser);
        let Some((mut file, stat)) = open_object(objects.as_fd(), &path, id)? else { return Ok(None) };
        let meta =
            sys::get_xattr(&file, XATTR.as_bytes()).map_err(|error| match Errno::from_io_error(&error) {
                Some(Errno::NODATA) => invalid(id, LOST),
                _ => failed(objects, "getxattr(user.ostreemeta)", id)(error),
            })?;
        let mut target = None;
        if is_link(&meta) {
            target = Some(read_target(&mut file, objects, id)?);
        }
        let header = FileHeader::from_ostreemeta(&meta, || target).map_err(Error::corrupt(*id))?;
        let (len, content) = match header.kind {
            FileKind::Symlink(_) => (0, Content::Empty),
            FileKind::Regular => (stat.st_size.max(0).unsigned_abs(), Content::File(file)),
        };
        Ok(Some(FileObject { header, len, content }))
    }
}

/// Whether the third number of `user.ostreemeta`, the mode, is that of a link.
fn is_link(meta: &[u8]) -> bool {
    let mode = meta.get(8..12).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
    mode & S_IFMT == S_IFLNK
}

/// The target: everything before the first NUL.
fn read_target(file: &mut File, objects: &ObjectDir, id: &FileId) -> Result<Box<str>> {
    let mut bytes = Vec::new();
    file.take(MAX_TARGET_BYTES + 1).read_to_end(&mut bytes).map_err(failed(objects, "read", id))?;
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    let target = String::from_utf8(bytes).map_err(|_| invalid(id, "the link's target is not UTF-8"))?;
    Ok(target.into())
}
