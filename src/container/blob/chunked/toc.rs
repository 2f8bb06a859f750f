//! The table of contents of zstd:chunked, and the frames that hold it.
//!
//! ```text
//! 50 2a 4d 18 │ length: u32 │ zstd of {"version":1,"entries":[ENTRY, …]}
//! 50 2a 4d 18 │ 64: u32     │ offset, length, uncompressed length, 1 of the table: u64
//!                             offset, length, uncompressed length of "tar-split": u64, here 0
//!                             "GNUlInUx"
//! ```
//! Numbers are little endian, offsets count from the start of the blob and point behind the eight bytes of
//! the frame's head. A file in several pieces is an entry for the first, followed by entries of the type
//! "chunk". Readers trust the table by its digest, which stands in an annotation of the layer.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

use ostree_format::Checksum;
use serde::Serialize;

use super::Frame;
use super::index::{IndexWriter, OBJECTS};
use crate::container::blob::chunked::split::End;
use crate::container::image::Digest;

const SKIPPABLE: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];
/// The bytes before the content of a frame that decoders pass over.
pub(in crate::container) const SKIPPABLE_HEAD_BYTES: u64 = 8;
const FOOTER_MAGIC: &[u8; 8] = b"GNUlInUx";
/// The only kind of table there is.
pub(super) const TABLE_KIND: u64 = 1;
pub(super) const CHECKSUM: &str = "io.github.containers.zstd-chunked.manifest-checksum";
pub(super) const POSITION: &str = "io.github.containers.zstd-chunked.manifest-position";

/// An entry of the tar stream.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TocEntry {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) link_name: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) mode: u32,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) size: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) uid: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) gid: u64,
    /// RFC 3339.
    pub(super) modtime: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) dev_major: u32,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) dev_minor: u32,
    /// Values in base64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) xattrs: BTreeMap<String, String>,
}

/// An entry with the place of its content.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    #[serde(flatten)]
    entry: &'a TocEntry,
    digest: String,
    offset: u64,
    end_offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    chunk_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_digest: Option<String>,
}

/// A further piece of a file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct More<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    offset: u64,
    chunk_size: u64,
    chunk_offset: u64,
    chunk_digest: String,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// The table while it grows: compressed at once, since it has some hundred bytes for each entry.
pub(super) struct Toc {
    table: zstd::Encoder<'static, Vec<u8>>,
    /// What was written to it.
    plain_bytes: u64,
    first: bool,
    /// The file whose content is under way.
    file: Option<TocEntry>,
    frames: Vec<Frame>,
    /// The digest of what is in each.
    digests: Vec<Checksum>,
    /// The other table, of objects.
    index: IndexWriter,
    level: i32,
}

fn sha256(checksum: Checksum) -> String {
    Digest::new(checksum).to_string()
}

impl Toc {
    /// An empty table.
    ///
    /// # Errors
    /// None in practice: the level is a known one.
    pub(super) fn new(level: i32) -> io::Result<Self> {
        let table = zstd::Encoder::new(Vec::new(), level)?;
        let mut toc = Self {
            table,
            plain_bytes: 0,
            first: true,
            file: None,
            frames: Vec::new(),
            digests: Vec::new(),
            index: IndexWriter::default(),
            level,
        };
        toc.write(br#"{"version":1,"entries":["#)?;
        Ok(toc)
    }

    fn write(&mut self, json: &[u8]) -> io::Result<()> {
        self.plain_bytes += json.len() as u64;
        self.table.write_all(json)
    }

    fn push(&mut self, value: &impl Serialize) -> io::Result<()> {
        if !std::mem::take(&mut self.first) {
            self.write(b",")?;
        }
        self.write(&serde_json::to_vec(value)?)
    }

    /// Adds an entry without content.
    ///
    /// # Errors
    /// None in practice: all of it is text, and goes to memory.
    pub(super) fn entry(&mut self, entry: &TocEntry) -> io::Result<()> {
        self.index.add(entry, Checksum::of(&[]), &[]);
        self.push(entry)
    }

    /// Adds a piece of `bytes` bytes, whose frame lies at `place`. `entry` comes with the first of a file.
    ///
    /// # Errors
    /// As [`Toc::entry`].
    pub(super) fn content(
        &mut self,
        entry: Option<TocEntry>,
        place: Range<u64>,
        bytes: u64,
        digest: Checksum,
        end: End,
    ) -> io::Result<()> {
        self.file = entry.or_else(|| self.file.take());
        self.frames.push(Frame { place, bytes });
        self.digests.push(digest);
        let whole = match end {
            End::More => return Ok(()),
            End::Only => digest,
            End::Last(whole) => whole,
        };
        let (frames, digests) = (std::mem::take(&mut self.frames), std::mem::take(&mut self.digests));
        let (Some(entry), [first, more @ ..]) = (self.file.take(), &frames[..]) else { return Ok(()) };
        self.index.add(&entry, whole, &frames);
        let chunked = !more.is_empty();
        let file = File {
            entry: &entry,
            digest: sha256(whole),
            offset: first.place.start,
            end_offset: more.last().unwrap_or(first).place.end,
            chunk_size: if chunked { first.bytes } else { 0 },
            chunk_digest: digests.first().filter(|_| chunked).map(|digest| sha256(*digest)),
        };
        self.push(&file)?;
        let mut chunk_offset = first.bytes;
        for (piece, digest) in more.iter().zip(&digests[1..]) {
            let more = More {
                kind: "chunk",
                name: &entry.name,
                offset: piece.place.start,
                chunk_size: piece.bytes,
                chunk_offset,
                chunk_digest: sha256(*digest),
            };
            self.push(&more)?;
            chunk_offset += piece.bytes;
        }
        Ok(())
    }

    /// Writes index and table behind `offset` bytes of the blob; gives the layer's annotations.
    ///
    /// # Errors
    /// What `out` says; [`io::ErrorKind::InvalidData`] for a table of more than 4 GiB.
    pub(super) fn finish(
        mut self,
        out: &mut impl Write,
        offset: u64,
    ) -> io::Result<BTreeMap<String, String>> {
        self.write(b"]}")?;
        let index = self.index.finish(out, offset, self.level)?;
        let offset = offset + index.as_ref().map_or(0, |(_, bytes)| *bytes);
        let (plain, table) = (self.plain_bytes, self.table.finish()?);
        let (start, length) = (offset + SKIPPABLE_HEAD_BYTES, table.len() as u64);
        skippable(out, &table)?;
        let mut footer = Vec::with_capacity(64);
        for number in [start, length, plain, TABLE_KIND, 0, 0, 0] {
            footer.extend_from_slice(&number.to_le_bytes());
        }
        footer.extend_from_slice(FOOTER_MAGIC);
        skippable(out, &footer)?;
        let objects = index.map(|(place, _)| (OBJECTS.to_owned(), place));
        let table = [
            (CHECKSUM.to_owned(), Digest::of(&table).to_string()),
            (POSITION.to_owned(), format!("{start}:{length}:{plain}:{TABLE_KIND}")),
        ];
        Ok(table.into_iter().chain(objects).collect())
    }
}

/// A frame that decoders pass over.
pub(super) fn skippable(out: &mut impl Write, content: &[u8]) -> io::Result<()> {
    let length = u32::try_from(content.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the table of contents is too long"))?;
    out.write_all(&SKIPPABLE)?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(content)
}
