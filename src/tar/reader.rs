//! Reads a tar stream entry by entry.
//!
//! ```text
//! stream   { entry } · two zero blocks · anything
//! entry    { x, g, L or K header · its data } · header · content     each padded to blocks of 512 bytes
//! header   name[100] mode[8] uid[8] gid[8] size[12] mtime[12] chksum[8] typeflag linkname[100]
//!          magic[6] version[2] uname[32] gname[32] devmajor[8] devminor[8] prefix[155] (ustar)
//! ```
//! Global extended headers (`g`) are skipped: container tools and libarchive make nothing of them, and one that
//! meant other entries' paths or sizes would hide files from one program and show them to another. What follows
//! the end is no part of the archive. Memory is bounded by [`MAX_NAME_BYTES`], 1 MiB of extended headers and
//! 16 MiB of a sparse file's map. Source: POSIX.1-2001 pax, GNU tar manual "Basic Tar Format".

mod content;
mod end;
mod extensions;
mod holes;

use std::io::{self, BufRead, BufReader, Read};

use super::acl::{AclPermissions, Acls};
use super::clones::Clones;
use super::entry::{EntryKind, TarEntry};
use super::error::{EntryErrorKind, Error, FormatErrorKind as Kind, Result};
use super::header::{
    entry_kind, header_path, header_size, is_dumpdir, number_in, owner, until_nul, verify_checksum,
};
use super::number;
use super::sparse::{MAX_HOLE_BYTES, SparseFile, SparseRecords};
use crate::base::debug_fields;
use crate::store::ClonedContent;
use extensions::{Extensions, one_of};

pub use content::EntryContent;

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 512;
/// A path or link target may not be longer than this.
pub const MAX_NAME_BYTES: u64 = 32 * 1024;
const BUFFER_BYTES: usize = 128 * 1024;

/// Whether a stream may stop after an entry, without the two zero blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EndMarker {
    /// A stream without them was cut off.
    #[default]
    Required,
    /// A stream may end with a whole entry, its padding included: to GNU tar and libarchive this is no mistake.
    AfterEntry,
    /// Some other check tells that the stream is whole: a digest, for example. The padding of the last entry
    /// may be missing as well: umoci insert leaves both out.
    Optional,
}

/// Reads a tar stream entry by entry.
pub struct Reader<R> {
    input: BufReader<R>,
    /// Bytes read from the stream.
    offset: u64,
    /// Bytes that the stream has of the current entry's content and that were not read yet, and of the padding
    /// behind it.
    left: u64,
    padding: u64,
    /// The current entry, if it has holes; and how large holes may still be.
    sparse: Option<SparseFile>,
    holes_left: u64,
    ended: bool,
    end_marker: EndMarker,
    /// Whether what follows the end is read.
    reads_rest: bool,
    acls: Acls,
    failure: Option<Error>,
}

debug_fields!(Reader<R> { offset, ended });

impl<R: Read> Reader<R> {
    /// Reads from `input`, which is buffered here.
    pub fn new(input: R) -> Self {
        Self::with_end(input, EndMarker::Required)
    }

    /// Reads from `input`, which is buffered here; `end_marker` tells whether it may be missing.
    pub fn with_end(input: R, end_marker: EndMarker) -> Self {
        Self {
            input: BufReader::with_capacity(BUFFER_BYTES, input),
            offset: 0,
            left: 0,
            padding: 0,
            sparse: None,
            holes_left: MAX_HOLE_BYTES,
            ended: false,
            end_marker,
            reads_rest: true,
            acls: Acls::PassOver,
            failure: None,
        }
    }

    /// Lets the permissions of entries be what their ACLs say.
    pub(super) fn with_acls(self) -> Self {
        Self { acls: Acls::SetPermissions, ..self }
    }

    /// Leaves what follows the end unread.
    #[cfg(feature = "container")]
    pub(crate) fn leaving_rest(self) -> Self {
        Self { reads_rest: false, ..self }
    }

    /// What was not read of the stream.
    #[cfg(feature = "container")]
    pub(crate) fn into_rest(self) -> impl Read {
        self.input
    }

    /// The number of bytes of the stream that were read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next entry; skips what is left of the one before. `None` at the end; what follows it was read
    /// then.
    ///
    /// # Errors
    /// [`Error::Format`] if this is no tar stream or ends too early, [`Error::Read`].
    pub fn next_entry(&mut self) -> Result<Option<TarEntry>> {
        if self.ended {
            return Ok(None);
        }
        self.skip(self.left)?;
        let padded = self.skip_padding()?;
        (self.left, self.padding, self.sparse) = (0, 0, None);
        if !padded {
            self.ended = true;
            return Ok(None);
        }
        let start = self.offset;
        let mut extensions = Extensions::default();
        loop {
            let at = self.offset;
            let mut block = [0; BLOCK_BYTES];
            let got = self.fill(&mut block)?;
            if got == 0 && self.end_marker != EndMarker::Required && extensions.is_empty() {
                self.ended = true;
                return Ok(None);
            }
            if got < BLOCK_BYTES {
                return Err(Error::format(at, Kind::Truncated));
            }
            if block == [0; BLOCK_BYTES] {
                if !extensions.is_empty() {
                    return Err(Error::format(at, Kind::Dangling));
                }
                self.read_end()?;
                return Ok(None);
            }
            verify_checksum(&block, at)?;
            let header = tar::Header::from_byte_slice(&block);
            match header.entry_type().as_byte() {
                b'x' | b'X' | b'g' | b'L' | b'K' => self.read_extension(header, at, &mut extensions)?,
                _ => return self.begin_entry(header, start, at, extensions).map(Some),
            }
        }
    }

    /// The content of the current entry.
    pub fn content(&mut self) -> EntryContent<'_, R> {
        EntryContent(self)
    }

    /// The number of bytes of the stream, from [`Reader::offset`] on, that are what is left of the current entry's
    /// content; `None` for a file with holes, whose content does not stand there as it is.
    pub fn plain_bytes(&self) -> Option<u64> {
        self.sparse.is_none().then_some(self.left)
    }

    /// The copy that the content of the current entry is read from, if there is one and nothing of it was read.
    pub(super) fn clone_in(&self, clones: Option<&Clones<'_>>) -> Option<ClonedContent> {
        clones.filter(|_| self.sparse.is_none())?.take(self.offset)
    }

    /// The error with which reading the content failed, more exact than the [`io::Error`] that the reader gave.
    pub fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    /// Puts the entry together from its header block and what came before it.
    fn begin_entry(
        &mut self,
        header: &tar::Header,
        start: u64,
        at: u64,
        ext: Extensions,
    ) -> Result<TarEntry> {
        let mut pax = ext.pax.unwrap_or_default();
        let old = header.as_old();
        let shown_path = pax.sparse.name.take().or(pax.path.take());
        let path = one_of("path", shown_path, ext.path, at)?.unwrap_or_else(|| header_path(header));
        let link = one_of("link target", pax.link.take(), ext.link, at)?
            .unwrap_or_else(|| until_nul(&old.linkname).to_vec());
        for name in [&path, &link] {
            if name.contains(&0) {
                return Err(Error::format(at, Kind::Pax("a name holds NUL")));
            }
            if name.len() as u64 > MAX_NAME_BYTES {
                return Err(Error::format(at, Kind::TooLarge("a name", MAX_NAME_BYTES)));
            }
        }
        let stored = pax.size.map_or_else(|| header_size(header, at), Ok)?;
        let kind = entry_kind(header, &path, stored, at)?;
        let size = self.begin_content(header, kind, stored, std::mem::take(&mut pax.sparse), at)?;
        let mut permissions = number_in(&old.mode, "mode", at)? & 0o7777;
        if let Some(acl) = pax.acl.take().filter(|_| self.acls == Acls::SetPermissions) {
            let acl = AclPermissions::parse(&acl);
            permissions =
                acl.ok_or_else(|| Error::format(at, Kind::Pax("an ACL is malformed")))?.apply(permissions);
        }
        let entry = TarEntry {
            offset: start,
            path,
            link: if matches!(kind, EntryKind::Link | EntryKind::Symlink) { link } else { Vec::new() },
            kind,
            permissions,
            uid: owner(pax.uid, &old.uid, "uid", at)?,
            gid: owner(pax.gid, &old.gid, "gid", at)?,
            mtime: match pax.mtime {
                Some(mtime) => mtime,
                None => number::signed(&old.mtime)
                    .and_then(|n| i64::try_from(n).ok())
                    .ok_or_else(|| Error::format(at, Kind::Number("mtime")))?,
            },
            size,
            xattrs: pax.into_xattrs(),
        };
        let holes = self.sparse.as_ref().map_or(0, |sparse| sparse.holes);
        let left = self.holes_left.checked_sub(holes);
        self.holes_left = left.ok_or_else(|| entry.error(EntryErrorKind::Holes(MAX_HOLE_BYTES)))?;
        Ok(entry)
    }

    /// Gets ready to read the content, of which the stream has `stored` bytes; says how large it is.
    fn begin_content(
        &mut self,
        header: &tar::Header,
        kind: EntryKind,
        stored: u64,
        records: SparseRecords,
        at: u64,
    ) -> Result<u64> {
        let end = stored.checked_add(self.offset).and_then(|end| end.checked_add(BLOCK_BYTES as u64));
        end.ok_or_else(|| Error::format(at, Kind::Number("size")))?;
        (self.left, self.padding) = (stored, padding_of(stored));
        if kind == EntryKind::Regular {
            self.sparse = self.sparse_file(header, records, at)?;
            return Ok(self.sparse.as_ref().map_or(stored, |sparse| sparse.size));
        }
        match (stored, kind) {
            (0, _) | (_, EntryKind::VolumeLabel) => Ok(stored),
            // The names that were in the directory.
            (_, EntryKind::Dir) if is_dumpdir(header) => {
                self.skip(stored)?;
                self.left = 0;
                Ok(0)
            }
            // Some programs write one for links and directories; nobody takes it for content.
            _ => {
                (self.left, self.padding) = (0, 0);
                Ok(0)
            }
        }
    }

    /// Reads until `buffer` is full or the stream ends; says how much was read.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut got = 0;
        while got < buffer.len() {
            match self.read_some(&mut buffer[got..])? {
                0 => break,
                n => got += n,
            }
        }
        Ok(got)
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.input.read(buffer) {
                Ok(n) => {
                    self.offset += n as u64;
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Read { offset: self.offset, source }),
            }
        }
    }

    /// Skips what is behind the content; `false` if the stream ends there, as it may.
    fn skip_padding(&mut self) -> Result<bool> {
        let whole = self.discard(self.padding)? == self.padding;
        match (whole, self.end_marker) {
            (true, _) => Ok(true),
            (false, EndMarker::Optional) => Ok(false),
            (false, EndMarker::Required | EndMarker::AfterEntry) => {
                Err(Error::format(self.offset, Kind::Truncated))
            }
        }
    }

    fn skip(&mut self, bytes: u64) -> Result<()> {
        match self.discard(bytes)? == bytes {
            true => Ok(()),
            false => Err(Error::format(self.offset, Kind::Truncated)),
        }
    }

    /// Reads so many bytes, or as many as are left, and drops them; says how many.
    fn discard(&mut self, bytes: u64) -> Result<u64> {
        let mut left = bytes;
        while left > 0 {
            let n = match self.input.fill_buf() {
                Ok([]) => break,
                Ok(buffered) => usize::try_from(left).unwrap_or(usize::MAX).min(buffered.len()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(Error::Read { offset: self.offset, source }),
            };
            self.input.consume(n);
            self.offset += n as u64;
            left -= n as u64;
        }
        Ok(bytes - left)
    }
}

/// The bytes from `size` to the next block.
pub(super) fn padding_of(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK_BYTES as u64
}
