//! Mode bare: files as they are, with owner, mode, xattrs; links as links; the time of modification of
//! regular files is the epoch.
//!
//! With `core.disable-xattrs` files read back without xattrs, so that an object which has some would no longer
//! have its checksum: it is refused, where C ostree takes it and then fails fsck.

use std::fs::File;

use ostree_format::{FileHeader, FileId, ObjectName, RepoMode, Xattrs};

use super::super::dir::ObjectDir;
use super::{FileFormat, Links, Loose, Sink, failed, not_given, open_plain, stat_loose, sys};
use crate::base::{all_xattrs, all_xattrs_at, write_xattrs, write_xattrs_at};
use crate::store::{Error, FileObject, LooseFile, Result};

/// Mode bare.
#[derive(Debug)]
pub(in crate::repo) struct Bare {
    /// Whether files have xattrs; `core.disable-xattrs` says no.
    pub(in crate::repo) xattrs: bool,
}

impl FileFormat for Bare {
    fn mode(&self) -> RepoMode {
        RepoMode::Bare
    }

    fn links(&self) -> Links {
        Links::AsLinks
    }

    fn check(&self, id: &FileId, header: &FileHeader) -> Result<()> {
        match self.xattrs || header.xattrs.is_empty() {
            true => Ok(()),
            false => Err(Error::Unsupported(format!(
                "Content object {id}: it has xattrs, which a repository with core.disable-xattrs=true cannot \
                 keep; set it to false, or use a repository of mode bare-user or archive"
            ))),
        }
    }

    fn link_companions(&self, _: &Sink<'_>, id: &FileId, from: &LooseFile<'_>) -> Result<bool> {
        if self.xattrs {
            return Ok(true);
        }
        // Whether they are the object's or the system's is told by whoever reads it.
        let Some(path) = from.path.to_str() else { return Ok(false) };
        Ok(all_xattrs_at(from.dir, path).map_err(failed(&from.dir, "getxattr", id))?.is_empty())
    }

    fn seal(&self, sink: &Sink<'_>, id: &FileId, header: &FileHeader, file: &File) -> Result<()> {
        // In this order: a new owner takes setuid bits and capabilities away.
        sys::set_owner(file, header.uid, header.gid).map_err(not_given(id, header))?;
        sys::set_mode(file, header.permissions).map_err(failed(&sink.tmp, "chmod", id))?;
        write_xattrs(file, &header.xattrs).map_err(failed(&sink.tmp, "setxattr", id))?;
        sys::set_mtime_zero(file).map_err(failed(&sink.tmp, "utimens", id))
    }

    fn seal_link(&self, sink: &Sink<'_>, id: &FileId, header: &FileHeader, name: &str) -> Result<()> {
        sys::set_link_owner(sink.tmp, name, header.uid, header.gid).map_err(not_given(id, header))?;
        if header.xattrs.is_empty() {
            return Ok(());
        }
        write_xattrs_at(sink.tmp, name, &header.xattrs).map_err(failed(&sink.tmp, "setxattr", id))
    }

    fn open(&self, objects: &ObjectDir, id: &FileId) -> Result<Option<FileObject>> {
        let path = ObjectName::from(*id).loose_path(RepoMode::Bare);
        open_plain(objects, &path, id, |loose, dir| {
            let xattrs = match &loose {
                _ if !self.xattrs => Xattrs::EMPTY,
                Loose::File(file, _) => all_xattrs(file).map_err(failed(objects, "getxattr", id))?,
                Loose::Link(..) => all_xattrs_at(dir, &path).map_err(failed(objects, "getxattr", id))?,
            };
            let (uid, gid) = (loose.stat().st_uid, loose.stat().st_gid);
            Ok(loose.into_object(uid, gid, xattrs))
        })
    }

    fn stat(&self, objects: &ObjectDir, id: &FileId) -> Result<Option<(FileHeader, u64)>> {
        stat_loose(objects, &ObjectName::from(*id).loose_path(RepoMode::Bare), id)
    }
}
