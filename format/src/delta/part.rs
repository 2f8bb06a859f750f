//! The parts of a delta.
//!
//! ```text
//! file   y: 0, or 'x' for xz │ the rest, compressed accordingly
//! rest   (a(uuu)aa(ayay)ayay)
//!          modes     uid, gid, mode of files, big endian
//!          xattrs    lists of xattrs of files
//!          payload   new bytes, which operations point into
//!          ops       operations, in the order of the objects that they make
//! ```
//! Source: libostree ostree-repo-static-delta-private.h:28-40, ostree-repo-static-delta-core.c:640-720.

use std::ops::Range;

use crate::error::{ParseError, ParseErrorKind, Result};
use crate::wire::{Frame, Slice, chosen_width, tuple_ends};
use crate::xattrs::Xattrs;

const WHAT: &str = "delta part";
/// Bytes of owner, group and mode.
const MODE_BYTES: usize = 12;

/// The compression of a part's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartCompression {
    /// None.
    Plain,
    /// xz.
    Xz,
}

/// Splits the file of a part into its compression and what is compressed.
///
/// # Errors
/// If the file is empty, or compressed in a way that there is not.
pub fn split_part(file: &[u8]) -> Result<(PartCompression, &[u8])> {
    match file.split_first() {
        Some((0, rest)) => Ok((PartCompression::Plain, rest)),
        Some((b'x', rest)) => Ok((PartCompression::Xz, rest)),
        Some((other, _)) => Err(ParseError::invalid(WHAT, 0, format!("no such compression: {other}"))),
        None => Err(ParseError::new(WHAT, 0, ParseErrorKind::Truncated)),
    }
}

/// Owner and mode of the files that an operation opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeltaMode {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// File type and permissions, as in `st_mode`.
    pub mode: u32,
}

/// Where the members of a decompressed part lie in it: it need not be in memory as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartLayout {
    /// Owners and modes, for [`DeltaMode::list`].
    pub modes: Range<u64>,
    /// Lists of xattrs, for [`part_xattrs`].
    pub xattrs: Range<u64>,
    /// New bytes, which operations point into.
    pub payload: Range<u64>,
    /// The operations, for [`DeltaOps`](super::DeltaOps).
    pub ops: Range<u64>,
}

impl PartLayout {
    /// The number of bytes at the end of a part that tell its layout.
    pub const TAIL_BYTES: usize = 24;

    /// Reads the layout of a part of `len` bytes from its end: [`PartLayout::TAIL_BYTES`], or all of it if it is shorter.
    ///
    /// # Errors
    /// If the part is not in normal form.
    pub fn read(len: u64, tail: &[u8]) -> Result<Self> {
        let [modes, xattrs, payload, ops] = tuple_ends(WHAT, len, tail)?;
        Ok(Self { modes: 0..modes, xattrs: modes..xattrs, payload: xattrs..payload, ops: payload..ops })
    }
}

impl DeltaMode {
    /// Reads the modes of a part.
    ///
    /// # Errors
    /// If the last one is cut off.
    pub fn list(bytes: &[u8]) -> Result<Vec<Self>> {
        let (modes, rest) = bytes.as_chunks::<MODE_BYTES>();
        if !rest.is_empty() {
            return Err(ParseError::new("modes of a delta part", bytes.len(), ParseErrorKind::Truncated));
        }
        let field =
            |mode: &[u8; MODE_BYTES], n: usize| mode[4 * n..].first_chunk().copied().map(u32::from_be_bytes);
        let one = |mode| Some(Self { uid: field(mode, 0)?, gid: field(mode, 1)?, mode: field(mode, 2)? });
        Ok(modes.iter().filter_map(one).collect())
    }

    fn write(&self, out: &mut Vec<u8>) {
        for number in [self.uid, self.gid, self.mode] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

/// Reads the lists of xattrs of a part.
///
/// # Errors
/// If they are not in normal form, or one has a name twice.
pub fn part_xattrs(bytes: &[u8]) -> Result<Vec<Xattrs>> {
    let lists = Slice::new("xattrs of a delta part", bytes).elements(1)?;
    lists.map(|list| Xattrs::read_unsorted(list?)).collect()
}

/// The members of a part that stand before its payload, and behind it: what is compressed is the one, the payload and
/// the other.
pub fn frame_part(
    modes: &[DeltaMode],
    xattrs: &[Xattrs],
    payload_bytes: usize,
    ops: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    let mut head = Vec::new();
    modes.iter().for_each(|mode| mode.write(&mut head));
    let modes_end = head.len();
    let mut array = Frame::begin(&mut head, 1);
    for list in xattrs {
        list.write(&mut head);
        array.end_member(&head);
    }
    array.finish_array(&mut head);
    let (xattrs_end, mut tail) = (head.len(), ops.to_vec());
    let payload_end = xattrs_end + payload_bytes;
    let width = chosen_width(payload_end + ops.len(), 3);
    for end in [payload_end, xattrs_end, modes_end] {
        tail.extend_from_slice(&(end as u64).to_le_bytes()[..width]);
    }
    (head, tail)
}
