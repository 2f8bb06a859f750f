//! The blob of a layer in parts: each is fetched, or is the content of a file that is here.

use std::io::{self, BufRead, Read};
use std::ops::Range;

use ostree_format::{Checksum, FileId};

use super::here::hash;
use crate::container::blob::chunked::{Row, SKIPPABLE_HEAD_BYTES, TablePlace, Wants};
use crate::container::convert::places_of;
use crate::container::image::Digest;
use crate::container::pull::objectwise::asking::Asking;
use crate::container::pull::objectwise::by_table::rows;
use crate::container::pull::objectwise::fetch::{Fetching, Piece};
use crate::container::pull::objectwise::invalid;
use crate::container::pull::objectwise::missing::Wrong;

/// The smallest part of the blob that is worth leaving out: another request takes as long as so many bytes.
const MIN_PART_BYTES: u64 = 8 * 1024;
/// The files that are kept in memory, of 80 bytes each; where a layer has more it is fetched as a whole.
const MAX_FILES: usize = 128 * 1024;
/// The bytes of one request.
const PIECE_BYTES: u64 = 1024 * 1024;

/// A file of the table that is worth being looked for.
#[derive(Debug)]
pub(super) struct TableFile {
    /// The hash of its name, without its directory; and of the name that it has in systems that boot, as kernels have
    /// another one there.
    pub(super) names: [u64; 2],
    pub(super) bytes: u64,
    /// The SHA-256 of its content.
    pub(super) digest: Checksum,
    /// Where its frames lie.
    pub(super) place: Range<u64>,
}

/// A part of the blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Region {
    /// Whole frames, which are fetched.
    Fetched(Range<u64>),
    /// The content of a file, which an object holds.
    Here { id: FileId, bytes: u64 },
}

/// Reads the table of a layer.
pub(super) fn read_table(place: &TablePlace, asking: &Asking<'_>) -> Result<Vec<TableFile>, Wrong> {
    let (mut files, mut reached) = (Vec::new(), 0);
    rows(place, asking, &mut |row| {
        files.extend(table_file(&row, &mut reached, place.bytes.start).map_err(Wrong::Table)?);
        Ok(if files.len() > MAX_FILES { Wants::NoMore } else { Wants::More })
    })?;
    Ok(files)
}

/// The file of a row, if it is one that is worth being looked for; it has to lie behind what was `reached`.
fn table_file(row: &Row, reached: &mut u64, end: u64) -> Result<Option<TableFile>, &'static str> {
    if row.kind != "reg" || row.size == 0 {
        return Ok(None);
    }
    let place = row.offset..row.end_offset;
    if place.start < *reached || place.end <= place.start || place.end > end {
        return Err("a file lies at a place where it cannot be");
    }
    *reached = place.end;
    let digest = row.digest.parse::<Digest>().map_err(|_| "a file has no digest")?;
    if place.end - place.start < MIN_PART_BYTES {
        return Ok(None);
    }
    let name = |path: &str| hash(path.rsplit('/').next().unwrap_or_default());
    let path = row.name.trim_start_matches("./").trim_start_matches('/');
    let moved = places_of(path).iter().map(|place| name(place)).find(|moved| *moved != name(path));
    let names = [name(path), moved.unwrap_or_else(|| name(path))];
    Ok(Some(TableFile { names, bytes: row.size, digest: *digest.checksum(), place }))
}

/// The parts of the blob, of which the objects that were `found` give some.
pub(super) fn regions(files: &[TableFile], found: &[Option<FileId>], table: &TablePlace) -> Vec<Region> {
    let (mut regions, mut at) = (Vec::new(), 0);
    let mut fetched = |regions: &mut Vec<Region>, end: u64| {
        if end > at {
            regions.push(Region::Fetched(at..end));
        }
        at = end;
    };
    for (file, id) in files.iter().zip(found) {
        let Some(id) = id else { continue };
        fetched(&mut regions, file.place.start);
        regions.push(Region::Here { id: *id, bytes: file.bytes });
        fetched(&mut Vec::new(), file.place.end);
    }
    fetched(&mut regions, table.bytes.start.saturating_sub(SKIPPABLE_HEAD_BYTES));
    regions
}

/// What is asked for, in order.
pub(super) fn ranges(regions: &[Region]) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    for region in regions {
        let Region::Fetched(place) = region else { continue };
        let mut start = place.start;
        while start < place.end {
            let end = place.end.min(start + PIECE_BYTES);
            ranges.push(start..end);
            start = end;
        }
    }
    ranges
}

/// What is fetched, as one stream.
pub(super) struct PieceReader {
    fetching: Fetching,
    piece: Option<Piece>,
    at: usize,
}

impl PieceReader {
    pub(super) fn new(fetching: Fetching) -> Self {
        Self { fetching, piece: None, at: 0 }
    }

    /// The next so many bytes, of which a region consists.
    pub(super) fn part(&mut self, bytes: u64) -> impl BufRead {
        self.take(bytes)
    }
}

impl BufRead for PieceReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.piece.as_ref().is_none_or(|piece| self.at == piece.bytes.len()) {
            // Its memory is free before the next one is waited for.
            (self.piece, self.at) = (None, 0);
            let next = self.fetching.next();
            self.piece = Some(next.ok_or_else(|| invalid("a part of the blob is missing"))??);
        }
        Ok(self.piece.as_ref().map_or(&[], |piece| &piece.bytes[self.at..]))
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
    }
}

impl Read for PieceReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}
