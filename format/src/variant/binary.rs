//! The GVariant serialization.
//!
//! ```text
//! basic      little endian; strings end with one NUL
//! variant    value, NUL, type string
//! maybe      nothing: empty; just: the value, and a zero byte if values of the type have no fixed size
//! array      elements, each aligned; if they have no fixed size: the end of each of them
//! tuple      members, each aligned; the end of each member without a fixed size, but not the last one's,
//!            in reverse order; or, if the whole has a fixed size: padded to the alignment
//! ```
//!
//! Ends count from the start of the container and take 1, 2, 4 or 8 bytes each, the fewest that can address the
//! whole container. Padding is zero.

mod read;
mod write;

use super::ty::Type;
use super::value::Value;
use crate::Result;

impl Value {
    /// Reads a value of type `ty` from `data`, all of it.
    ///
    /// # Errors
    /// If the bytes are not the normal form of a value: with the offset of the byte that is wrong.
    pub fn from_bytes(ty: &Type, data: &[u8]) -> Result<Self> {
        read::read(ty, data)
    }

    /// The serialization of the value.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write::write(self, &mut out);
        out
    }
}

/// How many bytes each framing offset takes in a container of `size` bytes.
fn offset_size(size: usize) -> usize {
    match size {
        0 => 0,
        1..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// How many bytes each framing offset takes after `body` bytes, when there are `count` of them.
fn offset_size_for(body: usize, count: usize) -> usize {
    let fits = |width: usize, max: u64| (body as u64).saturating_add((width as u64) * (count as u64)) <= max;
    match () {
        () if fits(1, 0xff) => 1,
        () if fits(2, 0xffff) => 2,
        () if fits(4, 0xffff_ffff) => 4,
        () => 8,
    }
}
