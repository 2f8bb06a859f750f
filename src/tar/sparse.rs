//! Sparse files, whose holes are not in the stream, in the four forms that GNU tar writes.
//!
//! ```text
//! old GNU   type S; 4 extents in the header, its last byte before the real size says whether more blocks
//!           of 21 follow; extent = offset[12] bytes[12], a NUL in front of `bytes` ends the map
//! PAX 0.0   GNU.sparse.size; for each extent GNU.sparse.offset and GNU.sparse.numbytes
//! PAX 0.1   GNU.sparse.size, GNU.sparse.name; GNU.sparse.map = offset,bytes,offset,bytes,…
//! PAX 1.0   GNU.sparse.major=1, .minor=0, .realsize, .name; in front of the data, padded to blocks:
//!           number of extents '\n' then offset '\n' bytes '\n' for each
//! ```
//! What lies between the extents, and behind the last one, is zeros. Extents are in order, do not overlap and
//! end within the file; the data is as long as all of them. A map has at most [`MAX_EXTENTS`]. Source: GNU tar
//! manual "Storing Sparse Files".

use std::vec;

use super::error::{Error, FormatErrorKind as Kind, Result};
use super::number;

/// All holes of a stream together may not be larger: a header of a few bytes could make hours of work.
pub(super) const MAX_HOLE_BYTES: u64 = 64 * 1024 * 1024 * 1024;
/// A map of 16 MiB.
const MAX_EXTENTS: usize = 1024 * 1024;

/// Where the data of a sparse file belongs, as it is collected.
#[derive(Debug, Clone, Default)]
pub(super) struct SparseMap {
    /// Start and end of each extent, in order; none is empty and none begins where another ends.
    extents: Vec<(u64, u64)>,
    /// The end of the last one, empty ones included: they say where a file with a hole at its end ends.
    end: u64,
}

impl SparseMap {
    /// Adds an extent behind the others.
    pub(super) fn push(&mut self, offset: u64, bytes: u64) -> Result<(), &'static str> {
        let end = offset.checked_add(bytes).ok_or("an extent beyond the largest file")?;
        if offset < self.end {
            return Err("its extents overlap or are out of order");
        }
        self.end = end;
        let full = self.extents.len() == MAX_EXTENTS;
        match self.extents.last_mut() {
            _ if bytes == 0 => {}
            Some((_, last)) if *last == offset => *last = end,
            _ if full => return Err("it has more than a million extents"),
            _ => self.extents.push((offset, end)),
        }
        Ok(())
    }

    /// Adds the extents of a header block; whether the map ends there.
    pub(super) fn push_block(&mut self, block: &[tar::GnuSparseHeader]) -> Result<bool, &'static str> {
        for extent in block {
            if extent.numbytes[0] == 0 {
                return Ok(true);
            }
            let number = |field| number::unsigned(field).ok_or("a number of its map is none");
            self.push(number(&extent.offset)?, number(&extent.numbytes)?)?;
        }
        Ok(false)
    }

    /// The file of `size` bytes, of which the stream has `data` bytes.
    pub(super) fn finish(self, size: u64, data: u64) -> Result<SparseFile, &'static str> {
        if self.end > size {
            return Err("an extent beyond its end");
        }
        if self.extents.iter().map(|(start, end)| end - start).sum::<u64>() != data {
            return Err("its map and its data are of different sizes");
        }
        let mut extents = self.extents.into_iter();
        let next = extents.next();
        Ok(SparseFile { size, holes: size - data, position: 0, next, extents })
    }
}

/// A sparse file that is being read.
#[derive(Debug)]
pub(super) struct SparseFile {
    pub(super) size: u64,
    /// Bytes of all holes.
    pub(super) holes: u64,
    position: u64,
    /// The extent in or before which `position` lies.
    next: Option<(u64, u64)>,
    extents: vec::IntoIter<(u64, u64)>,
}

/// What comes next in a sparse file, and how many bytes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Data(u64),
    Hole(u64),
}

impl SparseFile {
    pub(super) fn piece(&self) -> Piece {
        match self.next {
            Some((start, end)) if start <= self.position => Piece::Data(end - self.position),
            Some((start, _)) => Piece::Hole(start - self.position),
            None => Piece::Hole(self.size - self.position),
        }
    }

    /// Goes on by so many bytes, at most the next piece.
    pub(super) fn advance(&mut self, bytes: u64) {
        self.position += bytes;
        if self.next.is_some_and(|(_, end)| end == self.position) {
            self.next = self.extents.next();
        }
    }
}

/// What the extended header of an entry says about its holes.
#[derive(Debug, Clone, Default)]
pub(super) struct SparseRecords {
    version: (Option<u64>, Option<u64>),
    /// The path: other programs, which would unpack only the data, are shown another one.
    pub(super) name: Option<Vec<u8>>,
    size: Option<u64>,
    /// The map, in the forms 0.0 and 0.1.
    map: Option<SparseMap>,
    /// An offset without its length.
    offset: Option<u64>,
}

/// The form of a sparse file that extended headers tell.
pub(super) enum PaxSparse {
    /// The size and map of the file.
    Whole(u64, SparseMap),
    /// The size of the file; the map is in front of the data.
    MapInData(u64),
}

impl SparseRecords {
    /// Takes over the record `GNU.sparse.KEY`.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let number = || decimal(value).ok_or("a number of a sparse file is none");
        match key {
            b"name" => self.name = (!value.is_empty()).then(|| value.to_vec()),
            b"major" => self.version.0 = Some(number()?),
            b"minor" => self.version.1 = Some(number()?),
            b"size" | b"realsize" => self.size = Some(number()?),
            b"offset" if self.offset.is_some() => {
                return Err("an offset in a sparse file without its length");
            }
            b"offset" => self.offset = Some(number()?),
            b"numbytes" => {
                let offset = self.offset.take().ok_or("a length in a sparse file without its offset")?;
                self.map.get_or_insert_default().push(offset, number()?)?;
            }
            b"map" => {
                let mut numbers = value.split(|b| *b == b',').map(decimal);
                let map = self.map.insert(SparseMap::default());
                while let Some(offset) = numbers.next().filter(|_| !value.is_empty()) {
                    let (Some(offset), Some(Some(bytes))) = (offset, numbers.next()) else {
                        return Err("the map of a sparse file is no list of pairs of numbers");
                    };
                    map.push(offset, bytes)?;
                }
            }
            // How many extents there are can be counted.
            _ => {}
        }
        Ok(())
    }

    /// The form that the records tell; `None` if the file is not sparse.
    pub(super) fn finish(self) -> Result<Option<PaxSparse>, &'static str> {
        match (self.version, self.size, self.map) {
            ((None, None), None, None) => Ok(None),
            (_, None, _) => Err("a sparse file without its size"),
            ((Some(1), Some(0)), Some(size), None) => Ok(Some(PaxSparse::MapInData(size))),
            ((None, None) | (Some(0), Some(0 | 1)), Some(size), map) => {
                Ok(Some(PaxSparse::Whole(size, map.unwrap_or_default())))
            }
            _ => Err("a sparse file of an unknown form"),
        }
    }
}

/// The map in front of the data, byte by byte.
#[derive(Debug, Default)]
pub(super) struct MapParser {
    map: SparseMap,
    number: Option<u64>,
    /// How many numbers are still to come, once the first has said so.
    left: Option<u64>,
    offset: Option<u64>,
}

impl MapParser {
    /// Takes in a block; whether the map ends there.
    pub(super) fn block(&mut self, block: &[u8]) -> Result<bool, &'static str> {
        for byte in block {
            if *byte != b'\n' {
                let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
                let number = digit.and_then(|d| self.number.unwrap_or(0).checked_mul(10)?.checked_add(d));
                self.number = Some(number.ok_or("a number of its map is none")?);
                continue;
            }
            let number = self.number.take().ok_or("a number of its map is none")?;
            match (&mut self.left, self.offset.take()) {
                (None, _) => {
                    self.left = Some(number.checked_mul(2).ok_or("a number of its map is too large")?)
                }
                (Some(left), None) => {
                    self.offset = Some(number);
                    *left -= 1;
                }
                (Some(left), Some(offset)) => {
                    self.map.push(offset, number)?;
                    *left -= 1;
                }
            }
            if self.left == Some(0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn finish(self) -> SparseMap {
        self.map
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

/// An error about the sparse file whose header is at `offset`.
pub(super) fn malformed(offset: u64) -> impl Fn(&'static str) -> Error {
    move |why| Error::format(offset, Kind::Sparse(why))
}
