//! A superblock is read piece by piece: parts that lie in it stay where they are.

use std::ops::Range;

use super::WHAT;
use crate::error::{ParseError, ParseErrorKind, Result};
use crate::object::MAX_METADATA_BYTES;
use crate::variant::{Type, Value};
use crate::wire::size;

/// A file of which pieces are read, at most [`MAX_METADATA_BYTES`] in all.
pub(super) struct Pieces<F> {
    read: F,
    left: u64,
}

impl<F> Pieces<F> {
    pub(super) const fn new(read: F) -> Self {
        Self { read, left: MAX_METADATA_BYTES }
    }

    /// The bytes of `range`.
    pub(super) fn read<E>(&mut self, range: Range<u64>) -> Result<Vec<u8>, E>
    where
        E: From<ParseError>,
        F: FnMut(Range<u64>) -> Result<Vec<u8>, E>,
    {
        let left = range.end.checked_sub(range.start).and_then(|len| self.left.checked_sub(len));
        self.left = left.ok_or_else(|| error(range.start, ParseErrorKind::TooLarge(MAX_METADATA_BYTES)))?;
        (self.read)(range)
    }
}

/// The members of a tuple that lie one behind the other in memory, and where that is in the file.
pub(super) struct Members<'a> {
    /// The offset of the first byte that is left.
    pub(super) at: u64,
    /// What is left.
    pub(super) bytes: &'a [u8],
}

impl Members<'_> {
    /// The next member, of this type and alignment, which ends at the offset `end`.
    pub(super) fn next(&mut self, ty: &str, align: u64, end: u64) -> Result<Value> {
        let start = self.at.next_multiple_of(align);
        let split = || {
            let (member, rest) = self.bytes.split_at_checked(size(end.checked_sub(self.at)?))?;
            Some((member.split_at_checked(size(start - self.at))?, rest))
        };
        let ((padding, member), rest) = split().ok_or_else(|| error(self.at, ParseErrorKind::BadOffset))?;
        zeros(self.at, padding)?;
        let value = Value::from_bytes(&Type::parse(ty)?, member).map_err(|e| within(start, e))?;
        (self.at, self.bytes) = (end, rest);
        Ok(value)
    }
}

/// Padding, which begins at the offset `at`, has to be zero.
pub(super) fn zeros(at: u64, padding: &[u8]) -> Result<()> {
    match padding.iter().position(|byte| *byte != 0) {
        Some(byte) => Err(error(at + byte as u64, ParseErrorKind::Padding)),
        None => Ok(()),
    }
}

pub(super) fn error(at: u64, kind: ParseErrorKind) -> ParseError {
    ParseError::new(WHAT, size(at), kind)
}

/// An error in what begins at the offset `start`.
pub(super) fn within(start: u64, error: ParseError) -> ParseError {
    ParseError { offset: size(start).saturating_add(error.offset), ..error }
}
