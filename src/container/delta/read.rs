//! Reads the records of a tar-diff stream, of which nothing is known but its first bytes.

use std::io::{self, BufRead, BufReader, Read};

use super::record::{
    MAGIC_BYTES, MAX_ADD_BYTES, MAX_PATH_BYTES, MAX_STREAM_WINDOW_LOG, Op, StreamVersion, clean_path,
};
use crate::base::WithCauses;
use crate::container::image::{DeltaErrorKind as Kind, Error, Result};

const BUFFER_BYTES: usize = 128 * 1024;

/// A record without its data, which is read by [`RecordReader::data`] and [`RecordReader::skip`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Data(u64),
    /// The clean path.
    Open(Vec<u8>),
    Copy(u64),
    AddData(u64),
    Seek(u64),
    Patch(u64),
}

/// Reads records from a stream.
pub(super) struct RecordReader<R: Read> {
    input: BufReader<Box<zstd::Decoder<'static, BufReader<R>>>>,
    version: StreamVersion,
    /// Bytes of records that were read.
    offset: u64,
    /// Bytes that the current record's data still has.
    left: u64,
    /// The most bytes of records that are read.
    limit: u64,
}

impl<R: Read> RecordReader<R> {
    /// Reads the first bytes of `delta`. Of its records at most `limit` bytes are read.
    pub(super) fn new(delta: R, limit: u64) -> Result<Self> {
        let mut delta = BufReader::with_capacity(BUFFER_BYTES, delta);
        let mut magic = [0; MAGIC_BYTES];
        let version = match delta.read_exact(&mut magic) {
            Ok(()) => StreamVersion::of(magic),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(e) => return Err(Error::io("read", "delta")(e)),
        };
        let version = version.ok_or(Error::Delta { offset: 0, why: Kind::NoDelta })?;
        let mut decoder = zstd::Decoder::with_buffer(delta).map_err(Error::io("read", "delta"))?;
        decoder.window_log_max(MAX_STREAM_WINDOW_LOG).map_err(Error::io("read", "delta"))?;
        let input = BufReader::with_capacity(BUFFER_BYTES, Box::new(decoder));
        Ok(Self { input, version, offset: 0, left: 0, limit })
    }

    /// An error at the place that was reached.
    pub(super) fn error(&self, why: Kind) -> Error {
        Error::Delta { offset: self.offset, why }
    }

    /// The next record; what is left of the data of the one before is skipped. `None` at the end of the stream.
    pub(super) fn next(&mut self) -> Result<Option<Record>> {
        self.skip()?;
        let Some(code) = self.byte()? else { return Ok(None) };
        let op = Op::of(code).ok_or_else(|| self.error(Kind::Op(code)))?;
        let size = self.size()?;
        if !matches!(op, Op::Copy | Op::Seek) {
            self.left = size;
        }
        let too_large = |what, limit| Kind::TooLarge { what, limit };
        Ok(Some(match op {
            Op::Data => Record::Data(size),
            Op::Open if size > MAX_PATH_BYTES => {
                return Err(self.error(too_large("a path", MAX_PATH_BYTES)));
            }
            Op::Open => self.path(size)?,
            Op::Copy => Record::Copy(size),
            Op::AddData if size > MAX_ADD_BYTES => {
                return Err(self.error(too_large("a record with differences", MAX_ADD_BYTES)));
            }
            Op::AddData => Record::AddData(size),
            Op::Seek => Record::Seek(size),
            Op::Patch if self.version == StreamVersion::V1 => return Err(self.error(Kind::Op(code))),
            Op::Patch => Record::Patch(size),
        }))
    }

    /// Reads some of the current record's data; nothing at its end.
    pub(super) fn data(&mut self, buf: &mut [u8]) -> Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        if want == 0 {
            return Ok(0);
        }
        match self.read(&mut buf[..want])? {
            0 => Err(self.error(Kind::Truncated)),
            n => {
                self.left -= n as u64;
                Ok(n)
            }
        }
    }

    /// Skips what is left of the current record's data.
    pub(super) fn skip(&mut self) -> Result<()> {
        while self.left > 0 {
            let buffered = match self.input.fill_buf() {
                Ok([]) => return Err(self.error(Kind::Truncated)),
                Ok(buffered) => buffered.len(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Error::io("read", "delta")(e)),
            };
            let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffered);
            self.input.consume(n);
            self.count(n)?;
            self.left -= n as u64;
        }
        Ok(())
    }

    fn path(&mut self, size: u64) -> Result<Record> {
        let mut path = vec![0; size as usize];
        let mut got = 0;
        while got < path.len() {
            got += self.data(&mut path[got..])?;
        }
        let clean = clean_path(&path);
        let said = || Kind::Path(String::from_utf8_lossy(&path).into_owned());
        clean.map(Record::Open).ok_or_else(|| self.error(said()))
    }

    /// A number of seven bits for each byte, the lowest first.
    fn size(&mut self) -> Result<u64> {
        let mut size = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?.ok_or_else(|| self.error(Kind::Truncated))?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            size |= bits << shift;
            if byte < 0x80 {
                return Ok(size);
            }
        }
        Err(self.error(Kind::Number))
    }

    fn byte(&mut self) -> Result<Option<u8>> {
        let mut byte = [0];
        Ok((self.read(&mut byte)? > 0).then_some(byte[0]))
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        loop {
            match self.input.read(buf) {
                Ok(n) => return self.count(n).map(|()| n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io("read", "delta")(e)),
            }
        }
    }

    fn count(&mut self, n: usize) -> Result<()> {
        self.offset += n as u64;
        match self.offset > self.limit {
            true => Err(self.error(Kind::TooLarge { what: "the stream of records", limit: self.limit })),
            false => Ok(()),
        }
    }
}

/// The current record's data as a stream. An error of ours is kept in `failure`.
pub(super) struct RecordData<'a, R: Read> {
    pub(super) records: &'a mut RecordReader<R>,
    pub(super) failure: &'a mut Option<Error>,
}

impl<R: Read> Read for RecordData<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.records.data(buf).map_err(|error| {
            let text = io::Error::new(io::ErrorKind::InvalidData, WithCauses(&error).to_string());
            *self.failure = Some(error);
            text
        })
    }
}
