//! Content objects, each by a hard link or a copy, verified unless the source is believed.

use std::sync::atomic::Ordering;

use ostree_format::{FileHeader, FileId, FileKind, Finished, ObjectName, RepoMode, Streams};
use rustix::fs::fstat;
use rustix::process::geteuid;

use super::{Counters, FileModes, Trust};
use crate::base::io::Cancellable;
use crate::base::{Ctx, SharedStreams};
use crate::store::{
    ArchivedCheck, Error, FileObject, HashedFile, LoadedFile, LooseFile, ObjectRead, Result,
    SMALL_FILE_BYTES, Sizes, Txn, check_user_only_mode, is_user_only, verify_file,
};

/// The permission bit that a bare-user repository adds to the files of all objects.
const OWNER_MAY_READ: u32 = 0o400;

/// Small objects that are being hashed.
pub(super) type SmallFiles = SharedStreams<FileId, LoadedFile>;

/// Copies content objects; shared by the threads.
#[derive(Clone, Copy)]
pub(super) struct ContentCopy<'env> {
    pub(super) from: &'env dyn ObjectRead,
    pub(super) txn: &'env dyn Txn,
    pub(super) trust: Trust,
    pub(super) modes: FileModes,
    pub(super) sizes: &'env Sizes,
    pub(super) small: &'env SmallFiles,
    pub(super) counters: &'env Counters,
    pub(super) ctx: &'env Ctx,
}

impl ContentCopy<'_> {
    /// Hard-links an object that need not be looked at: a link is quicker made than handed to a thread.
    pub(super) fn link_at_once(&self, id: &FileId) -> Result<bool> {
        match (self.trust, self.modes) {
            (Trust::Source | Trust::Linked, FileModes::Any) => self.link(id),
            _ => Ok(false),
        }
    }

    /// Copies or links objects; small ones may be left to a later call or to
    /// [`SmallFiles::finish`](SharedStreams::finish).
    pub(super) fn import_all(&self, ids: &[FileId]) -> Result<()> {
        self.small.with(|streams| ids.iter().try_for_each(|id| self.import(id, streams)))
    }

    /// Copies or links an object.
    fn import(&self, id: &FileId, streams: &mut Streams<FileId, LoadedFile>) -> Result<()> {
        self.ctx.cancel.check()?;
        let name = ObjectName::from(*id);
        let file = self.from.open_file(id)?.ok_or(Error::NotFound(name))?;
        self.check_mode(id, &file.header)?;
        self.sizes.check(id, &file)?;
        let may_link = match (self.trust, self.modes) {
            // Was tried.
            (Trust::Source | Trust::Linked, FileModes::Any) => None,
            (Trust::Source | Trust::Linked, FileModes::BareUserOnly) => self.from.loose_file(id),
            (Trust::Nothing, _) => self.from.loose_file(id).filter(is_ours),
        };
        if may_link.is_none() {
            return self.copy(id, file, streams);
        }
        if self.trust == Trust::Nothing {
            verify_file(id, file, &self.ctx.cancel)?;
        }
        if self.link(id)? {
            return Ok(());
        }
        self.copy(id, self.from.open_file(id)?.ok_or(Error::NotFound(name))?, streams)
    }

    fn link(&self, id: &FileId) -> Result<bool> {
        let Some(mut loose) = self.from.loose_file(id) else { return Ok(false) };
        let modes = (loose.mode, self.txn.loose_file(id).map(|ours| ours.mode));
        if modes == (RepoMode::BareUser, Some(RepoMode::BareUserOnly)) && self.is_plain(id)? {
            loose.mode = RepoMode::BareUserOnly;
        }
        if !self.txn.link_file(id, &loose)? {
            return Ok(false);
        }
        self.counters.linked.fetch_add(1, Ordering::Relaxed);
        self.done(0);
        Ok(true)
    }

    /// Whether a bare-user repository keeps the file just as a bare-user-only one would.
    fn is_plain(&self, id: &FileId) -> Result<bool> {
        let header = self.from.open_file(id)?.ok_or(Error::NotFound((*id).into()))?.header;
        Ok(header.kind == FileKind::Regular
            && is_user_only(&header)
            && header.permissions & OWNER_MAY_READ != 0)
    }

    fn copy(
        &self,
        id: &FileId,
        mut file: FileObject,
        streams: &mut Streams<FileId, LoadedFile>,
    ) -> Result<()> {
        let (header, len) = (file.header.clone(), file.len);
        // From one archive to another nothing is compressed anew. The file is opened again for that: where its mode was
        // judged, what was judged is copied.
        if self.modes == FileModes::Any
            && self.txn.loose_file(id).is_some_and(|ours| ours.mode == RepoMode::Archive)
            && let Some(mut archived) = self.from.open_archived(id)?
        {
            if self.trust == Trust::Source {
                archived.check = ArchivedCheck::Nothing;
            }
            if self.txn.write_archived(id, archived, &self.ctx.cancel)? {
                self.copied(len);
                return Ok(());
            }
        }
        let mut content = Cancellable::new(&mut file, &self.ctx.cancel);
        let unreadable = |e| match e {
            Error::Read { source, .. } => Error::Read { what: ObjectName::from(*id).to_string(), source },
            other => other,
        };
        if self.trust == Trust::Source {
            self.txn.take_file(id, &header, len, &mut content).map_err(unreadable)?;
            self.copied(len);
            return Ok(());
        }
        if len <= SMALL_FILE_BYTES {
            let file = LoadedFile::read(header, len, &mut content).map_err(unreadable)?;
            return streams.push(*id, file, len).map_or(Ok(()), |finished| self.write(finished));
        }
        self.txn.write_file_as(id, &header, len, &mut content).map_err(unreadable)?;
        self.copied(len);
        Ok(())
    }

    /// Writes a small object that was hashed.
    pub(super) fn write(&self, finished: Finished<FileId, LoadedFile>) -> Result<()> {
        self.ctx.cancel.check()?;
        let (id, file) = HashedFile::of(finished)?;
        file.check(&id)?;
        self.txn.write_hashed(&file)?;
        self.copied(file.content().len() as u64);
        Ok(())
    }

    fn copied(&self, bytes: u64) {
        self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.done(bytes);
    }

    fn check_mode(&self, id: &FileId, header: &FileHeader) -> Result<()> {
        match self.modes {
            FileModes::Any => Ok(()),
            FileModes::BareUserOnly => check_user_only_mode(id, header),
        }
    }

    fn done(&self, bytes: u64) {
        self.counters.content.fetch_add(1, Ordering::Relaxed);
        self.ctx.object_done(bytes);
    }
}

/// Whether nobody else can change the file after it was verified.
fn is_ours(loose: &LooseFile<'_>) -> bool {
    let owner = fstat(loose.dir).map(|stat| stat.st_uid);
    owner.is_ok_and(|uid| uid == 0 || uid == geteuid().as_raw())
}
