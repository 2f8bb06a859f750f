//! Replaces the detached metadata of the commit in a stream; every other byte stays as it is.
//!
//! ```text
//! … .commit · [.commitmeta] · everything else        the entry behind the commit is dropped, written anew, or both
//! ```

use std::io::{Read, Write};

use ostree_format::variant::Dict;
use ostree_format::{CommitId, ObjectName, ObjectType, RepoMode};
use tar::{EntryType, Header};

use super::entry::split_path;
use super::error::{ContentErrorKind, Error, FormatErrorKind, Result};
use super::layout::object_path;
use super::number;
use super::reader::{BLOCK_BYTES, MAX_NAME_BYTES, padding_of};
use super::writer::Writer;
use crate::store;

/// The largest size of an entry's headers, in bytes.
const MAX_HEADER_BYTES: usize = 2 * 1024 * 1024;
const COPY_BYTES: usize = 128 * 1024;

/// Copies a stream that holds a commit, with other detached metadata: `metadata` is a serialized `a{sv}`; `None`
/// leaves the commit without. Returns the commit.
///
/// # Errors
/// [`Error::Format`], [`Error::Read`] for a malformed stream; [`Error::Content`] if there is no commit in it;
/// [`Error::Store`] if `metadata` is no dictionary; [`Error::Write`].
pub fn replace_detached(
    input: &mut dyn Read,
    out: &mut dyn Write,
    metadata: Option<&[u8]>,
) -> Result<CommitId> {
    let mut copy = Copy { input, out, offset: 0, headers: Vec::new() };
    let mut commit = None;
    while let Some(entry) = copy.next_header()? {
        let name = object_of(&entry.path);
        match name.map(|name| name.kind) {
            Some(ObjectType::CommitMeta) => copy.skip(&entry)?,
            Some(ObjectType::Commit) => {
                copy.keep(&entry)?;
                let id = name.map(|name| CommitId::new(name.checksum));
                if let (Some(id), Some(metadata)) = (&id, metadata) {
                    copy.insert(id, metadata)?;
                }
                commit = id;
            }
            _ => copy.keep(&entry)?,
        }
    }
    commit.ok_or(Error::Content(ContentErrorKind::NoCommit))
}

/// The object that lies at a path.
fn object_of(path: &[u8]) -> Option<ObjectName> {
    match split_path(path).ok()?[..] {
        ["sysroot", "ostree", "repo", "objects", dir, file] => {
            ObjectName::from_loose_path(dir, file, RepoMode::BareSplitXattrs)
        }
        _ => None,
    }
}

/// What has to be known of an entry.
struct RawEntry {
    path: Vec<u8>,
    /// Bytes of its content and of what fills the last block.
    rest: u64,
}

struct Copy<'a> {
    input: &'a mut dyn Read,
    out: &'a mut dyn Write,
    offset: u64,
    /// The header blocks of the entry, extended ones included.
    headers: Vec<u8>,
}

impl Copy<'_> {
    /// Reads up to the content of the next entry; after the last, copies what ends the stream.
    fn next_header(&mut self) -> Result<Option<RawEntry>> {
        self.headers.clear();
        let mut long_path = None;
        loop {
            let at = self.offset;
            let mut block = [0; BLOCK_BYTES];
            self.read(&mut block)?;
            if block == [0; BLOCK_BYTES] {
                self.out.write_all(&block).map_err(Error::Write)?;
                std::io::copy(&mut self.input, &mut self.out).map_err(Error::Write)?;
                return Ok(None);
            }
            let header = Header::from_byte_slice(&block);
            let size = number::unsigned(&header.as_old().size)
                .ok_or_else(|| Error::format(at, FormatErrorKind::Number("size")))?;
            let rest = size
                .checked_add(padding_of(size))
                .ok_or_else(|| Error::format(at, FormatErrorKind::Number("size")))?;
            self.headers.extend_from_slice(&block);
            match header.entry_type().as_byte() {
                kind @ (b'L' | b'K' | b'x' | b'g') => {
                    let data = self.extension(rest, at)?;
                    if kind == b'L' {
                        let end = data.iter().position(|b| *b == 0).unwrap_or(data.len());
                        long_path = Some(data[..end.min(MAX_NAME_BYTES as usize)].to_vec());
                    }
                }
                _ => {
                    let path = long_path.unwrap_or_else(|| header.path_bytes().into_owned());
                    return Ok(Some(RawEntry { path, rest }));
                }
            }
        }
    }

    /// The data of an extended header, which belongs to the headers.
    fn extension(&mut self, bytes: u64, at: u64) -> Result<&[u8]> {
        let start = self.headers.len();
        let fits = usize::try_from(bytes).ok().filter(|bytes| start + bytes <= MAX_HEADER_BYTES);
        let bytes = fits.ok_or_else(|| {
            Error::format(at, FormatErrorKind::TooLarge("extended header", MAX_HEADER_BYTES as u64))
        })?;
        let mut data = vec![0; bytes];
        self.read(&mut data)?;
        self.headers.extend_from_slice(&data);
        Ok(&self.headers[start..])
    }

    fn keep(&mut self, entry: &RawEntry) -> Result<()> {
        self.out.write_all(&self.headers).map_err(Error::Write)?;
        let mut left = entry.rest;
        let mut buffer = vec![0; COPY_BYTES];
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(COPY_BYTES).min(COPY_BYTES);
            self.read(&mut buffer[..want])?;
            self.out.write_all(&buffer[..want]).map_err(Error::Write)?;
            left -= want as u64;
        }
        Ok(())
    }

    fn skip(&mut self, entry: &RawEntry) -> Result<()> {
        let mut rest = (&mut *self.input).take(entry.rest);
        let skipped = std::io::copy(&mut rest, &mut std::io::sink())
            .map_err(|source| Error::Read { offset: self.offset, source })?;
        self.offset += skipped;
        match skipped == entry.rest {
            true => Ok(()),
            false => Err(Error::format(self.offset, FormatErrorKind::Truncated)),
        }
    }

    /// Writes an entry of its own.
    fn insert(&mut self, commit: &CommitId, metadata: &[u8]) -> Result<()> {
        let name = ObjectName::commitmeta(commit);
        Dict::parse(metadata).map_err(store::Error::corrupt(name))?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(metadata.len() as u64);
        Writer::new(&mut *self.out).append_bytes(&mut header, &object_path(&name), metadata)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        let offset = self.offset;
        self.input.read_exact(buffer).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => Error::format(offset, FormatErrorKind::Truncated),
            _ => Error::Read { offset, source },
        })?;
        self.offset += buffer.len() as u64;
        Ok(())
    }
}
