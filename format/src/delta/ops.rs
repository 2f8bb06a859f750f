//! The operations of a part.
//!
//! ```text
//! 'S' splice   metadata: length, offset    content: mode, xattrs, length, offset      an object out of the payload
//! 'o' open     mode, xattrs, length                                                   a content object begins
//! 'r' source   offset in the payload, of the 32 bytes of a content object's checksum  writes take bytes from there
//! 'R' unset                                                                           … from the payload again
//! 'w' write    length, offset in the source                                           bytes of the object
//! 'B' patch    offset, length in the payload: bsdiff's control, difference, extra     bytes of the object, by the source
//! 'c' close                                                                           the object is whole
//! ```
//! One byte, then base-128 numbers, low bits first, with the high bit on all bytes but the last. Modes and xattrs are
//! numbers of entries of the part's lists.
//!
//! Source: libostree ostree-repo-static-delta-processing.c:397-780.

use crate::error::{ParseError, ParseErrorKind, Result};
use crate::object::ObjectName;
use crate::wire::{Slice, read_varint, write_varint};

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeltaOp {
    /// A metadata object is these bytes of the payload.
    SpliceMeta {
        /// Bytes of the object.
        len: u64,
        /// The place of its first byte in the payload.
        offset: u64,
    },
    /// A content object has these bytes of the payload: the target, if it is a symbolic link.
    SpliceContent {
        /// The number of its mode.
        mode: u64,
        /// The number of its xattrs.
        xattrs: u64,
        /// Bytes of its content.
        len: u64,
        /// The place of the first of them in the payload.
        offset: u64,
    },
    /// A content object begins, which writes and patches fill.
    Open {
        /// The number of its mode.
        mode: u64,
        /// The number of its xattrs.
        xattrs: u64,
        /// Bytes of its content.
        len: u64,
    },
    /// Bytes of the source, or of the payload if there is no source, are appended.
    Write {
        /// The number of bytes.
        len: u64,
        /// The place of the first of them.
        offset: u64,
    },
    /// The content object whose checksum stands at this place of the payload becomes the source.
    SetSource {
        /// The place of the checksum in the payload.
        offset: u64,
    },
    /// There is no source any longer.
    UnsetSource,
    /// The content object is whole.
    Close,
    /// Bytes of the source, changed by a patch in the payload, are appended.
    Patch {
        /// The place of the patch in the payload.
        offset: u64,
        /// Bytes of the patch.
        len: u64,
    },
}

impl DeltaOp {
    /// Appends the operation to others.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (code, numbers): (u8, &[u64]) = match self {
            Self::SpliceMeta { len, offset } => (b'S', &[*len, *offset]),
            Self::SpliceContent { mode, xattrs, len, offset } => (b'S', &[*mode, *xattrs, *len, *offset]),
            Self::Open { mode, xattrs, len } => (b'o', &[*mode, *xattrs, *len]),
            Self::Write { len, offset } => (b'w', &[*len, *offset]),
            Self::SetSource { offset } => (b'r', &[*offset]),
            Self::UnsetSource => (b'R', &[]),
            Self::Close => (b'c', &[]),
            Self::Patch { offset, len } => (b'B', &[*offset, *len]),
        };
        out.push(code);
        numbers.iter().for_each(|number| write_varint(*number, out));
    }
}

/// Operations in their order; ends after an error.
#[derive(Debug, Clone)]
pub struct DeltaOps<'a, 'o> {
    ops: Slice<'a>,
    at: usize,
    objects: std::slice::Iter<'o, ObjectName>,
}

impl<'a, 'o> DeltaOps<'a, 'o> {
    /// Reads operations that make these objects: those that the superblock names for the part, if they are all of its
    /// operations.
    pub fn new(ops: &'a [u8], objects: &'o [ObjectName]) -> Self {
        Self { ops: Slice::new("operations of a delta part", ops), at: 0, objects: objects.iter() }
    }

    /// The place of the next operation.
    pub fn position(&self) -> usize {
        self.at
    }

    fn error(&self, at: usize, why: impl Into<String>) -> ParseError {
        self.ops.error(at, ParseErrorKind::Invalid(why.into()))
    }

    fn number(&mut self) -> Result<u64> {
        read_varint(self.ops, &mut self.at)
    }

    /// The object that is whole with the operation at `start`.
    fn object(&mut self, start: usize) -> Result<ObjectName> {
        let object = self.objects.next().copied();
        object.ok_or_else(|| self.error(start, "more objects than the superblock names"))
    }

    fn op(&mut self, code: u8) -> Result<DeltaOp> {
        let start = self.at;
        self.at += 1;
        Ok(match code {
            b'S' if self.object(start)?.kind.is_meta() => {
                DeltaOp::SpliceMeta { len: self.number()?, offset: self.number()? }
            }
            b'S' => {
                let (mode, xattrs) = (self.number()?, self.number()?);
                DeltaOp::SpliceContent { mode, xattrs, len: self.number()?, offset: self.number()? }
            }
            b'o' => DeltaOp::Open { mode: self.number()?, xattrs: self.number()?, len: self.number()? },
            b'w' => DeltaOp::Write { len: self.number()?, offset: self.number()? },
            b'r' => DeltaOp::SetSource { offset: self.number()? },
            b'R' => DeltaOp::UnsetSource,
            b'c' => self.object(start).map(|_| DeltaOp::Close)?,
            b'B' => DeltaOp::Patch { offset: self.number()?, len: self.number()? },
            other => return Err(self.error(start, format!("no such operation: {other}"))),
        })
    }
}

impl Iterator for DeltaOps<'_, '_> {
    type Item = Result<DeltaOp>;

    fn next(&mut self) -> Option<Self::Item> {
        let code = *self.ops.bytes.get(self.at)?;
        let op = self.op(code);
        if op.is_err() {
            self.at = self.ops.bytes.len();
        }
        Some(op)
    }
}
