//! Decompresses streams that may be compressed; their first bytes tell.
//!
//! ```text
//! gzip    1f 8b                      zstd    28 b5 2f fd, and 50…5f 2a 4d 18: a frame to be skipped
//! xz      fd "7zXZ" 00               lz4     04 22 4d 18, and 02 21 4c 18 of old versions
//! bzip2   "BZh" 1…9, then 31 41 59 26 53 59, or 17 72 45 38 50 90 if nothing is in it
//! ```
//! Several streams one after another are one, and what was compressed twice is decompressed twice. Memory: at most
//! 128 MiB for zstd, [`MAX_XZ_BYTES`] for xz, 16 MiB for the others. Source: RFC 1952, RFC 8878, the .xz file format
//! 1.2.1, lz4_Frame_format.md 1.6.

use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};

use super::debug_fields;
use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lz4_flex::frame::FrameDecoder;
use lzma_rust2::XzReader;

/// The memory that decoding xz may take, in bytes: `xz -9` asks for 65 MiB.
pub const MAX_XZ_BYTES: u32 = 100 * 1024 * 1024;
/// First bytes that are looked at: a header block of tar.
pub const HEAD_BYTES: usize = 512;
/// The number of times that a file may be compressed, one compression over the other.
const MAX_NESTED: usize = 4;

/// The ways in which a stream can be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    Lz4,
}

/// A stream that is not compressed, or no longer.
pub struct Decompressed<'a> {
    /// The first bytes of the stream: at most [`HEAD_BYTES`], fewer if there are fewer.
    pub head: Vec<u8>,
    /// The whole stream, from its start. Reading fails for damaged streams, and for those that end too early (of lz4,
    /// only within a block).
    pub stream: Box<dyn Read + 'a>,
    /// Whether it was compressed.
    pub was_compressed: bool,
}

debug_fields!(Decompressed<'a> { was_compressed });

/// Decompresses `input`, if it is compressed in a way that is known.
///
/// # Errors
/// What reading says; [`ErrorKind::InvalidData`] if its start is damaged.
pub fn decompress<'a>(input: Box<dyn Read + 'a>) -> io::Result<Decompressed<'a>> {
    let mut out = peek(input, false)?;
    for _ in 0..MAX_NESTED {
        let Some(method) = Method::of(&out.head) else { break };
        out = peek(method.decoder(out.stream)?, true)?;
    }
    Ok(out)
}

/// Decompresses a stream that is known to be xz.
///
/// # Errors
/// [`ErrorKind::InvalidData`] if its start is damaged.
pub fn xz<'a>(input: Box<dyn Read + 'a>) -> io::Result<Box<dyn Read + 'a>> {
    Method::Xz.decoder(input)
}

/// Decompresses a stream that is known to be bzip2.
///
/// # Errors
/// [`ErrorKind::InvalidData`] if its start is damaged.
pub fn bzip2<'a>(input: Box<dyn Read + 'a>) -> io::Result<Box<dyn Read + 'a>> {
    Method::Bzip2.decoder(input)
}

/// The name of a format that is not read here, with advice, if a file that begins with `head` has it.
pub fn foreign(head: &[u8]) -> Option<&'static str> {
    const FOREIGN: [(&[u8], &str); 12] = [
        (b"PK\x03\x04", "a zip archive: unpack it first"),
        (b"PK\x05\x06", "a zip archive: unpack it first"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it first"),
        (b"Rar!\x1a\x07", "a RAR archive: unpack it first"),
        (b"!<arch>\n", "an ar archive, such as a .deb: unpack it first"),
        (b"\xed\xab\xee\xdb", "an RPM package: unpack it first, with rpm2cpio"),
        (b"hsqs", "a squashfs image: unpack it first, with unsquashfs"),
        (b"\x1f\x9d", "compressed by compress: decompress it first, with gzip -dc"),
        (b"LZIP\x01", "compressed by lzip: decompress it first, with lzip -dc"),
        (b"\x89LZO\0", "compressed by lzop: decompress it first, with lzop -dc"),
        (b"LRZI", "compressed by lrzip: decompress it first, with lrzip -d"),
        (b"\x5d\0\0", "compressed by lzma: decompress it first, with xz -dc"),
    ];
    FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, what)| *what)
}

impl Method {
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // pzstd begins with a frame to be skipped.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            // A file in a tar archive may be called "BZh1".
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Some(Self::Bzip2),
            [0x04, 0x22, 0x4d, 0x18, ..] | [0x02, 0x21, 0x4c, 0x18, ..] => Some(Self::Lz4),
            _ => None,
        }
    }

    fn decoder<'a>(self, input: Box<dyn Read + 'a>) -> io::Result<Box<dyn Read + 'a>> {
        let inner: Box<dyn Read + 'a> = match self {
            Self::Gzip => Box::new(Members::<GzDecoder<_>>::new(BufReader::new(input))),
            Self::Zstd => Box::new(zstd::Decoder::new(input)?),
            Self::Xz => Box::new(XzReader::new_mem_limit(input, true, MAX_XZ_BYTES / 1024)),
            Self::Bzip2 => Box::new(Members::<BzDecoder<_>>::new(BufReader::new(input))),
            Self::Lz4 => Box::new(Lz4(FrameDecoder::new(BufReader::new(input)))),
        };
        Ok(Box::new(Decoder { method: self, inner: Some(inner) }))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Lz4 => "lz4",
        })
    }
}

/// A decoder whose errors name it. It is not asked again after one: not every decoder bears that.
struct Decoder<'a> {
    method: Method,
    inner: Option<Box<dyn Read + 'a>>,
}

impl Read for Decoder<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let method = self.method;
        let Some(inner) = &mut self.inner else {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("the {method} stream is damaged")));
        };
        let error = match inner.read(buf) {
            Err(error) if error.kind() != ErrorKind::Interrupted => error,
            result => return result,
        };
        self.inner = None;
        Err(match error.kind() {
            // The file it comes from.
            _ if error.raw_os_error().is_some() => error,
            ErrorKind::OutOfMemory => {
                let limit = MAX_XZ_BYTES / (1024 * 1024);
                let why = format!(
                    "{method}: it takes more than {limit} MiB; decompress it first, with {method} -dc"
                );
                io::Error::new(ErrorKind::OutOfMemory, why)
            }
            kind => io::Error::new(kind, format!("{method}: {error}")),
        })
    }
}

/// Members of gzip or bzip2, one after another; what else stands behind them is passed over, as by these programs
/// themselves and libarchive.
struct Members<D>(Option<D>);

/// The decoder of one member.
trait Member: Read {
    /// Where it reads from.
    type Input: BufRead;
    /// The first byte of every member.
    const FIRST: u8;

    fn new(input: Self::Input) -> Self;
    fn input(&mut self) -> &mut Self::Input;
    fn into_input(self) -> Self::Input;
}

impl<R: BufRead> Member for GzDecoder<R> {
    type Input = R;
    const FIRST: u8 = 0x1f;

    fn new(input: R) -> Self {
        Self::new(input)
    }

    fn input(&mut self) -> &mut R {
        self.get_mut()
    }

    fn into_input(self) -> R {
        self.into_inner()
    }
}

impl<R: BufRead> Member for BzDecoder<R> {
    type Input = R;
    const FIRST: u8 = b'B';

    fn new(input: R) -> Self {
        Self::new(input)
    }

    fn input(&mut self) -> &mut R {
        self.get_mut()
    }

    fn into_input(self) -> R {
        self.into_inner()
    }
}

impl<D: Member> Members<D> {
    fn new(input: D::Input) -> Self {
        Self(Some(D::new(input)))
    }
}

impl<D: Member> Read for Members<D> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let n = member.read(buf)?;
            if n > 0 || buf.is_empty() {
                return Ok(n);
            }
            let is_end = member.input().fill_buf()?.first() != Some(&D::FIRST);
            self.0 = self.0.take().filter(|_| !is_end).map(|member| D::new(member.into_input()));
        }
        Ok(0)
    }
}

/// Frames of lz4, one after another. One that is cut off between two blocks ends there without an error: what is in
/// it has to tell that it is not whole, as tar does.
struct Lz4<R: Read>(FrameDecoder<BufReader<R>>);

impl<R: Read> Read for Lz4<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.0.read(buf)?;
            if n > 0 || buf.is_empty() || self.0.get_mut().fill_buf()?.is_empty() {
                return Ok(n);
            }
        }
    }
}

/// Looks at the first bytes.
fn peek<'a>(mut input: Box<dyn Read + 'a>, was_compressed: bool) -> io::Result<Decompressed<'a>> {
    let mut head = Vec::new();
    (&mut input).take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(Decompressed { stream: Box::new(Cursor::new(head.clone()).chain(input)), head, was_compressed })
}
