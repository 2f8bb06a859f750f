//! What the importers of ordinary archives and of image layers have in common: from entries to objects.

use std::io::Read as _;

use ostree_format::{DirMeta, DirMetaId, FileHeader, FileId, FileName};

use super::archive::Archive;
use super::clones::Clones;
use super::content::SMALL_BYTES;
use super::entry::{EntryKind, TarEntry, split_path};
use super::error::{EntryErrorKind, Error, Result};
use crate::base::io::Cancellable;
use crate::base::{Ctx, Pool};
use crate::store::ObjectWrite;

/// Names in a path of an archive that a user has: as many as Linux knows in one, `PATH_MAX`.
pub(super) const ARCHIVE_DEPTH: usize = 2048;
/// Names in a path of a layer, which may be anybody's: each of them may be a directory to be made, and takes memory.
pub(super) const LAYER_DEPTH: usize = 512;
/// What a job costs, apart from the content and its xattrs.
const JOB_COST_BYTES: u64 = 512;

/// Writes the files of an archive into a store.
#[derive(Clone, Copy)]
pub(super) struct FileWriter<'p, 'env> {
    pub(super) store: &'env dyn ObjectWrite,
    pub(super) pool: &'p Pool<'env, Error>,
    /// Content that need not be written.
    pub(super) clones: Option<&'env Clones<'env>>,
    pub(super) ctx: &'env Ctx,
}

impl FileWriter<'_, '_> {
    /// Writes a content object: small ones in the pool, since what is in memory has its id at once. One that shares its
    /// blocks is read from the file that becomes the object, and passed over in the stream.
    pub(super) fn write(
        &self,
        header: FileHeader,
        entry: &TarEntry,
        archive: &mut Archive<'_>,
    ) -> Result<FileId> {
        let (store, ctx, size) = (self.store, self.ctx, entry.size);
        if let Some(clone) = archive.clone_in(self.clones) {
            let id = store.write_cloned(&header, size, clone, &ctx.cancel);
            ctx.cancel.check()?;
            ctx.object_done(size);
            return Ok(id.map_err(|e| e.of_path(&String::from_utf8_lossy(&entry.path)))?);
        }
        if size > SMALL_BYTES {
            let mut content = Cancellable::new(&mut *archive, &ctx.cancel);
            let id = store.write_file(&header, size, &mut content);
            ctx.cancel.check()?;
            archive.take_failure().map_or(Ok(()), Err)?;
            ctx.object_done(size);
            return Ok(id.map_err(|e| e.of_path(&String::from_utf8_lossy(&entry.path)))?);
        }
        let mut content = Vec::with_capacity(size as usize);
        let read = archive.read_to_end(&mut content);
        archive.take_failure().map_or(Ok(()), Err)?;
        read.map_err(|source| Error::Read { offset: entry.offset, source })?;
        let id = header.id_with(&content);
        let path = entry.path.clone();
        let held = size + header.xattrs.total_bytes() as u64 + JOB_COST_BYTES;
        self.pool.submit(held, move || {
            if !store.contains(&id.into())? {
                let written = store.write_file(&header, size, &mut &*content);
                written.map_err(|e| e.of_path(&String::from_utf8_lossy(&path)))?;
            }
            ctx.object_done(size);
            Ok(())
        })?;
        Ok(id)
    }

    pub(super) fn dirmeta(&self, meta: &DirMeta) -> Result<DirMetaId> {
        Ok(self.store.write_dirmeta(meta)?)
    }
}

/// The header of the content object that an entry becomes.
pub(super) fn file_header(entry: &TarEntry) -> Result<FileHeader> {
    let (uid, gid, xattrs) = (entry.uid, entry.gid, entry.xattrs.clone());
    if entry.kind != EntryKind::Symlink {
        return Ok(FileHeader::regular(uid, gid, entry.permissions, xattrs));
    }
    match std::str::from_utf8(&entry.link) {
        // Programs write all sorts of permissions, Python 0644: no file system would have them.
        Ok("") => Err(entry.error(EntryErrorKind::NoTarget)),
        Ok(target) => Ok(FileHeader::symlink(uid, gid, target, xattrs)),
        Err(_) => Err(entry.error(EntryErrorKind::NotUtf8("link target"))),
    }
}

pub(super) fn file_name(entry: &TarEntry, name: &str) -> Result<FileName> {
    FileName::new(name).map_err(|error| entry.error(EntryErrorKind::Parse(error)))
}

/// A path as text and relative: `/a`, `/../a` and `./a` are `a`.
pub(super) fn relative(path: &[u8]) -> Result<&str, EntryErrorKind> {
    let mut path = std::str::from_utf8(path).map_err(|_| EntryErrorKind::NotUtf8("path"))?;
    while let Some(rest) = path.strip_prefix('/') {
        path = rest.strip_prefix("..").filter(|after| after.starts_with('/')).unwrap_or(rest);
    }
    loop {
        match path.strip_prefix("./").or_else(|| path.strip_prefix('/')) {
            Some(rest) => path = rest,
            None => return Ok(if path == "." { "" } else { path }),
        }
    }
}

/// A path in which `..` takes away the name before it, whatever that is: so podman and umoci read layers, and so the
/// kernel takes the targets of hard links where no symbolic link is on the way.
///
/// # Errors
/// [`EntryErrorKind::DotDot`] if it leads out of the root: nobody means that well.
pub(super) fn cleaned(path: &str) -> Result<String, EntryErrorKind> {
    let mut names = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop().ok_or(EntryErrorKind::DotDot)?),
            name => names.push(name),
        }
    }
    Ok(names.join("/"))
}

/// The names of a relative path, none for the root and at most `depth`; dots and doubled slashes are left out.
pub(super) fn names(path: &str, depth: usize) -> Result<Vec<&str>, EntryErrorKind> {
    match path.is_empty() {
        true => Ok(Vec::new()),
        false => split_path(path.as_bytes()).and_then(|names| match names.len() <= depth {
            true => Ok(names),
            false => Err(EntryErrorKind::TooDeep(depth)),
        }),
    }
}
