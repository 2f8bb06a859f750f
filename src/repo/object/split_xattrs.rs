//! Mode bare-split-xattrs: as bare, but xattrs are files of their own, so that the tree can be stored
//! where xattrs cannot be set (a container layer).
//!
//! ```text
//! xx/FILEID.file               the file, with owner and mode
//! xx/FILEID.file-xattrs-link   hard link to its xattrs; a copy where no more links are possible
//! xx/SHA256.file-xattrs        a(ayay), named by the checksum of these bytes
//! ```
//! libostree reads this (ostree-repo.c:4084-4105, 4240) and refuses to write it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use ostree_format::{
    FileHeader, FileId, MAX_METADATA_BYTES, ObjectName, ObjectType, RepoMode, Xattrs, split_xattrs_checksum,
};

use super::super::dir::ObjectDir;
use super::{FileFormat, Links, Sink, failed, invalid, not_given, open_plain, sys, write_meta};
use crate::store::{Error, FileObject, LooseFile, Result};

/// Mode bare-split-xattrs.
#[derive(Debug)]
pub(in crate::repo) struct SplitXattrs;

const MODE: RepoMode = RepoMode::BareSplitXattrs;

impl FileFormat for SplitXattrs {
    fn mode(&self) -> RepoMode {
        MODE
    }

    fn links(&self) -> Links {
        Links::AsLinks
    }

    fn seal(&self, sink: &Sink<'_>, id: &FileId, header: &FileHeader, file: &File) -> Result<()> {
        sys::set_owner(file, header.uid, header.gid).map_err(not_given(id, header))?;
        sys::set_mode(file, header.permissions).map_err(failed(&sink.tmp, "chmod", id))?;
        sys::set_mtime_zero(file).map_err(failed(&sink.tmp, "utimens", id))?;
        put_xattrs(sink, id, &header.xattrs)
    }

    fn seal_link(&self, sink: &Sink<'_>, id: &FileId, header: &FileHeader, name: &str) -> Result<()> {
        sys::set_link_owner(sink.tmp, name, header.uid, header.gid).map_err(not_given(id, header))?;
        put_xattrs(sink, id, &header.xattrs)
    }

    fn link_companions(&self, sink: &Sink<'_>, id: &FileId, from: &LooseFile<'_>) -> Result<bool> {
        let path = from.path.with_extension("file-xattrs-link");
        let Some(path) = path.to_str() else { return Ok(false) };
        let bytes = sys::read_file(from.dir, path, MAX_METADATA_BYTES).map_err(failed(
            &from.dir,
            "read xattrs of",
            id,
        ))?;
        let Some(bytes) = bytes else { return Ok(false) };
        put_xattrs(sink, id, &Xattrs::parse_unsorted(&bytes).map_err(Error::corrupt(*id))?)?;
        Ok(true)
    }

    fn open(&self, objects: &ObjectDir, id: &FileId) -> Result<Option<FileObject>> {
        let path = ObjectName::from(*id).loose_path(MODE);
        open_plain(objects, &path, id, |loose, _| {
            let xattrs = read_xattrs(objects, id)?;
            let (uid, gid) = (loose.stat().st_uid, loose.stat().st_gid);
            Ok(loose.into_object(uid, gid, xattrs))
        })
    }
}

fn read_xattrs(objects: &ObjectDir, id: &FileId) -> Result<Xattrs> {
    let name = ObjectName::new(*id.checksum(), ObjectType::FileXattrsLink);
    let bytes = sys::read_file(objects.as_fd(), &name.loose_path(MODE), MAX_METADATA_BYTES);
    let bytes = bytes
        .map_err(failed(objects, "read xattrs of", id))?
        .ok_or_else(|| invalid(id, "its xattrs are missing"))?;
    Xattrs::parse_unsorted(&bytes).map_err(Error::corrupt(name))
}

/// Makes the link from the object to its xattrs, and these if they are new. Comes before the object gets
/// its name: an object that is there has its xattrs.
pub(in crate::repo) fn put_xattrs(sink: &Sink<'_>, id: &FileId, xattrs: &Xattrs) -> Result<()> {
    let shared = ObjectName::new(split_xattrs_checksum(xattrs), ObjectType::FileXattrs);
    let own = ObjectName::new(*id.checksum(), ObjectType::FileXattrsLink);
    sink.objects.ensure_parent(&own)?;
    for dir in [sink.committed, sink.objects] {
        match sys::link(dir.as_fd(), &shared.loose_path(MODE), sink.objects.as_fd(), &own.loose_path(MODE)) {
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) if e.kind() == io::ErrorKind::TooManyLinks => {
                return write_meta(sink, MODE, &own, &xattrs.to_bytes()).map(drop);
            }
            Err(e) => return Err(failed(sink.objects, "link xattrs of", id)(e)),
        }
    }
    write_meta(sink, MODE, &shared, &xattrs.to_bytes())?;
    let (from, to) = (shared.loose_path(MODE), own.loose_path(MODE));
    sys::link(sink.objects.as_fd(), &from, sink.objects.as_fd(), &to).map_err(failed(
        sink.objects,
        "link xattrs of",
        id,
    ))?;
    Ok(())
}
