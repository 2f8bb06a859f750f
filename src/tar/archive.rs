//! Reads any archive: tar or cpio, compressed or not, or zip; its first bytes tell.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use rawzip::FileReader;

use super::clones::Clones;
use super::cpio::{self, CpioReader};
use super::entry::TarEntry;
use super::error::{Error, FormatErrorKind, Result};
use super::header::verify_checksum;
use super::reader::{EndMarker, Reader};
use super::zip::{self, ZipReader};
use crate::base::compressed::{self, Decompressed};
use crate::base::{WithCauses, debug_fields};
use crate::store::ClonedContent;

/// The source of an archive's bytes.
pub enum ArchiveInput<'a> {
    /// A pipe or the like, read once from front to back: any archive but zip, whose directory is at its end.
    Stream(&'a mut dyn Read),
    /// A regular file: any archive. It starts at the current position, a zip archive at the start of the file.
    File(&'a File),
}

debug_fields!(
    enum ArchiveInput<'a> {
        Stream,
        File,
    }
);

/// Reads the entries of an archive.
pub(super) enum Archive<'a> {
    Tar(Reader<Box<dyn Read + 'a>>),
    Cpio(CpioReader<Box<dyn Read + 'a>>, Option<Error>),
    Zip(Box<ZipReader<'static, Arc<FileReader>>>, Option<Error>),
    Empty,
}

impl<'a> Archive<'a> {
    /// Looks at the first bytes of `source`.
    pub(super) fn open(source: ArchiveInput<'a>) -> Result<Self> {
        let failed = |source| Error::Read { offset: 0, source };
        let (input, file): (Box<dyn Read + 'a>, _) = match source {
            ArchiveInput::Stream(stream) => (Box::new(stream), None),
            ArchiveInput::File(file) => (Box::new(file), Some(file)),
        };
        let Decompressed { head, stream, was_compressed } = compressed::decompress(input).map_err(failed)?;
        // A tar header begins with a name, which may be any bytes.
        let is_tar = head.first_chunk().is_some_and(|block| verify_checksum(block, 0).is_ok());
        if zip::is_zip(&head) && !is_tar {
            let Some(file) = file.filter(|_| !was_compressed) else {
                return Err(Error::format(0, FormatErrorKind::Foreign(zip::NO_FILE)));
            };
            let bytes = file.metadata().map_err(failed)?.len();
            let input = Arc::new(FileReader::from(file.try_clone().map_err(failed)?));
            return Ok(Self::Zip(Box::new(ZipReader::open(input, bytes)?), None));
        }
        if let Some(what) = compressed::foreign(&head).filter(|_| !is_tar) {
            return Err(Error::format(0, FormatErrorKind::Foreign(what)));
        }
        Ok(match cpio::Form::of(&head) {
            _ if head.is_empty() => Self::Empty,
            Some(form) if !is_tar => Self::Cpio(CpioReader::new(stream, form), None),
            _ => Self::Tar(Reader::with_end(stream, EndMarker::AfterEntry).with_acls()),
        })
    }

    /// A tar stream whose end some digest vouches for.
    pub(super) fn of_tar(input: &'a mut dyn Read) -> Self {
        Self::Tar(Reader::with_end(Box::new(input), EndMarker::Optional))
    }

    /// The next entry; skips what is left of the one before.
    pub(super) fn next_entry(&mut self) -> Result<Option<TarEntry>> {
        match self {
            Self::Tar(reader) => reader.next_entry(),
            Self::Cpio(reader, _) => reader.next_entry(),
            Self::Zip(reader, _) => reader.next_entry(),
            Self::Empty => Ok(None),
        }
    }

    /// The copy that the content of the current entry is read from, if there is one.
    pub(super) fn clone_in(&self, clones: Option<&Clones<'_>>) -> Option<ClonedContent> {
        match self {
            Self::Tar(reader) => reader.clone_in(clones),
            _ => None,
        }
    }

    /// Why reading the content failed.
    pub(super) fn take_failure(&mut self) -> Option<Error> {
        match self {
            Self::Tar(reader) => reader.take_failure(),
            Self::Cpio(_, failure) | Self::Zip(_, failure) => failure.take(),
            Self::Empty => None,
        }
    }
}

/// The content of the current entry.
impl Read for Archive<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (read, failure) = match self {
            Self::Tar(reader) => return reader.content().read(buf),
            Self::Cpio(reader, failure) => (reader.read_content(buf), failure),
            Self::Zip(reader, failure) => (reader.read_content(buf), failure),
            Self::Empty => return Ok(0),
        };
        read.map_err(|error| {
            let text = io::Error::other(WithCauses(&error).to_string());
            *failure = Some(error);
            text
        })
    }
}
