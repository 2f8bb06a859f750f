//! The metadata of a superblock, without the parts that lie in it.
//!
//! ```text
//! {sv}   key, NUL │ padding to 8 │ value, NUL, type │ the end of the key
//!        deltas/…/N               file of the part, NUL, (yay)
//! ```
//! The value `(yay)` of a part, its compression and what is compressed, is the very file that it would have beside the
//! superblock.

use std::ops::Range;

use super::pieces::{Pieces, error, within, zeros};
use super::{DeltaName, invalid};
use crate::error::{ParseError, ParseErrorKind, Result};
use crate::variant::{Dict, Type, Value};
use crate::wire::{chosen_width, little_endian, offset_width, size};

/// Bytes at the start of an entry that hold the key of a part.
const KEY_BYTES: u64 = 256;
/// What ends the value of a part.
const PART_TYPE: &[u8] = b"\0(yay)";
/// Bytes of an entry's end: the type of a part, and the end of the key.
const END_BYTES: u64 = 8 + PART_TYPE.len() as u64;
/// The alignment of entries, and of the value in each.
const ALIGN: u64 = 8;

/// A part that lies in the superblock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlinePart {
    /// The number of the part.
    pub number: usize,
    /// The number of entries in [`Superblock::metadata`](super::Superblock::metadata) before which it stands.
    pub position: usize,
    /// Where the file of the part lies in the superblock.
    pub bytes: Range<u64>,
}

/// Reads the metadata, which is everything before the offset `end`.
pub(super) fn read_metadata<E, F>(
    file: &mut Pieces<F>,
    end: u64,
    name: &DeltaName,
) -> Result<(Dict, Vec<InlinePart>), E>
where
    E: From<ParseError>,
    F: FnMut(Range<u64>) -> Result<Vec<u8>, E>,
{
    let (mut metadata, mut inline) = (Dict::new(), Vec::new());
    let (table, width) = table(file, end)?;
    let (body, mut at) = (table.start, 0_u64);
    for (number, entry_end) in file.read(table)?.chunks(width.max(1)).map(little_endian).enumerate() {
        let start = at.next_multiple_of(ALIGN);
        if entry_end <= start || entry_end > body {
            return Err(error(body + (number * width) as u64, ParseErrorKind::BadOffset).into());
        }
        let entry = start..entry_end;
        zeros(at, &file.read(at..start)?)?;
        let head = file.read(start..entry_end.min(start + KEY_BYTES))?;
        let tail = file.read(entry_end.saturating_sub(END_BYTES).max(start)..entry_end)?;
        match part(name, &entry, &head, &tail) {
            Some((number, bytes)) => inline.push(InlinePart { number, position: metadata.len(), bytes }),
            None => {
                let (key, value) = parse(&file.read(entry)?).map_err(|e| within(start, e))?;
                metadata.push(key, value);
            }
        }
        at = entry_end;
    }
    Ok((metadata, inline))
}

/// Where the table lies that tells where each entry ends, and the bytes of one number in it.
fn table<E, F>(file: &mut Pieces<F>, end: u64) -> Result<(Range<u64>, usize), E>
where
    E: From<ParseError>,
    F: FnMut(Range<u64>) -> Result<Vec<u8>, E>,
{
    let width = offset_width(size(end));
    if width == 0 {
        return Ok((0..0, 0));
    }
    let last = end.saturating_sub(width as u64);
    let body = little_endian(&file.read(last..end)?);
    if body > last || !(end - body).is_multiple_of(width as u64) {
        return Err(error(last, ParseErrorKind::BadOffset).into());
    }
    if chosen_width(size(body), size(end - body) / width) != width {
        return Err(error(body, ParseErrorKind::NotNormal).into());
    }
    Ok((body..end, width))
}

/// The part that an entry is, which begins and ends with these bytes: its number, and where its file lies. `None` for
/// everything that is not a part in normal form.
fn part(name: &DeltaName, entry: &Range<u64>, head: &[u8], tail: &[u8]) -> Option<(usize, Range<u64>)> {
    let whole = entry.end - entry.start;
    let width = offset_width(size(whole));
    let (value, key_end) = tail.split_at_checked(tail.len().checked_sub(width)?)?;
    let body = whole - width as u64;
    let key_end = usize::try_from(little_endian(key_end)).ok()?;
    let (key, rest) = head.split_at_checked(key_end)?;
    let number = str::from_utf8(key).ok()?.strip_suffix('\0')?.rsplit('/').next()?.parse().ok()?;
    let start = key_end.next_multiple_of(ALIGN as usize);
    let is_zero = rest.get(..start - key_end)?.iter().all(|byte| *byte == 0);
    let file = entry.start + start as u64..(entry.start + body).checked_sub(PART_TYPE.len() as u64)?;
    let is_part = key.strip_suffix(b"\0")? == name.part_path(number).as_bytes()
        && value.ends_with(PART_TYPE)
        && chosen_width(size(body), 1) == width;
    (is_part && is_zero && !file.is_empty()).then_some((number, file))
}

fn parse(entry: &[u8]) -> Result<(String, Value)> {
    let Value::Entry(entry) = Value::from_bytes(&Type::parse("{sv}")?, entry)? else {
        return Err(invalid("metadata without a name"));
    };
    match entry.into_parts() {
        (Value::Str(key), Value::Variant(value)) => Ok((key, *value)),
        _ => Err(invalid("metadata without a name")),
    }
}
