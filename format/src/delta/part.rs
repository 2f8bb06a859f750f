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

use crate::error::{ParseError, ParseErrorKind, Result};
use crate::object::ObjectName;
use crate::wire::{Elements, Slice, Tuple};
use crate::xattrs::Xattrs;

use super::DeltaOps;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaMode {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// File type and permissions, as in `st_mode`.
    pub mode: u32,
}

/// A part, decompressed; borrows its bytes.
#[derive(Clone, Copy)]
pub struct DeltaPart<'a> {
    modes: Slice<'a>,
    xattrs: Slice<'a>,
    /// New bytes, which operations point into.
    pub payload: &'a [u8],
    ops: Slice<'a>,
}

impl<'a> DeltaPart<'a> {
    /// Reads what was compressed.
    ///
    /// # Errors
    /// If it is not in normal form.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut tuple = Tuple::new(Slice::new(WHAT, bytes), 3)?;
        let modes = tuple.framed(4)?.named("modes of a delta part");
        let xattrs = tuple.framed(1)?.named("xattrs of a delta part");
        let payload = tuple.framed(1)?.bytes;
        let ops = tuple.last(1)?.named("operations of a delta part");
        if modes.bytes.len() % MODE_BYTES != 0 {
            return Err(modes.error(modes.bytes.len(), ParseErrorKind::Truncated));
        }
        for list in xattrs.elements(1)? {
            Xattrs::read_unsorted(list?)?;
        }
        Ok(Self { modes, xattrs, payload, ops })
    }

    /// The number of modes.
    pub fn mode_count(&self) -> usize {
        self.modes.bytes.len() / MODE_BYTES
    }

    /// The mode of this number.
    pub fn mode(&self, number: u64) -> Option<DeltaMode> {
        let at = usize::try_from(number).ok()?.checked_mul(MODE_BYTES)?;
        let field = |n: usize| {
            let bytes = self.modes.bytes.get(at + 4 * n..)?.first_chunk()?;
            Some(u32::from_be_bytes(*bytes))
        };
        at.checked_add(MODE_BYTES)?;
        Some(DeltaMode { uid: field(0)?, gid: field(1)?, mode: field(2)? })
    }

    /// The lists of xattrs, in their order.
    pub fn xattrs(&self) -> impl Iterator<Item = Xattrs> + use<'a> {
        // They were checked by `parse`.
        let lists: Option<Elements<'a>> = self.xattrs.elements(1).ok();
        lists.into_iter().flatten().filter_map(|list| Xattrs::read_unsorted(list.ok()?).ok())
    }

    /// Bytes of the operations.
    pub fn ops_bytes(&self) -> usize {
        self.ops.bytes.len()
    }

    /// The operations, which make these objects: those that the superblock names for the part.
    pub fn ops<'o>(&self, objects: &'o [ObjectName]) -> DeltaOps<'a, 'o> {
        DeltaOps::new(self.ops, objects)
    }
}
