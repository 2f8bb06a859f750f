//! Errors in a piece of input, with the byte at which they are.

use std::fmt;

/// The result of every parser of this crate.
pub type Result<T, E = ParseError> = std::result::Result<T, E>;

/// Input that is not what it should be.
///
/// Comparable, so that tests match the value and not its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The thing that was being read: `"commit"`, `"dirtree file name"`, `"refspec"`.
    pub what: &'static str,
    /// Offset of the offending byte, from the start of the input that was handed in.
    pub offset: usize,
    /// The error in the input.
    pub kind: ParseErrorKind,
}

/// The ways in which input can be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The input ends before the value does.
    Truncated,
    /// The input is larger than the limit, in bytes.
    TooLarge(u64),
    /// A framing offset points outside of its container or backwards.
    BadOffset,
    /// Bytes follow the value, or lie between its members.
    TrailingData,
    /// A padding byte is not zero.
    Padding,
    /// A string is not UTF-8.
    NotUtf8,
    /// A string is not terminated by exactly one NUL.
    BadNul,
    /// A value is encoded in another form than the one every writer produces.
    NotNormal,
    /// A checksum is not 32 bytes, or not 64 lowercase hexadecimal digits.
    BadChecksum,
    /// Entries are not sorted, or one stands twice.
    NotSorted,
    /// A value that the format does not allow; the text says which and why.
    Invalid(String),
}

impl ParseError {
    /// An error of `kind` at `offset` while reading `what`.
    pub fn new(what: &'static str, offset: usize, kind: ParseErrorKind) -> Self {
        Self { what, offset, kind }
    }

    /// An [`ParseErrorKind::Invalid`] with its text.
    pub fn invalid(what: &'static str, offset: usize, why: impl Into<String>) -> Self {
        Self::new(what, offset, ParseErrorKind::Invalid(why.into()))
    }
}

impl fmt::Display for ParseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the data ends too early"),
            Self::TooLarge(limit) => write!(f, "larger than the limit of {limit} bytes"),
            Self::BadOffset => f.write_str("a framing offset is out of bounds"),
            Self::TrailingData => f.write_str("unexpected bytes after the value"),
            Self::Padding => f.write_str("a padding byte is not zero"),
            Self::NotUtf8 => f.write_str("not UTF-8"),
            Self::BadNul => f.write_str("not terminated by exactly one NUL"),
            Self::NotNormal => f.write_str("not in normal form"),
            Self::BadChecksum => f.write_str("not a SHA-256 checksum"),
            Self::NotSorted => f.write_str("not sorted, or not unique"),
            Self::Invalid(why) => f.write_str(why),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            // The whole of it is wrong, or its start: that it starts there needs no telling.
            0 => write!(f, "{}: {}", self.what, self.kind),
            offset => write!(f, "{} at byte {offset}: {}", self.what, self.kind),
        }
    }
}

impl std::error::Error for ParseError {}
