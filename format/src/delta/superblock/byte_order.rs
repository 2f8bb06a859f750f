//! The byte order of a superblock's numbers.

use std::cmp::Ordering;

use super::{DeltaPartEntry, invalid};
use crate::error::Result;
use crate::variant::{Dict, Value};

const ENDIANNESS: &str = "ostree.endianness";

/// The order of the bytes in a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// The least significant byte comes first.
    Little,
    /// The most significant byte comes first.
    Big,
}

/// The source from which the byte order of a superblock is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endianness {
    /// The superblock states it.
    Stated(ByteOrder),
    /// The superblock does not state it, and its sizes make sense in this order only.
    Guessed(ByteOrder),
    /// Nothing tells, as there are no parts; numbers are read as little endian.
    Unknown,
}

impl Endianness {
    /// The byte order in which numbers are read and written.
    pub const fn order(self) -> ByteOrder {
        match self {
            Self::Stated(order) | Self::Guessed(order) => order,
            Self::Unknown => ByteOrder::Little,
        }
    }
}

/// The byte order that is stated; where none is, the one in which the sizes are smaller: nobody ships exabytes. libostree
/// takes the other one where a part is larger than what comes out of it by a fifth, as parts of a few small objects are.
pub(super) fn endianness(metadata: &Dict, parts: &[DeltaPartEntry]) -> Result<Endianness> {
    match metadata.get(ENDIANNESS) {
        Some(Value::Byte(b'l')) => return Ok(Endianness::Stated(ByteOrder::Little)),
        Some(Value::Byte(b'B')) => return Ok(Endianness::Stated(ByteOrder::Big)),
        Some(_) => return Err(invalid("ostree.endianness is neither 'l' nor 'B'")),
        None => {}
    }
    let sizes = || parts.iter().flat_map(|part| [part.file_bytes, part.unpacked_bytes]);
    let little: u128 = sizes().map(u128::from).sum();
    let big: u128 = sizes().map(|size| u128::from(size.swap_bytes())).sum();
    Ok(match little.cmp(&big) {
        Ordering::Less => Endianness::Guessed(ByteOrder::Little),
        Ordering::Equal => Endianness::Unknown,
        Ordering::Greater => Endianness::Guessed(ByteOrder::Big),
    })
}
