//! Writes a tar-diff stream, record by record.

use std::io::{self, Write};

use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder;

use super::record::{Op, StreamVersion};

/// Bytes that a Data record holds at most.
const DATA_BYTES: usize = 1024 * 1024;

/// The shortest repetition that is looked for far away. Zstd's 64 makes streams half a percent larger: such a match is
/// taken even where there are better ones nearby.
const FAR_MATCH_BYTES: u32 = 512;

/// From this level on zstd would take 80 MiB for finding what is alike. With half of it streams are two thousandths larger,
/// and made faster.
const HIGH_LEVEL: i32 = 16;
const HIGH_LEVEL_CHAIN_LOG: u32 = 23;
const HIGH_LEVEL_HASH_LOG: u32 = 21;

/// How the records of a stream are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packing {
    /// Zstd's level.
    pub(super) level: i32,
    /// The distance to which the stream may refer back, in bytes, as a power of two.
    pub(super) window_log: u32,
}

/// Writes records of a stream. The bytes of the new tar stream come in order; what is said twice (an old file that is
/// the source already, a position that it has) is not written.
pub(super) struct RecordWriter<'w, W: Write> {
    out: Encoder<'w, W>,
    version: StreamVersion,
    data: Vec<u8>,
    source: Option<Vec<u8>>,
    /// Where the source stands; unknown after a Patch, since readers differ there.
    position: Option<u64>,
}

impl<W: Write> RecordWriter<'_, W> {
    /// Begins a stream.
    pub(super) fn new(mut out: W, version: StreamVersion, packing: Packing) -> io::Result<Self> {
        out.write_all(&version.magic())?;
        let mut encoder = Encoder::new(out, packing.level)?;
        encoder.set_parameter(CParameter::WindowLog(packing.window_log))?;
        encoder.set_parameter(CParameter::EnableLongDistanceMatching(true))?;
        encoder.set_parameter(CParameter::LdmMinMatch(FAR_MATCH_BYTES))?;
        if packing.level >= HIGH_LEVEL {
            encoder.set_parameter(CParameter::ChainLog(HIGH_LEVEL_CHAIN_LOG))?;
            encoder.set_parameter(CParameter::HashLog(HIGH_LEVEL_HASH_LOG))?;
        }
        Ok(Self { out: encoder, version, data: Vec::new(), source: None, position: None })
    }

    /// Adds bytes to the new stream.
    pub(super) fn data(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = bytes.len().min(DATA_BYTES - self.data.len());
            self.data.extend_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            if self.data.len() == DATA_BYTES {
                self.flush_data()?;
            }
        }
        Ok(())
    }

    /// Makes the old file at `path` the source.
    pub(super) fn open(&mut self, path: &[u8]) -> io::Result<()> {
        if self.source.as_deref() != Some(path) {
            self.record(Op::Open, path)?;
            (self.source, self.position) = (Some(path.to_vec()), Some(0));
        }
        Ok(())
    }

    /// Adds `bytes` bytes of the source, from `position` on.
    pub(super) fn copy(&mut self, position: u64, bytes: u64) -> io::Result<()> {
        if bytes > 0 {
            self.seek(position)?;
            self.header(Op::Copy, bytes)?;
            self.position = Some(position + bytes);
        }
        Ok(())
    }

    /// Adds bytes of the source from `position` on, each with a difference added to it.
    pub(super) fn add(&mut self, position: u64, differences: &[u8]) -> io::Result<()> {
        for (number, part) in differences.chunks(DATA_BYTES).enumerate() {
            let start = position + (number * DATA_BYTES) as u64;
            self.seek(start)?;
            self.record(Op::AddData, part)?;
            self.position = Some(start + part.len() as u64);
        }
        Ok(())
    }

    /// Adds what a frame of zstd holds whose dictionary is the source. There are such records in version 2 only.
    pub(super) fn patch(&mut self, frame: &[u8]) -> io::Result<()> {
        if self.version == StreamVersion::V1 {
            let why = "a stream of version 1 has no records with frames";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        self.record(Op::Patch, frame)?;
        self.position = None;
        Ok(())
    }

    /// Ends the stream.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.flush_data()?;
        self.out.finish()
    }

    fn seek(&mut self, position: u64) -> io::Result<()> {
        if self.position != Some(position) {
            self.header(Op::Seek, position)?;
        }
        Ok(())
    }

    fn flush_data(&mut self) -> io::Result<()> {
        if !self.data.is_empty() {
            write_header(&mut self.out, Op::Data, self.data.len() as u64)?;
            self.out.write_all(&self.data)?;
            self.data.clear();
        }
        Ok(())
    }

    fn header(&mut self, op: Op, size: u64) -> io::Result<()> {
        self.flush_data()?;
        write_header(&mut self.out, op, size)
    }

    fn record(&mut self, op: Op, data: &[u8]) -> io::Result<()> {
        self.header(op, data.len() as u64)?;
        self.out.write_all(data)
    }
}

/// Writes what stands before the data of a record.
fn write_header(out: &mut impl Write, op: Op, mut size: u64) -> io::Result<()> {
    let mut header = vec![op.code()];
    while size >= 0x80 {
        header.push(size as u8 | 0x80);
        size >>= 7;
    }
    header.push(size as u8);
    out.write_all(&header)
}
