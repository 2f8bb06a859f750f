//! An archive as a file that one is handed: tar or cpio, plain, gzip or zstd; its first bytes tell.

use std::io::{self, Cursor, Read};

use flate2::read::MultiGzDecoder;

use super::cpio::CpioReader;
use super::entry::Entry;
use super::error::{Error, FormatErrorKind, Result};
use super::reader::{EndMarker, Reader};

/// Reads the entries of an archive.
pub(super) enum Archive<'a> {
    Tar(Reader<Box<dyn Read + 'a>>),
    Cpio(CpioReader<Box<dyn Read + 'a>>, Option<Error>),
    Empty,
}

impl<'a> Archive<'a> {
    /// Looks at the first bytes of `input`.
    pub(super) fn open(input: &'a mut dyn Read) -> Result<Self> {
        let (head, input) = peek(Box::new(input))?;
        let unsupported = |what| Err(Error::format(0, FormatErrorKind::Unsupported(what)));
        let (head, input) = match &head[..] {
            [0x1f, 0x8b, ..] => peek(Box::new(MultiGzDecoder::new(input)))?,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                let decoder =
                    zstd::Decoder::new(input).map_err(|source| Error::Read { offset: 0, source })?;
                peek(Box::new(decoder))?
            }
            [0xfd, b'7', b'z', b'X', b'Z', ..] => return unsupported("xz compression"),
            [b'B', b'Z', b'h', ..] => return unsupported("bzip2 compression"),
            _ => (head, input),
        };
        Ok(match &head[..] {
            [] => Self::Empty,
            b"070701" | b"070702" | b"070707" => Self::Cpio(CpioReader::new(input), None),
            _ => Self::Tar(Reader::new(input)),
        })
    }

    /// A tar stream whose end some digest vouches for.
    pub(super) fn of_tar(input: &'a mut dyn Read) -> Self {
        Self::Tar(Reader::with_end(Box::new(input), EndMarker::Optional))
    }

    /// The next entry; skips what is left of the one before.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>> {
        match self {
            Self::Tar(reader) => reader.next_entry(),
            Self::Cpio(reader, _) => reader.next_entry(),
            Self::Empty => Ok(None),
        }
    }

    /// Why reading the content failed.
    pub(super) fn take_failure(&mut self) -> Option<Error> {
        match self {
            Self::Tar(reader) => reader.take_failure(),
            Self::Cpio(_, failure) => failure.take(),
            Self::Empty => None,
        }
    }
}

/// The content of the current entry.
impl Read for Archive<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tar(reader) => reader.content().read(buf),
            Self::Cpio(reader, failure) => reader.read_content(buf).map_err(|error| {
                let text = io::Error::other(error.to_string());
                *failure = Some(error);
                text
            }),
            Self::Empty => Ok(0),
        }
    }
}

/// The first six bytes, or less if there are less, and a stream that still has them.
fn peek<'a>(mut input: Box<dyn Read + 'a>) -> Result<(Vec<u8>, Box<dyn Read + 'a>)> {
    let mut head = Vec::new();
    (&mut input)
        .take(6)
        .read_to_end(&mut head)
        .map_err(|source| Error::Read { offset: head.len() as u64, source })?;
    Ok((head.clone(), Box::new(Cursor::new(head).chain(input))))
}
