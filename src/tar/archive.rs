//! An archive as a file that one is handed: tar or cpio, compressed or not; its first bytes tell.

use std::io::{self, Read};

use super::cpio::{self, CpioReader};
use super::entry::Entry;
use super::error::{Error, FormatErrorKind, Result};
use super::header::verify_checksum;
use super::reader::{EndMarker, Reader};
use crate::base::compressed::{self, Decompressed};

/// Reads the entries of an archive.
pub(super) enum Archive<'a> {
    Tar(Reader<Box<dyn Read + 'a>>),
    Cpio(CpioReader<Box<dyn Read + 'a>>, Option<Error>),
    Empty,
}

impl<'a> Archive<'a> {
    /// Looks at the first bytes of `input`.
    pub(super) fn open(input: &'a mut dyn Read) -> Result<Self> {
        let opened = compressed::decompress(Box::new(input));
        let Decompressed { head, stream, .. } = opened.map_err(|source| Error::Read { offset: 0, source })?;
        // A tar header begins with a name, which may be any bytes.
        let is_tar = head.first_chunk().is_some_and(|block| verify_checksum(block, 0).is_ok());
        if let Some(what) = compressed::foreign(&head).filter(|_| !is_tar) {
            return Err(Error::format(0, FormatErrorKind::Foreign(what)));
        }
        Ok(match cpio::Form::of(&head) {
            _ if head.is_empty() => Self::Empty,
            Some(form) if !is_tar => Self::Cpio(CpioReader::new(stream, form), None),
            _ => Self::Tar(Reader::new(stream)),
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
