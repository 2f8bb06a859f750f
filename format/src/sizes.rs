//! `ostree.sizes`, the metadata of a commit that says how large its objects are.
//!
//! ```text
//! aay, sorted; each: checksum (32) | archived size | unpacked size | object type (1)
//! ```
//! Sizes are base-128 numbers, low bits first, with the high bit on all bytes but the last. Entries by libostree
//! before 2020.1 lack the object type: they are all files.
//!
//! Source: libostree ostree-repo-commit.c:418-456, ostree-core.c:2538-2588.

use crate::variant::{Dict, Value};
use crate::wire::{Slice, read_varint, write_varint};
use crate::{Checksum, ObjectName, ObjectType, ParseError, ParseErrorKind, Result};

/// The key in the metadata of a commit.
pub const SIZES_KEY: &str = "ostree.sizes";

/// The sizes of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectSize {
    /// The object: a file, dirtree or dirmeta.
    pub object: ObjectName,
    /// The size of the object in an archive repository, in bytes: what has to be downloaded.
    pub archived_bytes: u64,
    /// The size of its content when it is checked out, in bytes.
    pub unpacked_bytes: u64,
}

/// The sizes that the metadata of a commit holds, if it does.
///
/// # Errors
/// If they have another type, or an entry is not as drawn above.
pub fn parse_sizes(metadata: &Dict) -> Result<Option<Vec<ObjectSize>>> {
    if !metadata.contains_key(SIZES_KEY) {
        return Ok(None);
    }
    match metadata.get_bytes_array(SIZES_KEY) {
        Some(entries) => entries.into_iter().map(ObjectSize::parse).collect::<Result<_>>().map(Some),
        None => Err(ParseError::invalid(SIZES_KEY, 0, "the type is not 'aay'")),
    }
}

/// The value of the key for these objects, which are sorted by their checksums.
pub fn sizes_value(mut sizes: Vec<ObjectSize>) -> Value {
    sizes.sort_unstable();
    Value::bytes_array(sizes.iter().map(ObjectSize::to_bytes))
}

impl ObjectSize {
    /// Reads one entry.
    ///
    /// # Errors
    /// If it is not as drawn above.
    pub fn parse(entry: &[u8]) -> Result<Self> {
        let (checksum, rest) = entry.split_at_checked(32).unwrap_or((entry, &[]));
        let checksum = Checksum::from_slice(SIZES_KEY, 0, checksum)?;
        let (slice, mut at) = (Slice::new(SIZES_KEY, entry), entry.len() - rest.len());
        let archived_bytes = read_varint(slice, &mut at)?;
        let unpacked_bytes = read_varint(slice, &mut at)?;
        let kind = match entry.get(at..).unwrap_or_default() {
            [] => ObjectType::File,
            [number] => match ObjectType::from_number(*number) {
                Some(kind) => kind,
                None => {
                    return Err(ParseError::invalid(SIZES_KEY, at, format!("no such object type: {number}")));
                }
            },
            _ => return Err(ParseError::new(SIZES_KEY, at + 1, ParseErrorKind::TrailingData)),
        };
        Ok(Self { object: ObjectName::new(checksum, kind), archived_bytes, unpacked_bytes })
    }

    /// The entry.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.object.checksum.as_bytes().to_vec();
        write_varint(self.archived_bytes, &mut out);
        write_varint(self.unpacked_bytes, &mut out);
        out.push(self.object.kind as u8);
        out
    }
}
