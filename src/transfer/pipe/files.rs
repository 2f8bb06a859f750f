//! Content objects as they come: small ones are hashed and written by a pool of threads, large ones on the way.

use std::io::{self, Cursor, Read};

use ostree_format::{FileHeader, FileId, Finished};

use super::frame::{self, Tag};
use super::{Error, Result};
use crate::base::io::Cancellable;
use crate::base::{Ctx, Pool, SharedStreams};
use crate::store::{Content, FileObject, HashedFile, LoadedFile, SMALL_FILE_BYTES, Sizes, Txn};

/// The bytes of small objects that one job of a thread writes.
const BATCH_BYTES: u64 = 1 << 20;
/// The small objects that one job of a thread writes.
const BATCH_FILES: usize = 64;
/// The bytes of small objects that may wait for threads.
pub(super) const WAITING_BYTES: u64 = 16 << 20;
/// The memory that a small object takes besides its content.
const FILE_BYTES: u64 = 512;

/// Small objects that are being hashed.
pub(super) type SmallFiles = SharedStreams<FileId, LoadedFile>;

/// Where content objects go.
pub(super) struct Files<'env, 'p> {
    pub(super) txn: &'env dyn Txn,
    pub(super) small: &'env SmallFiles,
    pub(super) pool: &'p Pool<'env, Error>,
    pub(super) ctx: &'env Ctx,
    batch: Vec<(FileId, LoadedFile, u64)>,
    batch_bytes: u64,
    sizes: Sizes,
}

impl<'env, 'p> Files<'env, 'p> {
    pub(super) fn new(
        txn: &'env dyn Txn,
        small: &'env SmallFiles,
        pool: &'p Pool<'env, Error>,
        ctx: &'env Ctx,
    ) -> Self {
        Self { txn, small, pool, ctx, batch: Vec::new(), batch_bytes: 0, sizes: Sizes::default() }
    }

    /// Takes note of the sizes that a commit gives.
    pub(super) fn note(&mut self, commit: &[u8]) {
        self.sizes.note(commit);
    }

    /// Takes an object whose content follows in `frames`.
    pub(super) fn take(
        &mut self,
        id: FileId,
        (len, header): (u64, FileHeader),
        frames: &mut dyn Read,
    ) -> Result<()> {
        let announced = FileObject { header, len, content: Content::Empty };
        self.sizes.check(&id, &announced)?;
        let header = announced.header;
        let mut content = Chunks { frames, left: len, chunk: Cursor::default(), failed: None };
        let taken = match len <= SMALL_FILE_BYTES {
            true => LoadedFile::read(header, len, &mut content).map(Some),
            false => {
                let mut content = Cancellable::new(&mut content, &self.ctx.cancel);
                self.txn.write_file_as(&id, &header, len, &mut content).map(|()| None)
            }
        };
        match (content.failed, taken) {
            (Some(failed), _) => Err(failed),
            (None, Err(error)) => Err(error.into()),
            (None, Ok(Some(file))) => self.push(id, file),
            (None, Ok(None)) => {
                self.ctx.object_done(len);
                Ok(())
            }
        }
    }

    fn push(&mut self, id: FileId, file: LoadedFile) -> Result<()> {
        let held = file.held_bytes();
        self.batch.push((id, file, held));
        self.batch_bytes += held + FILE_BYTES;
        if self.batch.len() < BATCH_FILES && self.batch_bytes < BATCH_BYTES {
            return Ok(());
        }
        self.submit()
    }

    fn submit(&mut self) -> Result<()> {
        let (batch, bytes) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.batch_bytes));
        let (txn, small, ctx) = (self.txn, self.small, self.ctx);
        self.pool.submit(bytes, move || {
            small.with(|streams| {
                batch.into_iter().try_for_each(|(id, file, held)| {
                    streams.push(id, file, held).map_or(Ok(()), |finished| write(txn, finished, ctx))
                })
            })
        })
    }

    /// Waits until everything that was taken is written.
    pub(super) fn finish(mut self) -> Result<()> {
        self.submit()?;
        let (txn, ctx) = (self.txn, self.ctx);
        self.small.finish(self.pool, move |finished| write(txn, finished, ctx))?;
        self.pool.wait()
    }
}

/// Writes a small object that was hashed.
fn write(txn: &dyn Txn, finished: Finished<FileId, LoadedFile>, ctx: &Ctx) -> Result<()> {
    ctx.cancel.check()?;
    let (id, file) = HashedFile::of(finished)?;
    file.check(&id)?;
    txn.write_hashed(&file)?;
    ctx.object_done(file.content().len() as u64);
    Ok(())
}

/// The content of a file, in frames.
struct Chunks<'f> {
    frames: &'f mut dyn Read,
    /// The bytes that are still to come.
    left: u64,
    chunk: Cursor<Vec<u8>>,
    /// What went wrong with the stream, apart from what is wrong with the file.
    failed: Option<Error>,
}

impl Chunks<'_> {
    fn next(&mut self) -> Result<Vec<u8>> {
        let bytes = frame::read(self.frames)?.expect(Tag::Chunk, "it does not send the content of a file")?;
        match bytes.len() as u64 {
            0 => Err(Error::Protocol("it sends content that is none")),
            n if n > self.left => Err(Error::Protocol("it sends more content than it announced")),
            n => {
                self.left -= n;
                Ok(bytes)
            }
        }
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.chunk.read(buf)?;
        if n > 0 || self.left == 0 || buf.is_empty() {
            return Ok(n);
        }
        match self.next() {
            Ok(bytes) => self.chunk = Cursor::new(bytes),
            Err(error) => {
                self.failed = Some(error);
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        self.chunk.read(buf)
    }
}
