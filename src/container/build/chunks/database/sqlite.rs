//! The rows of a table of an SQLite database that lies in memory.
//!
//! ```text
//! page 1   "SQLite format 3\0" · bytes of a page: u16 at 16, 1 for 65536 · of these unused: u8 at 20 · from 100 on
//!          the tree of the table of tables: kind, name, name of its table, first page, …
//! page     kind: u8, 5 inner, 13 leaf · u16 · cells: u16 · u16 · u8 · last child: u32, inner only ·
//!          offset in the page of each cell: u16
//! cell     inner: child: u32 · key: varint
//!          leaf: bytes of the record: varint · key: varint · the record, or its beginning and the page that goes
//!          on: u32; that page begins with the one after it
//! record   bytes of this head: varint · kind of each column: varint · columns
//! ```
//! Numbers are big-endian; pages count from 1. A journal beside the database is not looked at: it is empty once
//! the last program has closed it. Source: <https://sqlite.org/fileformat2.html>, sections 1.3, 1.5, 1.6 and 2.1.

use std::borrow::Cow;

pub(super) const BEGINNING: &[u8] = b"SQLite format 3\0";
/// What stands before the tree in page 1, in bytes.
const FILE_HEAD: usize = 100;
const INNER: u8 = 5;
const LEAF: u8 = 13;
/// Columns of a row that are handed over, at most: as many as the table of tables has.
const MAX_COLUMNS: usize = 5;

/// A value in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Integer(i64),
    /// Text, or what is none.
    Bytes(&'a [u8]),
    /// Nothing, or a number with a fraction.
    Other,
}

/// Hands over the first columns of each row of a table, until the database ends or makes no sense.
pub(super) fn rows(database: &[u8], table: &str, each: &mut dyn FnMut(&[Value<'_>])) {
    let Some(mut database) = Database::open(database) else { return };
    let mut first = None;
    let _ = database.tree(1, &mut |row| {
        if let [Value::Bytes(b"table"), Value::Bytes(name), _, Value::Integer(page), ..] = row
            && *name == table.as_bytes()
        {
            first = u32::try_from(*page).ok();
        }
    });
    if let Some(first) = first {
        let _ = database.tree(first, each);
    }
}

struct Database<'a> {
    bytes: &'a [u8],
    page_bytes: usize,
    /// Bytes of a page that are used.
    usable: usize,
    /// Bytes of pages and records that may still be read. What wants more than there are runs in circles.
    left: usize,
}

impl<'a> Database<'a> {
    fn open(bytes: &'a [u8]) -> Option<Self> {
        let page_bytes = match be16(bytes, 16)? {
            1 => 65536,
            bytes => bytes,
        };
        let usable = page_bytes.checked_sub(usize::from(*bytes.get(20)?))?;
        let is_right = bytes.starts_with(BEGINNING) && page_bytes.is_power_of_two() && usable >= 480;
        is_right.then_some(Self { bytes, page_bytes, usable, left: bytes.len().saturating_mul(2) })
    }

    fn page(&mut self, number: u32) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(self.page_bytes)?;
        let start = usize::try_from(number).ok()?.checked_sub(1)?.checked_mul(self.page_bytes)?;
        self.bytes.get(start..)?.get(..self.page_bytes)
    }

    /// Hands over the rows below a page, in order.
    fn tree(&mut self, root: u32, each: &mut dyn FnMut(&[Value<'_>])) -> Option<()> {
        let mut todo = vec![root];
        while let Some(number) = todo.pop() {
            let page = self.page(number)?;
            let head = if number == 1 { FILE_HEAD } else { 0 };
            let cells = be16(page, head + 3)?;
            match *page.get(head)? {
                INNER => {
                    todo.push(be32(page, head + 8)?);
                    for cell in (0..cells).rev() {
                        todo.push(be32(page, be16(page, head + 12 + 2 * cell)?)?);
                    }
                }
                LEAF => {
                    for cell in 0..cells {
                        let cell = page.get(be16(page, head + 8 + 2 * cell)?..)?;
                        let record = self.record(cell)?;
                        each(&columns(&record)?);
                    }
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// The record of a cell, put together.
    fn record(&mut self, mut cell: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let length = usize::try_from(varint(&mut cell)?).ok()?;
        let _key = varint(&mut cell)?;
        self.left = self.left.checked_sub(length)?;
        let most = self.usable - 35;
        if length <= most {
            return cell.get(..length).map(Cow::Borrowed);
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let fits = least + (length - least) % (self.usable - 4);
        let (begun, after) = cell.split_at_checked(if fits <= most { fits } else { least })?;
        let mut record = Vec::with_capacity(length);
        record.extend(begun);
        let mut next = be32(after, 0)?;
        while record.len() < length {
            let page = self.page(next)?;
            next = be32(page, 0)?;
            let wanted = (length - record.len()).min(self.usable - 4);
            record.extend(page.get(4..4 + wanted)?);
        }
        Some(Cow::Owned(record))
    }
}

/// The first columns of a record.
fn columns(record: &[u8]) -> Option<Vec<Value<'_>>> {
    let mut kinds = record;
    let head = usize::try_from(varint(&mut kinds)?).ok()?;
    let mut content = record.get(head..)?;
    let mut kinds = record.get(record.len() - kinds.len()..head)?;
    let mut columns = Vec::with_capacity(MAX_COLUMNS);
    while !kinds.is_empty() && columns.len() < MAX_COLUMNS {
        let kind = varint(&mut kinds)?;
        let bytes = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            12.. => (kind - 12) / 2,
        };
        let (value, rest) = content.split_at_checked(usize::try_from(bytes).ok()?)?;
        content = rest;
        columns.push(match kind {
            1..=6 => Value::Integer(integer(value)),
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            12.. => Value::Bytes(value),
            _ => Value::Other,
        });
    }
    Some(columns)
}

/// A signed number of up to eight bytes.
fn integer(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|first| *first >= 0x80) { -1 } else { 0 };
    bytes.iter().fold(sign, |all, byte| all << 8 | i64::from(*byte))
}

/// Takes a number of up to nine bytes: seven bits of each but of the ninth, which has eight.
fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for n in 0..9 {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        if n == 8 {
            return Some(number << 8 | u64::from(*byte));
        }
        number = number << 7 | u64::from(*byte & 0x7f);
        if *byte < 0x80 {
            break;
        }
    }
    Some(number)
}

fn be16(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(usize::from(u16::from_be_bytes(*bytes)))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let read = |mut bytes: &[u8]| varint(&mut bytes).map(|number| (number, bytes.len()));
        assert_eq!(read(&[0x7f, 1]), Some((127, 1)));
        assert_eq!(read(&[0x81, 0]), Some((128, 0)));
        assert_eq!(read(&[0xff; 10]), Some((u64::MAX, 1)));
        assert_eq!(read(&[0x80]), None);
        assert_eq!((integer(&[]), integer(&[0xff, 0xfe]), integer(&[0, 0xff])), (0, -2, 255));
    }

    /// A page that is its own child, and records longer than the file.
    #[test]
    fn circles_end() {
        let mut page = [BEGINNING, &[2, 0, 1, 1, 0]].concat();
        page.resize(FILE_HEAD, 0);
        page.extend([INNER, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 100]);
        page.resize(512, 0);
        rows(&page, "x", &mut |_| panic!("no row"));
        page[FILE_HEAD] = LEAF;
        page[FILE_HEAD + 8..FILE_HEAD + 10].copy_from_slice(&[1, 0]);
        page[256..260].copy_from_slice(&[0xff, 0xff, 0x7f, 1]);
        rows(&page, "x", &mut |_| panic!("no row"));
    }
}
