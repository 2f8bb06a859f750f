//! Content objects on their way into a transaction.

use std::io::Read;

use ostree_format::{FileHeader, FileId, RepoMode};

use super::super::object::{self, Links, Regular, Source};
use super::super::sys::Linked;
use super::Transaction;
use super::names::add;
use crate::base::Cancel;
use crate::store::{ArchivedFile, ClonedContent, Error, HashedFile, LoadedFile, Result, SMALL_FILE_BYTES};

impl Transaction<'_> {
    /// Writes a content object, unless it is stored already; its id has to be the expected one.
    pub(super) fn write_checked(
        &self,
        expected: Option<&FileId>,
        header: &FileHeader,
        len: u64,
        content: &mut dyn Read,
    ) -> Result<FileId> {
        add(&self.counters.content_total, 1);
        if len > SMALL_FILE_BYTES {
            let source = Source::new(header, len, content, self.sink()?.payload_hasher(len));
            return self.write_stream(header, len, source, &|id| {
                check_id(expected, id)?;
                self.is_stored(&(*id).into())
            });
        }
        let file = HashedFile::new(LoadedFile::read(header.clone(), len, content)?);
        expected.map_or(Ok(()), |expected| file.check(expected))?;
        self.write_known(&file)?;
        Ok(*file.id())
    }

    /// Writes a content object under the id that it is believed to have, unless it is stored already.
    pub(super) fn write_believed(
        &self,
        id: &FileId,
        header: &FileHeader,
        len: u64,
        content: &mut dyn Read,
    ) -> Result<()> {
        add(&self.counters.content_total, 1);
        if len > SMALL_FILE_BYTES {
            let payload = self.sink()?.payload_hasher(len);
            let source = Source::believed(*id, len, content, payload);
            return self.write_stream(header, len, source, &|id| self.is_stored(&(*id).into())).map(drop);
        }
        self.write_known(&HashedFile::believed(*id, LoadedFile::read(header.clone(), len, content)?))
    }

    /// Takes the room for a content object.
    fn reserve(&self, bytes: u64) -> Result<()> {
        self.space.reserve(bytes)
    }

    /// Notes that a content object was written (also if another thread was faster), or was there already.
    fn wrote_file(&self, id: FileId, len: u64, linked: Option<Linked>) {
        if linked.is_some() {
            self.written.insert(id.into());
        }
        match linked {
            None | Some(Linked::Existed) => self.space.release(len),
            Some(Linked::New) => {
                add(&self.counters.content_written, 1);
                add(&self.counters.content_bytes_written, len);
                if let Some(writeback) = self.writeback.as_ref().filter(|_| self.cancel.check().is_ok()) {
                    writeback.wrote(len);
                }
            }
        }
    }

    /// Writes a content object that is in memory, unless it is stored.
    pub(super) fn write_known(&self, file: &HashedFile) -> Result<()> {
        let (id, header, bytes) = (*file.id(), file.header(), file.content());
        if self.is_stored(&id.into())? {
            return Ok(());
        }
        let sink = self.sink()?;
        let format = &*self.repo.format;
        let len = bytes.len() as u64;
        self.reserve(len)?;
        let linked = match header.symlink_target().filter(|_| format.links() == Links::AsLinks) {
            Some(target) => object::write_link(&sink, format, &id, header, target).map(Some),
            None => {
                let content = Regular::Known(id, bytes);
                object::write_regular(&sink, format, header, content, &|_| Ok(false))
                    .map(|(_, linked)| linked)
            }
        };
        let linked = linked.map_err(|error| error.wanting(len))?;
        self.wrote_file(id, len, linked);
        Ok(())
    }

    /// Writes a content object of another archive repository as it is, unless it is stored; `false` if this repository
    /// is none, or does not take that file.
    pub(super) fn pass_on(&self, id: &FileId, file: ArchivedFile, cancel: &Cancel) -> Result<bool> {
        if self.repo.mode() != RepoMode::Archive {
            return Ok(false);
        }
        let len = file.len;
        if !self.is_stored(&(*id).into())? {
            self.reserve(len)?;
            let linked = object::write_archived(&self.sink()?, id, file, cancel)
                .map_err(|error| error.wanting(len))
                .inspect_err(|_| self.space.release(len))?;
            self.wrote_file(*id, len, linked);
            if linked.is_none() {
                return Ok(false);
            }
        }
        add(&self.counters.content_total, 1);
        Ok(true)
    }

    /// Writes a content object that is a file which shares its blocks with another, unless it is stored.
    pub(super) fn write_shared(
        &self,
        header: &FileHeader,
        len: u64,
        content: ClonedContent,
        cancel: &Cancel,
    ) -> Result<FileId> {
        add(&self.counters.content_total, 1);
        // The blocks are there already, but nobody knows for how long the other file keeps them.
        self.reserve(len)?;
        let written = object::write_cloned(&self.sink()?, &*self.repo.format, header, len, content, cancel);
        let written = written.map_err(|error| error.wanting(len));
        let (id, linked) = written.inspect_err(|_| self.space.release(len))?;
        self.wrote_file(id, len, linked);
        Ok(id)
    }

    /// Writes a content object that is too large for memory. `is_there` is told its id once all was read.
    fn write_stream(
        &self,
        header: &FileHeader,
        len: u64,
        source: Source<'_>,
        is_there: &dyn Fn(&FileId) -> Result<bool>,
    ) -> Result<FileId> {
        let sink = self.sink()?;
        self.reserve(len)?;
        let source = Regular::Unknown(Box::new(source));
        let written = object::write_regular(&sink, &*self.repo.format, header, source, is_there);
        let written = written.map_err(|error| error.wanting(len));
        let (id, linked) = written.inspect_err(|_| self.space.release(len))?;
        self.wrote_file(id, len, linked);
        Ok(id)
    }
}

/// Checks the id of content against the one that was announced.
fn check_id(expected: Option<&FileId>, id: &FileId) -> Result<()> {
    match expected {
        Some(expected) if expected != id => {
            Err(Error::Mismatch { expected: (*expected).into(), actual: *id.checksum() })
        }
        _ => Ok(()),
    }
}
