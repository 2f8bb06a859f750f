//! Makes a new tar stream out of a delta and the old files that it refers to.
//!
//! ```text
//! records ─┬─ Data ─────────────────────────────────────► out
//!          └─ Open, Seek ► old file ─ Copy, AddData, Patch ► out
//! ```
//! Nothing is verified here: what comes out counts only once it has the diffid that was promised. Memory: the window
//! of the delta's own stream, and for a Patch the old file and at most as much as it makes.

use std::io::{self, BufReader, Read, Write};

use super::read::{Record, RecordData, RecordReader};
use super::record::{MAX_PATCH_SOURCE_BYTES, MAX_PATCH_WINDOW_LOG};
use crate::base::Ctx;
use crate::container::image::{DeltaErrorKind as Kind, Error, Result};

const BUFFER_BYTES: usize = 128 * 1024;

/// The files of an old tree, by their paths.
pub trait OldFiles {
    /// Opens the regular file at a clean, relative path; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Io`] and what else keeps it from being read.
    fn open(&self, path: &[u8]) -> Result<Option<Box<dyn OldFile + '_>>>;
}

/// The content of an old file, read at any place.
pub trait OldFile {
    /// The size of the content in bytes.
    fn size(&self) -> u64;

    /// Reads some bytes from `offset` on; none at the end.
    ///
    /// # Errors
    /// What the file system says.
    fn read_at(&mut self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// Bounds for a delta that nobody vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApplyLimits {
    /// The most bytes of the new stream, of the delta's records, and of old files that are read for Patches.
    pub max_bytes: u64,
}

impl Default for ApplyLimits {
    /// 64 GiB.
    fn default() -> Self {
        Self { max_bytes: 1 << 36 }
    }
}

/// Writes the new tar stream to `out`; gives its size in bytes. Whether it is the right stream is known only once its
/// diffid was compared with the one that was promised.
///
/// # Errors
/// [`Error::Delta`] for a delta that is damaged, asks for what the old tree does not have, or exceeds `limits`;
/// [`Error::Io`] for `delta`, old files and `out`; [`Error::Cancelled`].
pub fn apply(
    delta: impl Read,
    old: &dyn OldFiles,
    out: &mut dyn Write,
    limits: &ApplyLimits,
    ctx: &Ctx,
) -> Result<u64> {
    let records = RecordReader::new(delta, limits.max_bytes)?;
    let buffers = [vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]];
    let mut applier = Applier { records, out, written: 0, loaded: 0, limits: *limits, buffers };
    let mut source = None;
    while let Some(record) = applier.records.next()? {
        ctx.cancel.check()?;
        applier.record(record, old, &mut source)?;
    }
    Ok(applier.written)
}

struct Source<'o> {
    path: Vec<u8>,
    file: Box<dyn OldFile + 'o>,
    position: u64,
}

struct Applier<'a, R: Read> {
    records: RecordReader<R>,
    out: &'a mut dyn Write,
    written: u64,
    /// Bytes of old files that were read for Patches.
    loaded: u64,
    limits: ApplyLimits,
    buffers: [Vec<u8>; 2],
}

impl<R: Read> Applier<'_, R> {
    fn record<'o>(
        &mut self,
        record: Record,
        old: &'o dyn OldFiles,
        source: &mut Option<Source<'o>>,
    ) -> Result<()> {
        let opened = source.as_mut().ok_or_else(|| self.records.error(Kind::NoSource));
        match record {
            Record::Data(_) => self.data(),
            Record::Open(path) => {
                let file = old.open(&path)?.ok_or_else(|| self.records.error(Kind::NoFile(shown(&path))))?;
                *source = Some(Source { path, file, position: 0 });
                Ok(())
            }
            Record::Copy(bytes) => self.copy(opened?, bytes),
            Record::AddData(_) => self.add(opened?),
            Record::Patch(_) => self.patch(opened?),
            Record::Seek(position) => {
                opened?.position = position;
                Ok(())
            }
        }
    }

    fn data(&mut self) -> Result<()> {
        loop {
            let n = self.records.data(&mut self.buffers[0])?;
            if n == 0 {
                return Ok(());
            }
            self.write(n)?;
        }
    }

    fn copy(&mut self, source: &mut Source<'_>, bytes: u64) -> Result<()> {
        let mut left = bytes;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER_BYTES);
            let n = self.read_source(source, want)?;
            self.buffers.swap(0, 1);
            self.write(n)?;
            left -= n as u64;
        }
        Ok(())
    }

    fn add(&mut self, source: &mut Source<'_>) -> Result<()> {
        loop {
            let n = self.records.data(&mut self.buffers[0])?;
            if n == 0 {
                return Ok(());
            }
            let mut done = 0;
            while done < n {
                let got = self.read_source(source, n - done)?;
                let [data, old] = &mut self.buffers;
                for (byte, old) in data[done..done + got].iter_mut().zip(&*old) {
                    *byte = byte.wrapping_add(*old);
                }
                done += got;
            }
            self.write(n)?;
        }
    }

    /// Decompresses the record's frame; the source stands at its end then, as for the other readers.
    fn patch(&mut self, source: &mut Source<'_>) -> Result<()> {
        let dictionary = self.load(source)?;
        let mut failure = None;
        let data = RecordData { records: &mut self.records, failure: &mut failure };
        let mut decoder = zstd::Decoder::with_ref_prefix(BufReader::new(data), &dictionary)
            .map_err(Error::io("decompress", "patch"))?
            .single_frame();
        decoder.window_log_max(MAX_PATCH_WINDOW_LOG).map_err(Error::io("decompress", "patch"))?;
        let mut written = self.written;
        let mut limited = Limited { out: self.out, written: &mut written, limit: self.limits.max_bytes };
        let copied = io::copy(&mut decoder, &mut limited);
        let too_large = written > self.limits.max_bytes;
        drop(decoder);
        self.written = written;
        if let Some(error) = failure {
            return Err(error);
        }
        if too_large {
            return Err(self.too_large());
        }
        match copied {
            Ok(_) => Ok(()),
            // What the output says is no fault of the delta.
            Err(e) if e.raw_os_error().is_some() => Err(Error::io("write", "new stream")(e)),
            Err(e) => Err(self.records.error(Kind::Patch(e.to_string()))),
        }
    }

    /// The whole source.
    fn load(&mut self, source: &mut Source<'_>) -> Result<Vec<u8>> {
        let size = source.file.size();
        self.loaded = self.loaded.saturating_add(size);
        if size > MAX_PATCH_SOURCE_BYTES {
            let what = "the old file of a patch";
            return Err(self.records.error(Kind::TooLarge { what, limit: MAX_PATCH_SOURCE_BYTES }));
        }
        if self.loaded > self.limits.max_bytes {
            let what = "what patches read of old files";
            return Err(self.records.error(Kind::TooLarge { what, limit: self.limits.max_bytes }));
        }
        let mut whole = vec![0; size as usize];
        let mut got = 0;
        while got < whole.len() {
            match source.file.read_at(&mut whole[got..], got as u64) {
                Ok(0) => return Err(self.records.error(Kind::Short(shown(&source.path)))),
                Ok(n) => got += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io("read old file", shown(&source.path))(e)),
            }
        }
        source.position = size;
        Ok(whole)
    }

    /// Reads up to `want` bytes of the source into the second buffer.
    fn read_source(&mut self, source: &mut Source<'_>, want: usize) -> Result<usize> {
        loop {
            match source.file.read_at(&mut self.buffers[1][..want], source.position) {
                Ok(0) => return Err(self.records.error(Kind::Short(shown(&source.path)))),
                Ok(n) => {
                    source.position += n as u64;
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io("read old file", shown(&source.path))(e)),
            }
        }
    }

    /// Writes the first bytes of the first buffer.
    fn write(&mut self, bytes: usize) -> Result<()> {
        self.written += bytes as u64;
        if self.written > self.limits.max_bytes {
            return Err(self.too_large());
        }
        self.out.write_all(&self.buffers[0][..bytes]).map_err(Error::io("write", "new stream"))
    }

    fn too_large(&self) -> Error {
        self.records.error(Kind::TooLarge { what: "the new stream", limit: self.limits.max_bytes })
    }
}

/// Counts what is written, and takes no more than the limit.
struct Limited<'a> {
    out: &'a mut dyn Write,
    written: &'a mut u64,
    limit: u64,
}

impl Write for Limited<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        *self.written += buf.len() as u64;
        if *self.written > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.out.write_all(buf)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
