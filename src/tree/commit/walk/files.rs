//! The files of a directory: each is known already, or written by the pool.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use ostree_format::{FileHeader, FileId, FileKind, FileName, RepoMode, S_IFLNK, S_IFMT, Xattrs};
use rustix::fs::Stat;

use super::super::DevInoTrust;
use super::super::file::{Job, XattrSource, write_all};
use super::{NodeId, Walk, attributes_of};
use crate::store::{Decision, Error, ObjectWrite, Result};

/// What a file counts at least: together with [`QUEUE_BYTES`](super::QUEUE_BYTES) it bounds the directories that are open.
const MIN_FILE_BYTES: u64 = 64 << 10;
/// What a file counts at most: larger ones are streamed.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Files that count this much together are one job: small files would spend their time in the queue.
const BATCH_BYTES: u64 = 2 << 20;

impl<S: ObjectWrite + ?Sized> Walk<'_, '_, S> {
    /// Asks the modifier about the file at `self.path` and hands it to the pool.
    pub(super) fn file(
        &mut self,
        node: NodeId,
        dir: &Arc<OwnedFd>,
        name: FileName,
        stat: &Stat,
    ) -> Result<()> {
        let hit = self.devino_hit(stat)?;
        if let (Some((id, _)), DevInoTrust::Everything) = (&hit, self.options.trust) {
            return self.known(node, dir, name, *id);
        }
        let (mut header, xattrs) = match &hit {
            Some((_, Some(header))) => (header.clone(), XattrSource::Header),
            _ => (header_of(stat), XattrSource::File),
        };
        if self.modifier.apply_to_file(&self.path, &mut header) == Decision::Skip {
            return self.consume(dir, &name);
        }
        let unchanged = match &hit {
            Some((_, Some(original))) => header == *original,
            // Xattrs were not read, so they are unchanged only if none are dropped.
            _ => {
                let (selinux, filter) = (&self.modifier.selinux, &self.modifier.filter);
                let same_xattrs = self.modifier.keeps_xattrs() && selinux.is_none() && filter.is_none();
                same_xattrs && header == header_of(stat)
            }
        };
        if let (Some((id, _)), true) = (hit, unchanged) {
            return self.known(node, dir, name, id);
        }
        let xattrs = if self.modifier.keeps_xattrs() { xattrs } else { XattrSource::Header };
        let len = if header.kind == FileKind::Regular { stat.st_size as u64 } else { 0 };
        let (path, source) = (self.path.clone(), self.options.source);
        let label = self.modifier.selinux.as_ref().and_then(|labels| labels.xattr(&self.path, stat.st_mode));
        let (dir, found, filter) = (dir.clone(), attributes_of(stat), self.modifier.filter.clone());
        let job = Job { dir, name, path, header, found, len, xattrs, filter, label, source };
        self.stats.files += 1;
        self.stats.bytes += len;
        if let Some(node) = self.nodes.get_mut(&node) {
            node.pending += 1;
        }
        self.batch.push((node, job));
        self.batch_bytes += len.clamp(MIN_FILE_BYTES, MAX_FILE_BYTES);
        if self.batch_bytes >= BATCH_BYTES { self.submit() } else { Ok(()) }
    }

    /// Hands the files that wait to the pool, and takes what it has finished.
    pub(super) fn submit(&mut self) -> Result<()> {
        let (batch, bytes) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.batch_bytes));
        let (store, small, ctx, sender) = (self.store, self.small, self.ctx, self.sender.clone());
        self.pool.submit(bytes, move || {
            let written = write_all(batch, small, store, ctx)?;
            // Nobody listens any more after an error elsewhere.
            let _ = sender.send(written);
            Ok(())
        })?;
        while let Ok(written) = self.receiver.try_recv() {
            written.into_iter().try_for_each(|file| self.written(file))?;
        }
        Ok(())
    }

    /// The object that a file is, and its header where the file itself does not look like the object.
    fn devino_hit(&self, stat: &Stat) -> Result<Option<(FileId, Option<FileHeader>)>> {
        let Some(id) = self.options.devino.and_then(|cache| cache.get(stat.into())) else { return Ok(None) };
        match self.store.loose_file(&id).map(|loose| loose.mode) {
            Some(RepoMode::Bare) => Ok(Some((id, None))),
            _ => {
                let object = self.store.open_file(&id)?.ok_or(Error::NotFound(id.into()))?;
                let same_kind = object.header.mode() & S_IFMT == stat.st_mode & S_IFMT;
                Ok(same_kind.then_some((id, Some(object.header))))
            }
        }
    }

    /// Adds a file whose object exists.
    fn known(&mut self, node: NodeId, dir: &Arc<OwnedFd>, name: FileName, id: FileId) -> Result<()> {
        self.stats.cache_hits += 1;
        self.consume(dir, &name)?;
        self.set_file(node, name, id)
    }
}

/// The header of a file, without xattrs; the target of a link is read later.
fn header_of(stat: &Stat) -> FileHeader {
    match stat.st_mode & S_IFMT {
        S_IFLNK => FileHeader {
            permissions: stat.st_mode & 0o7777,
            ..FileHeader::symlink(stat.st_uid, stat.st_gid, "", Xattrs::EMPTY)
        },
        _ => FileHeader::regular(stat.st_uid, stat.st_gid, stat.st_mode, Xattrs::EMPTY),
    }
}
