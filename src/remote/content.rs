//! Content objects that came: verified, then written. From an archive to an archive nothing is compressed anew.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::DeflateDecoder;
use libdeflater::Decompressor;
use ostree_format::{
    ArchiveHeader, FRAMING_BYTES, FileHeader, FileId, Finished, ObjectName, RepoMode, Streams, parse_framing,
};

use crate::base::io::Cancellable;
use crate::base::{Ctx, SharedStreams};
use crate::net::HeldBytes;
use crate::store::{
    ArchivedCheck, ArchivedFile, Content, Error, FileObject, HashedFile, LoadedFile, ObjectRead, Result,
    SMALL_FILE_BYTES, Sizes, Txn, check_user_only_mode,
};
use crate::transfer::FileModes;

/// Bytes of a large object that are read at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// Small objects that are being hashed.
pub(super) type SmallObjects = SharedStreams<FileId, LoadedFile>;

/// Writes content objects; shared by the threads.
#[derive(Clone, Copy)]
pub(super) struct ContentWriter<'env> {
    pub(super) txn: &'env dyn Txn,
    pub(super) modes: FileModes,
    /// What is asked of objects that an archive takes over as they are.
    pub(super) check: ArchivedCheck,
    pub(super) sizes: &'env Sizes,
    pub(super) small: &'env SmallObjects,
    pub(super) imported: &'env AtomicU64,
    pub(super) ctx: &'env Ctx,
}

impl ContentWriter<'_> {
    /// Writes objects that are in memory.
    pub(super) fn write_all(&self, files: Vec<(FileId, HeldBytes)>) -> Result<()> {
        let mut inflater = Decompressor::new();
        self.small.with(|streams| {
            let mut write = |(id, bytes)| self.write_held(&id, bytes, &mut inflater, streams);
            files.into_iter().try_for_each(&mut write)
        })
    }

    fn write_held(
        &self,
        id: &FileId,
        bytes: HeldBytes,
        inflater: &mut Decompressor,
        streams: &mut Streams<FileId, LoadedFile>,
    ) -> Result<()> {
        self.ctx.cancel.check()?;
        let came = bytes.len() as u64;
        if self.is_believed(id) {
            return self.pass_on(id, Box::new(Cursor::new(bytes)), came);
        }
        let (header, at) = read_header(&bytes, id)?;
        self.check(id, &header)?;
        if header.size > SMALL_FILE_BYTES || self.is_archive(id) {
            let from = Box::new(Cursor::new(bytes));
            return self.write_stream(id, header, at, from, came);
        }
        // Links have none, not even a compressed one.
        let is_done = header.file.symlink_target().is_some();
        let mut content = Inflating { inflater, packed: bytes.get(at..).unwrap_or_default(), is_done };
        let len = header.size;
        let file = LoadedFile::read(header.file, len, &mut content).map_err(of_object(id))?;
        streams.push(*id, file, len).map_or(Ok(()), |finished| self.write_hashed(finished))
    }

    /// Writes an object that is in a file.
    pub(super) fn write_spilled(&self, id: &FileId, file: File, len: u64) -> Result<()> {
        if self.is_believed(id) {
            return self.pass_on(id, Box::new(file), len);
        }
        let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut start = Vec::new();
        (&mut file).take(FRAMING_BYTES as u64).read_to_end(&mut start).map_err(unread(id))?;
        let framing = start.first_chunk().copied().ok_or_else(|| short(id))?;
        let header = parse_framing(framing).map_err(Error::corrupt(*id))?;
        (&mut file).take(header as u64).read_to_end(&mut start).map_err(unread(id))?;
        let (header, at) = read_header(&start, id)?;
        self.check(id, &header)?;
        self.write_stream(id, header, at, Box::new(Cursor::new(start).chain(file)), len)
    }

    /// Writes an object of `len` bytes, whose content begins at the byte `at` of `from`.
    fn write_stream(
        &self,
        id: &FileId,
        header: ArchiveHeader,
        at: usize,
        mut from: Box<dyn Read + Send>,
        len: u64,
    ) -> Result<()> {
        if self.is_archive(id) {
            return self.pass_on(id, from, len);
        }
        io::copy(&mut (&mut from).take(at as u64), &mut io::sink()).map_err(unread(id))?;
        let inflated = DeflateDecoder::new(BufReader::with_capacity(BUFFER_BYTES, from));
        let mut content = Cancellable::new(inflated, &self.ctx.cancel);
        self.txn.write_file_as(id, &header.file, header.size, &mut content).map_err(of_object(id))?;
        self.ctx.object_done(len);
        Ok(())
    }

    /// Writes an object into an archive as it is.
    fn pass_on(&self, id: &FileId, read: Box<dyn Read + Send>, len: u64) -> Result<()> {
        let archived = ArchivedFile { len, read, check: self.check };
        if self.txn.write_archived(id, archived, &self.ctx.cancel)? {
            self.ctx.object_done(len);
            return Ok(());
        }
        Err(unread(id)(io::Error::other("something stands behind its content")))
    }

    /// Writes an object that was hashed.
    pub(super) fn write_hashed(&self, finished: Finished<FileId, LoadedFile>) -> Result<()> {
        let (id, file) = HashedFile::of(finished)?;
        file.check(&id)?;
        self.txn.write_hashed(&file)?;
        self.ctx.object_done(file.content().len() as u64);
        Ok(())
    }

    /// Copies an object of a store of this machine.
    pub(super) fn import(&self, id: &FileId, from: &dyn ObjectRead) -> Result<()> {
        self.ctx.cancel.check()?;
        let mut file = from.open_file(id)?.ok_or(Error::NotFound((*id).into()))?;
        self.check_mode(id, &file.header)?;
        let linked = match from.loose_file(id) {
            Some(loose) => self.txn.link_file(id, &loose)?,
            None => false,
        };
        if !linked {
            let (header, len) = (file.header.clone(), file.len);
            self.txn.write_file_as(id, &header, len, &mut file).map_err(of_object(id))?;
        }
        self.imported.fetch_add(1, Ordering::Relaxed);
        self.ctx.object_done(0);
        Ok(())
    }

    fn check(&self, id: &FileId, header: &ArchiveHeader) -> Result<()> {
        self.check_mode(id, &header.file)?;
        let (file, len) = (header.file.clone(), header.size);
        self.sizes.check(id, &FileObject { header: file, len, content: Content::Empty })
    }

    fn check_mode(&self, id: &FileId, header: &FileHeader) -> Result<()> {
        match self.modes {
            FileModes::Any => Ok(()),
            FileModes::BareUserOnly => check_user_only_mode(id, header),
        }
    }

    /// Whether an object is stored without a look at it.
    fn is_believed(&self, id: &FileId) -> bool {
        self.check == ArchivedCheck::Nothing && self.is_archive(id)
    }

    fn is_archive(&self, id: &FileId) -> bool {
        self.txn.loose_file(id).is_some_and(|ours| ours.mode == RepoMode::Archive)
    }
}

/// The header at the start of an object, and where its content begins.
fn read_header(bytes: &[u8], id: &FileId) -> Result<(ArchiveHeader, usize)> {
    let framing = bytes.first_chunk().copied().ok_or_else(|| short(id))?;
    let len = parse_framing(framing).map_err(Error::corrupt(*id))?;
    let end = FRAMING_BYTES.saturating_add(len);
    let header = bytes.get(FRAMING_BYTES..end).ok_or_else(|| short(id))?;
    Ok((ArchiveHeader::parse(header).map_err(Error::corrupt(*id))?, end))
}

fn short(id: &FileId) -> Error {
    unread(id)(io::Error::new(io::ErrorKind::UnexpectedEof, "the object ends inside of its header"))
}

fn unread(id: &FileId) -> impl FnOnce(io::Error) -> Error {
    let what = ObjectName::from(*id).to_string();
    move |source| Error::Read { what, source }
}

/// Names the object whose content could not be read.
fn of_object(id: &FileId) -> impl FnOnce(Error) -> Error {
    let name = ObjectName::from(*id);
    move |error| match error {
        Error::Read { source, .. } => Error::Read { what: name.to_string(), source },
        other => other,
    }
}

/// Content that is inflated in one call into the buffer of whoever reads it; where that does not go, as a stream, whose
/// errors say what is wrong.
struct Inflating<'a> {
    inflater: &'a mut Decompressor,
    packed: &'a [u8],
    is_done: bool,
}

impl Read for Inflating<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.is_done || buf.is_empty() {
            return Ok(0);
        }
        self.is_done = true;
        match self.inflater.deflate_decompress(self.packed, buf) {
            Ok(len) => Ok(len),
            Err(_) => {
                let mut stream = DeflateDecoder::new(self.packed);
                let mut filled = 0;
                while filled < buf.len() {
                    match stream.read(&mut buf[filled..])? {
                        0 => return Ok(filled),
                        n => filled += n,
                    }
                }
                match stream.read(&mut [0])? {
                    0 => Ok(filled),
                    _ => Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "there is more content than was announced",
                    )),
                }
            }
        }
    }
}
