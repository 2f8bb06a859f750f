//! GVariant type strings.
//!
//! ```text
//! b bool   y byte   n i16  q u16  i i32  u u32  x i64  t u64  h handle  d f64
//! s string o object path   g signature   v variant
//! mT maybe   aT array   (T…) tuple   {KT} dictionary entry, K basic
//! ```

use std::fmt;
use std::str::FromStr;

use super::MAX_DEPTH;
use crate::{ParseError, ParseErrorKind, Result};

/// A type without parts, the only kind that a dictionary key can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Basic {
    /// `b`, one byte, 0 or 1.
    Bool,
    /// `y`
    Byte,
    /// `n`
    I16,
    /// `q`
    U16,
    /// `i`
    I32,
    /// `u`
    U32,
    /// `x`
    I64,
    /// `t`
    U64,
    /// `h`, an index into a list of file descriptors.
    Handle,
    /// `d`
    F64,
    /// `s`, UTF-8, ends with a NUL.
    Str,
    /// `o`, a string of the form `/a/b`.
    ObjectPath,
    /// `g`, a string of complete types.
    Signature,
}

/// The structure of a [`Type`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TypeKind {
    /// A type without parts.
    Basic(Basic),
    /// `v`: a value that brings its type along.
    Variant,
    /// `mT`: nothing, or just a value.
    Maybe(Box<Type>),
    /// `aT`
    Array(Box<Type>),
    /// `(T…)`
    Tuple(Vec<Type>),
    /// `{KT}`
    Entry(Basic, Box<Type>),
}

/// A valid, definite GVariant type.
///
/// Knows its alignment and, where all its values have the same size, that size.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Type {
    kind: TypeKind,
    align: u8,
    fixed_size: Option<usize>,
}

impl Basic {
    /// The character that stands for the type.
    pub const fn code(self) -> char {
        match self {
            Self::Bool => 'b',
            Self::Byte => 'y',
            Self::I16 => 'n',
            Self::U16 => 'q',
            Self::I32 => 'i',
            Self::U32 => 'u',
            Self::I64 => 'x',
            Self::U64 => 't',
            Self::Handle => 'h',
            Self::F64 => 'd',
            Self::Str => 's',
            Self::ObjectPath => 'o',
            Self::Signature => 'g',
        }
    }

    /// The type that `code` stands for.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            b'b' => Self::Bool,
            b'y' => Self::Byte,
            b'n' => Self::I16,
            b'q' => Self::U16,
            b'i' => Self::I32,
            b'u' => Self::U32,
            b'x' => Self::I64,
            b't' => Self::U64,
            b'h' => Self::Handle,
            b'd' => Self::F64,
            b's' => Self::Str,
            b'o' => Self::ObjectPath,
            b'g' => Self::Signature,
            _ => return None,
        })
    }

    /// Size in bytes of every value of the type, 0 for strings, which have none.
    const fn size(self) -> usize {
        match self {
            Self::Bool | Self::Byte => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::Handle => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
            Self::Str | Self::ObjectPath | Self::Signature => 0,
        }
    }
}

impl Type {
    /// `b`
    pub const BOOL: Self = Self::basic(Basic::Bool);
    /// `y`
    pub const BYTE: Self = Self::basic(Basic::Byte);
    /// `u`
    pub const U32: Self = Self::basic(Basic::U32);
    /// `t`
    pub const U64: Self = Self::basic(Basic::U64);
    /// `s`
    pub const STR: Self = Self::basic(Basic::Str);
    /// `v`
    pub const VARIANT: Self = Self { kind: TypeKind::Variant, align: 8, fixed_size: None };

    /// A type without parts.
    pub const fn basic(basic: Basic) -> Self {
        let size = basic.size();
        let (align, fixed_size) = if size == 0 { (1, None) } else { (size as u8, Some(size)) };
        Self { kind: TypeKind::Basic(basic), align, fixed_size }
    }

    /// `mT`
    pub fn maybe(inner: Self) -> Self {
        Self { align: inner.align, fixed_size: None, kind: TypeKind::Maybe(Box::new(inner)) }
    }

    /// `aT`
    pub fn array(element: Self) -> Self {
        Self { align: element.align, fixed_size: None, kind: TypeKind::Array(Box::new(element)) }
    }

    /// `(T…)`
    pub fn tuple(members: Vec<Self>) -> Self {
        let (align, fixed_size) = layout(members.iter().map(|m| (m.align, m.fixed_size)));
        Self { align, fixed_size, kind: TypeKind::Tuple(members) }
    }

    /// `{KT}`
    pub fn entry(key: Basic, value: Self) -> Self {
        let key_type = Self::basic(key);
        let parts = [(key_type.align, key_type.fixed_size), (value.align, value.fixed_size)];
        let (align, fixed_size) = layout(parts.into_iter());
        Self { align, fixed_size, kind: TypeKind::Entry(key, Box::new(value)) }
    }

    /// `ay`, the type of [`Value::Bytes`](super::Value::Bytes).
    pub fn bytes() -> Self {
        Self::array(Self::BYTE)
    }

    /// `a{sv}`, the type of a [`Dict`](super::Dict).
    pub fn vardict() -> Self {
        Self::array(Self::entry(Basic::Str, Self::VARIANT))
    }

    /// Reads a type string.
    ///
    /// # Errors
    /// If `text` is not exactly one definite type, or nests deeper than [`MAX_DEPTH`].
    pub fn parse(text: &str) -> Result<Self> {
        let (ty, used) = Self::parse_prefix(text.as_bytes(), 0)?;
        if used != text.len() {
            return Err(error(used, ParseErrorKind::TrailingData));
        }
        Ok(ty)
    }

    /// The structure of the type.
    pub fn kind(&self) -> &TypeKind {
        &self.kind
    }

    /// The alignment of the values, in bytes: 1, 2, 4 or 8.
    pub fn alignment(&self) -> usize {
        self.align.into()
    }

    /// The size in bytes that every value of the type has, if they have the same.
    pub fn fixed_size(&self) -> Option<usize> {
        self.fixed_size
    }

    /// One complete type at `pos`, and where it ends.
    pub(super) fn parse_prefix(text: &[u8], pos: usize) -> Result<(Self, usize)> {
        let mut parser = Parser { text, pos };
        let ty = parser.complete(MAX_DEPTH)?;
        Ok((ty, parser.pos))
    }
}

impl FromStr for Type {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TypeKind::Basic(basic) => write!(f, "{}", basic.code()),
            TypeKind::Variant => f.write_str("v"),
            TypeKind::Maybe(inner) => write!(f, "m{inner}"),
            TypeKind::Array(element) => write!(f, "a{element}"),
            TypeKind::Tuple(members) => {
                f.write_str("(")?;
                members.iter().try_for_each(|m| write!(f, "{m}"))?;
                f.write_str(")")
            }
            TypeKind::Entry(key, value) => write!(f, "{{{}{value}}}", key.code()),
        }
    }
}

/// Alignment and fixed size of a structure whose members have these.
pub(super) fn layout(members: impl Iterator<Item = (u8, Option<usize>)>) -> (u8, Option<usize>) {
    let mut align = 1;
    let mut size = Some(0);
    for (member_align, member_size) in members {
        align = align.max(member_align);
        size = size
            .zip(member_size)
            .map(|(sum, s): (usize, usize)| sum.next_multiple_of(member_align.into()) + s);
    }
    // The unit type takes one byte, so that an array of units has a length.
    (align, size.map(|s| s.next_multiple_of(align.into()).max(1)))
}

struct Parser<'a> {
    text: &'a [u8],
    pos: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Result<u8> {
        self.text.get(self.pos).copied().ok_or_else(|| error(self.pos, ParseErrorKind::Truncated))
    }

    fn complete(&mut self, depth: usize) -> Result<Type> {
        let start = self.pos;
        let code = self.peek()?;
        let Some(depth) = depth.checked_sub(1) else {
            return Err(ParseError::invalid(WHAT, start, format!("nested deeper than {MAX_DEPTH}")));
        };
        self.pos += 1;
        Ok(match code {
            b'v' => Type::VARIANT,
            b'm' => Type::maybe(self.complete(depth)?),
            b'a' => Type::array(self.complete(depth)?),
            b'(' => {
                let mut members = Vec::new();
                while self.peek()? != b')' {
                    members.push(self.complete(depth)?);
                }
                self.pos += 1;
                Type::tuple(members)
            }
            b'{' => {
                let key = self.peek()?;
                let Some(key) = Basic::from_code(key) else {
                    return Err(ParseError::invalid(
                        WHAT,
                        self.pos,
                        "a dictionary key has to have a basic type",
                    ));
                };
                self.pos += 1;
                let value = self.complete(depth)?;
                if self.peek()? != b'}' {
                    return Err(ParseError::invalid(WHAT, self.pos, "a dictionary entry has two parts"));
                }
                self.pos += 1;
                Type::entry(key, value)
            }
            _ => match Basic::from_code(code) {
                Some(basic) => Type::basic(basic),
                None => return Err(ParseError::invalid(WHAT, start, "no such type")),
            },
        })
    }
}

const WHAT: &str = "GVariant type";

fn error(offset: usize, kind: ParseErrorKind) -> ParseError {
    ParseError::new(WHAT, offset, kind)
}
