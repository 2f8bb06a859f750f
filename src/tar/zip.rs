//! Reads zip archives, which libostree takes where it takes tar.
//!
//! The directory at the end of the archive says what there is; entries come in the order of their contents, and of
//! several with one name the last counts, as for libarchive. Who made the entry says what its attributes are:
//!
//! ```text
//! Unix     the upper half is st_mode; a named pipe is a regular file: zip writes that of its standard input
//! MS-DOS   10 is a directory, 775, else 664; 01 is without write permissions; paths without / may have \
//! others   nothing
//! ```
//! A name that ends in `/` is a directory's. No mode at all is 664. The owner is in extra field 7875, of any size, or
//! in 7855 or the end of 5855, 2 bytes each; else it is root. Field 7075 has the name in UTF-8, where the header has
//! it in another encoding. Contents are stored, or compressed by deflate, bzip2 or zstd. Sources: APPNOTE.TXT 6.3.10
//! of PKWARE, proginfo/extrafld.txt of Info-ZIP.

use std::io::{self, BufReader, ErrorKind, Read};

use bzip2::read::BzDecoder;
use flate2::bufread::DeflateDecoder;
use ostree_format::Xattrs;
use rawzip::extra_fields::{ExtraFieldId, ExtraFields};
use rawzip::{
    CompressionMethod as Method, CreatorSystem, RangeReader, ReaderAt, ZipArchive, ZipArchiveEntryWayfinder,
    ZipFileHeaderRecord, ZipLocator, ZipVerifier,
};

use super::entry::{EntryKind, TarEntry};
use super::error::{EntryErrorKind, Error, FormatErrorKind as Kind, Result};
use super::reader::MAX_NAME_BYTES;

/// Why a zip archive cannot be read from a stream.
pub(super) const NO_FILE: &str =
    "a zip archive in a pipe, or compressed once more: write it to a file as it is first";
/// A record of the directory: three fields of at most 65535 bytes each.
const BUFFER_BYTES: usize = rawzip::MAX_CENTRAL_DIRECTORY_RECORD_SIZE;

/// Whether a file that begins so is a zip archive.
pub(super) fn is_zip(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}

/// Reads a zip archive entry by entry.
pub(super) struct ZipReader<'a, R> {
    archive: ZipArchive<R>,
    buffer: Vec<u8>,
    entries: std::vec::IntoIter<Found>,
    /// The current entry and its content.
    current: Option<(TarEntry, ZipVerifier<Box<dyn Read + 'a>>)>,
}

/// What the directory says about an entry.
struct Found {
    entry: TarEntry,
    /// Where its content ends, at the earliest: the size of its header is not counted.
    end: u64,
    place: ZipArchiveEntryWayfinder,
    method: Method,
    encrypted: bool,
}

impl<'a, R: ReaderAt + Clone + 'a> ZipReader<'a, R> {
    /// Reads the directory of the archive, which has so many bytes.
    pub(super) fn open(input: R, bytes: u64) -> Result<Self> {
        let mut buffer = vec![0; BUFFER_BYTES];
        let located = ZipLocator::new().locate_in_reader(input, &mut buffer, bytes);
        let archive = located.map_err(|(_, error)| malformed(0, error))?;
        let mut found = Vec::new();
        let mut records = archive.entries(&mut buffer);
        while let Some(record) = records.next_entry().map_err(|e| malformed(archive.directory_offset(), e))? {
            found.push(Found::new(&record));
        }
        found.sort_by_key(|found| found.entry.offset);
        // Each byte is read once: a small archive of overlapping entries could be decompressed for hours.
        if let Some(pair) = found.windows(2).find(|pair| pair[0].end > pair[1].entry.offset) {
            let why = "its entries overlap".to_owned();
            return Err(Error::format(pair[1].entry.offset, Kind::Zip(why)));
        }
        if found.first().is_some_and(|first| first.entry.offset != 0) {
            let why = "its directory lacks the entry at its start: it may be cut off within another one";
            return Err(Error::format(archive.directory_offset(), Kind::Zip(why.to_owned())));
        }
        Ok(Self { archive, buffer, entries: found.into_iter(), current: None })
    }

    /// The next entry.
    pub(super) fn next_entry(&mut self) -> Result<Option<TarEntry>> {
        self.current = None;
        let Some(Found { mut entry, place, method, encrypted, .. }) = self.entries.next() else {
            return Ok(None);
        };
        let located = self.archive.get_entry(place).map_err(|e| malformed(entry.offset, e))?;
        let local = located.local_header(&mut self.buffer).map_err(|e| malformed(entry.offset, e))?;
        (entry.uid, entry.gid) = owner(local.extra_fields()).unwrap_or((entry.uid, entry.gid));
        if entry.kind == EntryKind::Dir {
            entry.size = 0;
            return Ok(Some(entry));
        }
        if encrypted {
            return Err(entry.error(EntryErrorKind::Packed("encrypted".to_owned())));
        }
        let (start, end) = located.compressed_data_range();
        let packed = BufReader::new(RangeReader::new(self.archive.get_ref().clone(), start..end));
        let plain = decoder(packed, method, &entry)?;
        let mut content = located.verifying_reader(plain);
        if entry.kind == EntryKind::Symlink {
            let target = (&mut content).take(MAX_NAME_BYTES + 1).read_to_end(&mut entry.link);
            target.map_err(|source| damaged(&entry, source))?;
            if entry.link.len() as u64 > MAX_NAME_BYTES {
                return Err(Error::format(entry.offset, Kind::TooLarge("a name", MAX_NAME_BYTES)));
            }
            entry.size = 0;
        }
        self.current = Some((entry.clone(), content));
        Ok(Some(entry))
    }

    /// Reads some of the current entry's content; 0 at its end.
    pub(super) fn read_content(&mut self, buf: &mut [u8]) -> Result<usize> {
        let Some((entry, content)) = &mut self.current else { return Ok(0) };
        loop {
            match content.read(buf) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read.map_err(|source| damaged(entry, source)),
            }
        }
    }
}

impl Found {
    fn new(record: &ZipFileHeaderRecord<'_>) -> Self {
        let (path, mode) = path_and_mode(record);
        let (uid, gid) = owner(record.extra_fields()).unwrap_or_default();
        let entry = TarEntry {
            offset: record.local_header_offset(),
            path,
            link: Vec::new(),
            kind: EntryKind::of_mode(mode, (0, 0)),
            permissions: mode & 0o7777,
            uid,
            gid,
            mtime: 0,
            size: record.uncompressed_size_hint(),
            xattrs: Xattrs::EMPTY,
        };
        let encrypted = record.flags().is_encrypted() || record.flags().is_masked();
        let end = entry.offset.saturating_add(record.compressed_size_hint());
        Self { entry, end, place: record.wayfinder(), method: record.compression_method(), encrypted }
    }
}

/// The name of an entry, and its `st_mode`, which always has a type.
fn path_and_mode(record: &ZipFileHeaderRecord<'_>) -> (Vec<u8>, u32) {
    let mut path = record.file_path().as_bytes().to_vec();
    let in_utf8 = record.extra_fields().find(|(id, _)| *id == ExtraFieldId::INFO_ZIP_UNICODE_PATH);
    if let Some((_, [1, a, b, c, d, name @ ..])) = in_utf8
        && u32::from_le_bytes([*a, *b, *c, *d]) == rawzip::crc32(&path)
        && !record.flags().is_utf8()
    {
        path = name.to_vec();
    }
    let attributes = record.external_attributes();
    let mut mode = match record.version_made_by().creator_system() {
        CreatorSystem::UNIX => attributes >> 16,
        CreatorSystem::FAT => {
            if !path.contains(&b'/') {
                path.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
            }
            let mode = if attributes & 0x10 != 0 { 0o040_775 } else { 0o100_664 };
            // As libarchive: this takes away the type, too.
            if attributes & 1 != 0 { mode & 0o555 } else { mode }
        }
        _ => 0,
    };
    if mode == 0 {
        mode = 0o664;
    }
    let kind = mode & 0o170_000;
    if kind != 0o040_000 && path.ends_with(b"/") {
        mode = mode & 0o7777 | 0o040_111;
    } else if matches!(kind, 0 | 0o010_000) {
        mode = mode & 0o7777 | 0o100_000;
    }
    (path, mode)
}

/// User and group, if extra fields say them.
fn owner(fields: ExtraFields<'_>) -> Option<(u32, u32)> {
    let number =
        |bytes: &[u8]| bytes.iter().rev().try_fold(0, |n: u32, b| Some(n.checked_mul(256)? | u32::from(*b)));
    let owner = |(id, data): (ExtraFieldId, &[u8])| match (id, data) {
        (ExtraFieldId::INFO_ZIP_UNIX_UID_GID, [1, bytes, rest @ ..]) => {
            let (uid, rest) = rest.split_at_checked(usize::from(*bytes))?;
            let (bytes, rest) = rest.split_first()?;
            Some((number(uid)?, number(rest.get(..usize::from(*bytes))?)?))
        }
        (ExtraFieldId::INFO_ZIP_UNIX, [u, v, g, h, ..])
        | (ExtraFieldId::INFO_ZIP_UNIX_ORIGINAL, [_, _, _, _, _, _, _, _, u, v, g, h, ..]) => {
            Some((number(&[*u, *v])?, number(&[*g, *h])?))
        }
        _ => None,
    };
    fields.filter_map(owner).last()
}

/// Decompresses a content.
fn decoder<'a>(
    packed: BufReader<impl Read + 'a>,
    method: Method,
    entry: &TarEntry,
) -> Result<Box<dyn Read + 'a>> {
    Ok(match method {
        Method::STORE => Box::new(packed),
        Method::DEFLATE => Box::new(DeflateDecoder::new(packed)),
        Method::BZIP2 => Box::new(BzDecoder::new(packed)),
        Method::ZSTD => {
            Box::new(zstd::Decoder::with_buffer(packed).map_err(|source| damaged(entry, source))?)
        }
        other => return Err(entry.error(EntryErrorKind::Packed(format!("compressed by method {other}")))),
    })
}

fn malformed(offset: u64, error: rawzip::Error) -> Error {
    match error.into_kind() {
        rawzip::ErrorKind::IO(source) if source.kind() != ErrorKind::UnexpectedEof => {
            Error::Read { offset, source }
        }
        rawzip::ErrorKind::MissingEndOfCentralDirectory => {
            Error::format(offset, Kind::Zip("it is cut off: its end has no directory".to_owned()))
        }
        kind => Error::format(offset, Kind::Zip(kind.to_string())),
    }
}

fn damaged(entry: &TarEntry, source: io::Error) -> Error {
    match source.raw_os_error() {
        Some(_) => Error::Read { offset: entry.offset, source },
        None => entry.error(EntryErrorKind::Damaged(source.to_string())),
    }
}
