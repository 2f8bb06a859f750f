//! Reads content objects from a stream: their xattrs come first, then the file.
//!
//! Files of up to [`SMALL_BYTES`] are handed to the pool, many at once, so that hashing and writing run beside
//! reading; larger ones go straight through.

use std::collections::HashMap;
use std::io::Read;

use ostree_format::{
    Checksum, FileHeader, FileId, FileKind, Finished, MAX_METADATA_BYTES, ObjectName, Xattrs,
};

use super::clones::Clones;
use super::entry::{EntryKind, TarEntry};
use super::error::{EntryErrorKind, Error, Result};
use super::layout::EntryRole;
use super::on_base::XattrsOf;
use super::reader::Reader;
use crate::base::io::Cancellable;
use crate::base::{Ctx, Pool, SharedStreams};
use crate::store::{self, ClonedContent, HashedFile, LoadedFile, ObjectWrite};

/// The largest file that is read into memory, in bytes.
pub(super) const SMALL_BYTES: u64 = 128 * 1024;
/// The number of bytes that may be under way in the pool.
pub(super) const POOL_BYTES: u64 = 8 * 1024 * 1024;
/// One set of xattrs may not be larger; file systems allow less.
const MAX_XATTRS_BYTES: u64 = 1024 * 1024;
/// All different sets of xattrs together may not be larger: they are kept until the end.
const MAX_ALL_XATTRS_BYTES: u64 = 64 * 1024 * 1024;
/// What keeping a set costs, apart from its bytes.
const XATTRS_COST_BYTES: u64 = 64;
/// What a job costs, apart from its files.
const JOB_COST_BYTES: u64 = 512;
/// What a job with a file that shares its blocks costs: it is an open file, and read in pieces.
const CLONE_COST_BYTES: u64 = POOL_BYTES / 32;
/// The number of files that make one job, unless they reach [`BATCH_BYTES`] before.
const BATCH_FILES: usize = 16;
const BATCH_BYTES: u64 = 256 * 1024;

/// Small files that are being hashed.
pub(super) type SmallFiles = SharedStreams<FileId, LoadedFile>;

/// Writes the content objects of a stream.
pub(super) struct ContentWriter<'p, 'env> {
    store: &'env dyn ObjectWrite,
    pool: &'p Pool<'env, Error>,
    clones: Option<&'env Clones<'env>>,
    ctx: &'env Ctx,
    xattrs: HashMap<Checksum, Box<[u8]>>,
    xattrs_bytes: u64,
    /// Xattrs of files that are elsewhere, where the stream may hold such.
    elsewhere: Option<HashMap<FileId, Checksum>>,
    /// The object whose file has to come next, and its xattrs.
    next: Option<(FileId, Xattrs)>,
    /// Small files that wait for more, with their bytes.
    batch: Vec<(FileId, u64, LoadedFile)>,
    batch_bytes: u64,
    small: &'env SmallFiles,
}

impl<'p, 'env> ContentWriter<'p, 'env> {
    pub(super) fn new(
        store: &'env dyn ObjectWrite,
        pool: &'p Pool<'env, Error>,
        small: &'env SmallFiles,
        clones: Option<&'env Clones<'env>>,
        ctx: &'env Ctx,
    ) -> Self {
        Self {
            store,
            pool,
            clones,
            ctx,
            xattrs: HashMap::new(),
            xattrs_bytes: 0,
            elsewhere: None,
            next: None,
            batch: Vec::new(),
            batch_bytes: 0,
            small,
        }
    }

    /// Lets xattrs come whose file does not, and keeps them.
    pub(super) fn keep_xattrs(&mut self) {
        self.elsewhere = Some(HashMap::new());
    }

    /// Keeps a set of xattrs that lies under its checksum.
    pub(super) fn xattrs<R: Read>(
        &mut self,
        checksum: Checksum,
        entry: &TarEntry,
        reader: &mut Reader<R>,
    ) -> Result<()> {
        let bytes = read_regular(entry, reader, MAX_XATTRS_BYTES)?;
        let actual = Checksum::of(&bytes);
        if actual != checksum {
            let expected = ObjectName::new(checksum, ostree_format::ObjectType::FileXattrs);
            return Err(store::Error::Mismatch { expected, actual }.into());
        }
        parse_xattrs(entry, &bytes)?;
        self.keep(checksum, bytes, entry)
    }

    fn keep(&mut self, checksum: Checksum, bytes: Vec<u8>, entry: &TarEntry) -> Result<()> {
        let cost = bytes.len() as u64 + XATTRS_COST_BYTES;
        if self.xattrs.insert(checksum, bytes.into()).is_none() {
            self.xattrs_bytes += cost;
        }
        if self.xattrs_bytes > MAX_ALL_XATTRS_BYTES {
            return Err(entry.error(EntryErrorKind::TooLarge(MAX_ALL_XATTRS_BYTES)));
        }
        Ok(())
    }

    /// Notes the xattrs of the content object that has to come next.
    pub(super) fn xattrs_of<R: Read>(
        &mut self,
        id: FileId,
        entry: &TarEntry,
        reader: &mut Reader<R>,
    ) -> Result<()> {
        let wrong = |why| entry.error(EntryErrorKind::Xattrs(why));
        if let Some((other, xattrs)) = self.next.take() {
            let Some(elsewhere) = &mut self.elsewhere else {
                return Err(wrong("those before belong to no file"));
            };
            let bytes = xattrs.to_bytes();
            let checksum = Checksum::of(&bytes);
            elsewhere.insert(other, checksum);
            if !self.xattrs.contains_key(&checksum) {
                self.keep(checksum, bytes, entry)?;
            }
        }
        let xattrs = if entry.kind == EntryKind::Link {
            let checksum =
                EntryRole::xattrs_target(entry).ok_or_else(|| wrong("the link leads elsewhere"))?;
            let bytes = self.xattrs.get(&checksum).ok_or_else(|| wrong("they did not come before"))?;
            parse_xattrs(entry, bytes)?
        } else {
            parse_xattrs(entry, &read_regular(entry, reader, MAX_XATTRS_BYTES)?)?
        };
        self.next = Some((id, xattrs));
        Ok(())
    }

    /// Writes a content object and verifies its id, now or in the pool.
    pub(super) fn file<R: Read>(
        &mut self,
        id: FileId,
        entry: &TarEntry,
        reader: &mut Reader<R>,
    ) -> Result<()> {
        let xattrs = match self.next.take() {
            Some((owner, xattrs)) if owner == id => xattrs,
            Some(_) => return Err(entry.error(EntryErrorKind::Xattrs("those before are another file's"))),
            None => return Err(entry.error(EntryErrorKind::Xattrs("none before the file"))),
        };
        let kind = match entry.kind {
            EntryKind::Regular => FileKind::Regular,
            EntryKind::Symlink => match std::str::from_utf8(&entry.link) {
                Ok(target) if !target.is_empty() => FileKind::Symlink(target.into()),
                _ => return Err(entry.error(EntryErrorKind::NotUtf8("link target"))),
            },
            other => return Err(entry.error(EntryErrorKind::Type(other.as_str()))),
        };
        let header =
            FileHeader { uid: entry.uid, gid: entry.gid, permissions: entry.permissions, kind, xattrs };
        let (ctx, size) = (self.ctx, entry.size);
        if let Some(clone) = reader.clone_in(self.clones) {
            return self.cloned(id, header, size, clone);
        }
        if size <= SMALL_BYTES {
            let file = LoadedFile::read(header, size, &mut reader.content());
            // What went wrong with the stream says more than what is missing of the file.
            reader.take_failure().map_or(Ok(()), Err)?;
            let file = file?;
            let held = file.held_bytes();
            self.batch.push((id, held, file));
            self.batch_bytes += held;
            let is_full = self.batch.len() == BATCH_FILES || self.batch_bytes >= BATCH_BYTES;
            return if is_full { self.submit() } else { Ok(()) };
        }
        let mut content = Cancellable::new(reader.content(), &ctx.cancel);
        let written = write_file(self.store, id, &header, size, &mut content);
        ctx.cancel.check()?;
        // What went wrong with the stream says more than what the store saw of it.
        reader.take_failure().map_or(written, Err)?;
        ctx.object_done(size);
        Ok(())
    }

    /// Writes an object of a file that shares its blocks, in the pool.
    fn cloned(&self, id: FileId, header: FileHeader, len: u64, clone: ClonedContent) -> Result<()> {
        let (store, ctx) = (self.store, self.ctx);
        self.pool.submit(CLONE_COST_BYTES, move || {
            ctx.cancel.check()?;
            let written = match store.contains(&id.into())? {
                true => Ok(id),
                false => store.write_cloned(&header, len, clone, &ctx.cancel),
            };
            ctx.cancel.check()?;
            expect_id(id, written?)?;
            ctx.object_done(len);
            Ok(())
        })
    }

    /// Hands the files that wait to the pool.
    fn submit(&mut self) -> Result<()> {
        let (batch, bytes) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.batch_bytes));
        let (store, small, ctx) = (self.store, self.small, self.ctx);
        self.pool.submit(bytes + JOB_COST_BYTES, move || {
            small.with(|streams| {
                batch.into_iter().try_for_each(|(id, held, file)| {
                    let finished = streams.push(id, file, held);
                    finished.map_or(Ok(()), |finished| write_hashed(finished, store, ctx))
                })
            })
        })
    }

    /// After the last entry.
    pub(super) fn finish(mut self) -> Result<XattrsOf> {
        self.submit()?;
        let (store, ctx) = (self.store, self.ctx);
        self.small.finish(self.pool, move |finished| write_hashed(finished, store, ctx))?;
        self.pool.wait()?;
        match (self.next, self.elsewhere) {
            (None, None) => Ok(XattrsOf::default()),
            (next, Some(of)) => XattrsOf::new(self.xattrs, of, next),
            (Some((id, _)), None) => Err(Error::Content(super::ContentErrorKind::Incomplete(id.into(), 1))),
        }
    }
}

/// Writes a small content object that was hashed, if it has the right id.
fn write_hashed(finished: Finished<FileId, LoadedFile>, store: &dyn ObjectWrite, ctx: &Ctx) -> Result<()> {
    ctx.cancel.check()?;
    let (id, file) = HashedFile::of(finished)?;
    file.check(&id)?;
    store.write_hashed(&file)?;
    ctx.object_done(file.content().len() as u64);
    Ok(())
}

/// Writes a content object unless it is there, and verifies its id.
fn write_file(
    store: &dyn ObjectWrite,
    id: FileId,
    header: &FileHeader,
    len: u64,
    content: &mut dyn Read,
) -> Result<()> {
    if store.contains(&id.into())? {
        return Ok(());
    }
    expect_id(id, store.write_file(header, len, content)?)
}

fn expect_id(id: FileId, actual: FileId) -> Result<()> {
    match actual == id {
        true => Ok(()),
        false => Err(store::Error::Mismatch { expected: id.into(), actual: *actual.checksum() }.into()),
    }
}

fn parse_xattrs(entry: &TarEntry, bytes: &[u8]) -> Result<Xattrs> {
    Xattrs::parse(bytes).map_err(|error| entry.error(EntryErrorKind::Parse(error)))
}

/// Reads a metadata object and verifies its checksum, where the name has one.
pub(super) fn read_meta<R: Read>(
    name: &ObjectName,
    entry: &TarEntry,
    reader: &mut Reader<R>,
) -> Result<Vec<u8>> {
    let bytes = read_regular(entry, reader, MAX_METADATA_BYTES)?;
    if name.kind != ostree_format::ObjectType::CommitMeta {
        let actual = Checksum::of(&bytes);
        if actual != name.checksum {
            return Err(store::Error::Mismatch { expected: *name, actual }.into());
        }
    }
    Ok(bytes)
}

fn read_regular<R: Read>(entry: &TarEntry, reader: &mut Reader<R>, max_bytes: u64) -> Result<Vec<u8>> {
    match entry.kind {
        EntryKind::Regular => read_content(entry, reader, max_bytes),
        other => Err(entry.error(EntryErrorKind::Type(other.as_str()))),
    }
}

fn read_content<R: Read>(entry: &TarEntry, reader: &mut Reader<R>, max_bytes: u64) -> Result<Vec<u8>> {
    if entry.size > max_bytes {
        return Err(entry.error(EntryErrorKind::TooLarge(max_bytes)));
    }
    // Grows as bytes arrive: a header alone shall not make us allocate all of it.
    let mut bytes = Vec::with_capacity(entry.size.min(SMALL_BYTES) as usize);
    let read = reader.content().read_to_end(&mut bytes);
    match (reader.take_failure(), read) {
        (Some(failure), _) => Err(failure),
        (None, Ok(_)) => Ok(bytes),
        (None, Err(source)) => Err(Error::Read { offset: reader.offset(), source }),
    }
}
