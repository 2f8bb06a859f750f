//! Objects are read: where they lie, else from the parent, and content also from elsewhere.

use std::os::fd::AsFd;

use ostree_format::{FileHeader, FileId, MAX_METADATA_BYTES, ObjectName, RepoMode};

use super::dir::ObjectDir;
use super::{Repo, object, sys};
use crate::store::{ArchivedFile, FileObject, LooseFile, ObjectRead, Result};

/// Reads a metadata object out of `objects`.
pub(super) fn read_meta_in(
    objects: &ObjectDir,
    name: &ObjectName,
    mode: RepoMode,
) -> Result<Option<Vec<u8>>> {
    let path = name.loose_path(mode);
    sys::read_file_nofollow(objects, &path, MAX_METADATA_BYTES).map_err(|e| objects.failed("read", &path, e))
}

impl ObjectRead for Repo {
    fn contains(&self, name: &ObjectName) -> Result<bool> {
        if self.objects.contains(name, self.mode())? {
            return Ok(true);
        }
        if self.parent.as_ref().map_or(Ok(false), |parent| parent.contains(name))? {
            return Ok(true);
        }
        self.elsewhere.as_ref().map_or(Ok(false), |elsewhere| elsewhere.files.contains(name))
    }

    fn read_meta(&self, name: &ObjectName) -> Result<Option<Vec<u8>>> {
        match (read_meta_in(&self.objects, name, self.mode())?, &self.parent) {
            (None, Some(parent)) => parent.read_meta(name),
            (found, _) => Ok(found),
        }
    }

    fn open_file(&self, id: &FileId) -> Result<Option<FileObject>> {
        let found = match (self.format.open(&self.objects, id)?, &self.parent) {
            (None, Some(parent)) => parent.open_file(id)?,
            (found, _) => found,
        };
        match (found, &self.elsewhere) {
            (None, Some(elsewhere)) => elsewhere.files.open_file(id),
            (found, _) => Ok(found),
        }
    }

    fn open_archived(&self, id: &FileId) -> Result<Option<ArchivedFile>> {
        let own = match self.mode() {
            RepoMode::Archive => object::open_archived(&self.objects, id)?,
            _ => None,
        };
        match (own, &self.parent) {
            (None, Some(parent)) => parent.open_archived(id),
            (found, _) => Ok(found),
        }
    }

    fn stat_file(&self, id: &FileId) -> Result<Option<(FileHeader, u64)>> {
        let found = match (self.format.stat(&self.objects, id)?, &self.parent) {
            (None, Some(parent)) => parent.stat_file(id)?,
            (found, _) => found,
        };
        match (found, &self.elsewhere) {
            (None, Some(elsewhere)) => elsewhere.files.stat_file(id),
            (found, _) => Ok(found),
        }
    }

    fn loose_file(&self, id: &FileId) -> Option<LooseFile<'_>> {
        if let Some(parent) = &self.parent
            && !self.objects.contains(&(*id).into(), self.mode()).unwrap_or(true)
        {
            return parent.loose_file(id);
        }
        Some(loose_in(&self.objects, &(*id).into(), self.mode()))
    }

    fn loose_meta(&self, name: &ObjectName) -> Option<LooseFile<'_>> {
        Some(loose_in(&self.objects, name, self.mode()))
    }

    fn plain_file(&self, id: &FileId) -> Result<Option<LooseFile<'_>>> {
        self.uncompressed_file(id)
    }
}

pub(super) fn loose_in<'a>(objects: &'a ObjectDir, name: &ObjectName, mode: RepoMode) -> LooseFile<'a> {
    LooseFile { dir: objects.as_fd(), path: name.loose_path(mode).into(), mode }
}
