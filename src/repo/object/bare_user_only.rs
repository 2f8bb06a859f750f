//! Mode bare-user-only: content and permission bits of the current user's files; links as links. Owners
//! read back as 0, xattrs as none, so objects that have others are refused.

use std::fs::File;

use ostree_format::{FileHeader, FileId, ObjectName, RepoMode, Xattrs};

use super::super::dir::ObjectDir;
use super::{FileFormat, Links, Sink, failed, open_plain, stat_loose, sys};
use crate::store::{FileObject, Result, check_user_only};

/// Mode bare-user-only.
#[derive(Debug)]
pub(in crate::repo) struct BareUserOnly;

impl FileFormat for BareUserOnly {
    fn mode(&self) -> RepoMode {
        RepoMode::BareUserOnly
    }

    fn links(&self) -> Links {
        Links::AsLinks
    }

    fn check(&self, id: &FileId, header: &FileHeader) -> Result<()> {
        check_user_only(id, header)
    }

    fn seal(&self, sink: &Sink<'_>, id: &FileId, header: &FileHeader, file: &File) -> Result<()> {
        sys::set_mode(file, header.permissions).map_err(failed(&sink.tmp, "chmod", id))?;
        sys::set_mtime_zero(file).map_err(failed(&sink.tmp, "utimens", id))
    }

    fn seal_link(&self, _: &Sink<'_>, _: &FileId, _: &FileHeader, _: &str) -> Result<()> {
        Ok(())
    }

    fn open(&self, objects: &ObjectDir, id: &FileId) -> Result<Option<FileObject>> {
        let path = ObjectName::from(*id).loose_path(RepoMode::BareUserOnly);
        open_plain(objects, &path, id, |loose, _| Ok(loose.into_object(0, 0, Xattrs::EMPTY)))
    }

    fn stat(&self, objects: &ObjectDir, id: &FileId) -> Result<Option<(FileHeader, u64)>> {
        let path = ObjectName::from(*id).loose_path(RepoMode::BareUserOnly);
        let found = stat_loose(objects, &path, id)?;
        Ok(found.map(|(header, len)| (FileHeader { uid: 0, gid: 0, ..header }, len)))
    }
}
