//! Reading the text form of values, as GLib's `g_variant_parse` does: tokens and syntax.
//!
//! ```text
//! value   = true | false | NUMBER | inf | nan | 'text' | b'bytes' | <value> | nothing | just value
//!         | [value, …] | (value, …) | (value,) | () | {key: value, …} | {} | {key, value}
//!         | @TYPE value | KEYWORD value          KEYWORD = boolean byte int16 … objectpath signature
//! ```
//!
//! The text is read into a tree first; [`infer`](super::infer) finds the types that it leaves open and makes the
//! value. Two slips of GLib are not followed: it reads `-` as 0 and refuses doubles below 2.3e-308.

use super::MAX_DEPTH;
use super::infer::{build, infer};
use super::ty::{Basic, Type};
use super::value::Value;
use crate::{ParseError, Result};

/// A piece of text that stands for a value, and where it begins.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) at: usize,
    pub(super) kind: NodeKind<'a>,
}

#[derive(Debug)]
pub(super) enum NodeKind<'a> {
    Bool(bool),
    Number(&'a str),
    Text(String),
    /// A string of bytes, with its NUL.
    Bytes(Vec<u8>),
    Variant(Box<Node<'a>>),
    Maybe(Option<Box<Node<'a>>>),
    Array(Vec<Node<'a>>),
    Tuple(Vec<Node<'a>>),
    Dictionary(Vec<(Node<'a>, Node<'a>)>),
    Entry(Box<(Node<'a>, Node<'a>)>),
    Typed(Type, Box<Node<'a>>),
}

impl Value {
    /// Reads a value from text. Numbers without a type are `i`, or `d` if they look like it; strings are `s`.
    ///
    /// # Errors
    /// If the text is not one value, or does not say its type, as `[]` does not.
    pub fn parse(text: &str) -> Result<Self> {
        let node = parse_all(text)?;
        let ty = infer(&node)?;
        build(&node, &ty, MAX_DEPTH)
    }

    /// Reads a value of the type `ty` from text. An annotation that names another type is ignored, if the value
    /// could be of type `ty` without it.
    ///
    /// # Errors
    /// If the text is not one value, or not of this type.
    pub fn parse_as(ty: &Type, text: &str) -> Result<Self> {
        build(&parse_all(text)?, ty, MAX_DEPTH)
    }
}

pub(super) fn error(at: usize, why: impl Into<String>) -> ParseError {
    ParseError::invalid("GVariant text", at, why)
}

fn parse_all(text: &str) -> Result<Node<'_>> {
    let mut parser = Parser { text, pos: 0 };
    let node = parser.value(MAX_DEPTH)?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(error(parser.pos, "expected the end of the text")),
    }
}

struct Parser<'a> {
    text: &'a str,
    pos: usize,
}

impl<'a> Parser<'a> {
    /// The next byte that is not white space; `pos` is where it stands.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.rest();
        self.pos += rest.len() - rest.trim_ascii_start().len();
        self.rest().first().copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.pos..).unwrap_or_default()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.pos += usize::from(found);
        found
    }

    fn require(&mut self, byte: u8, why: &str) -> Result<()> {
        if self.take(byte) { Ok(()) } else { Err(error(self.pos, why)) }
    }

    /// Takes bytes as long as they are `good`.
    fn run(&mut self, good: impl Fn(u8) -> bool) -> &'a str {
        let start = self.pos;
        self.pos += self.rest().iter().take_while(|b| good(**b)).count();
        self.text.get(start..self.pos).unwrap_or_default()
    }

    fn value(&mut self, depth: usize) -> Result<Node<'a>> {
        let first = self.peek();
        let at = self.pos;
        let Some(depth) = depth.checked_sub(1) else {
            return Err(error(at, format!("nested deeper than {MAX_DEPTH}")));
        };
        let expected = || error(at, "expected a value");
        let second = self.rest().get(1).copied().unwrap_or(0);
        let kind = match first.ok_or_else(expected)? {
            b'[' => self.array(depth)?,
            b'(' => self.tuple(depth)?,
            b'<' => {
                self.pos += 1;
                let inner = self.value(depth)?;
                self.require(b'>', "expected '>' after the value of a variant")?;
                NodeKind::Variant(Box::new(inner))
            }
            b'{' => self.dictionary(depth)?,
            b'0'..=b'9' | b'+' | b'-' | b'.' => {
                let token = self.run(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
                NodeKind::Number(token)
            }
            b'\'' | b'"' => NodeKind::Text(self.string()?),
            b'b' if matches!(second, b'\'' | b'"') => NodeKind::Bytes(self.byte_string()?),
            b'@' => {
                let (ty, end) = Type::parse_prefix(self.text.as_bytes(), at + 1)?;
                self.pos = end;
                if self.rest().first().is_some_and(|b| !b.is_ascii_whitespace()) {
                    return Err(error(end, "expected a space after the type"));
                }
                NodeKind::Typed(ty, Box::new(self.value(depth)?))
            }
            b'a'..=b'z' => self.word(depth)?,
            _ => return Err(expected()),
        };
        Ok(Node { at, kind })
    }

    fn word(&mut self, depth: usize) -> Result<NodeKind<'a>> {
        let at = self.pos;
        let basic = match self.run(|b| b.is_ascii_alphanumeric()) {
            "true" => return Ok(NodeKind::Bool(true)),
            "false" => return Ok(NodeKind::Bool(false)),
            word @ ("inf" | "nan") => return Ok(NodeKind::Number(word)),
            "nothing" => return Ok(NodeKind::Maybe(None)),
            "just" => return Ok(NodeKind::Maybe(Some(Box::new(self.value(depth)?)))),
            "boolean" => Basic::Bool,
            "byte" => Basic::Byte,
            "int16" => Basic::I16,
            "uint16" => Basic::U16,
            "int32" => Basic::I32,
            "uint32" => Basic::U32,
            "int64" => Basic::I64,
            "uint64" => Basic::U64,
            "handle" => Basic::Handle,
            "double" => Basic::F64,
            "string" => Basic::Str,
            "objectpath" => Basic::ObjectPath,
            "signature" => Basic::Signature,
            word => return Err(error(at, format!("unknown keyword '{word}'"))),
        };
        Ok(NodeKind::Typed(Type::basic(basic), Box::new(self.value(depth)?)))
    }

    fn array(&mut self, depth: usize) -> Result<NodeKind<'a>> {
        self.pos += 1;
        let mut items = Vec::new();
        while !self.take(b']') {
            if !items.is_empty() {
                self.require(b',', "expected ',' or ']' after an array element")?;
            }
            items.push(self.value(depth)?);
        }
        Ok(NodeKind::Array(items))
    }

    fn tuple(&mut self, depth: usize) -> Result<NodeKind<'a>> {
        self.pos += 1;
        let mut members = Vec::new();
        while !self.take(b')') {
            if members.len() > 1 {
                self.require(b',', "expected ',' or ')' after a tuple element")?;
            }
            members.push(self.value(depth)?);
            if members.len() == 1 {
                // What tells a tuple from a value in brackets.
                self.require(b',', "expected ',' after the first tuple element")?;
            }
        }
        Ok(NodeKind::Tuple(members))
    }

    fn dictionary(&mut self, depth: usize) -> Result<NodeKind<'a>> {
        self.pos += 1;
        let mut entries = Vec::new();
        while !self.take(b'}') {
            if !entries.is_empty() {
                self.require(b',', "expected ',' or '}' after a dictionary entry")?;
            }
            let key = self.value(depth)?;
            if entries.is_empty() && self.take(b',') {
                let value = self.value(depth)?;
                self.require(b'}', "expected '}' at the end of a dictionary entry")?;
                return Ok(NodeKind::Entry(Box::new((key, value))));
            }
            self.require(b':', "expected ':' after a dictionary key")?;
            entries.push((key, self.value(depth)?));
        }
        Ok(NodeKind::Dictionary(entries))
    }

    fn string(&mut self) -> Result<String> {
        let (start, mut out) = (self.pos, String::new());
        let mut chars = self.text.get(start..).unwrap_or_default().char_indices();
        let quote = chars.next().map_or('\'', |(_, c)| c);
        let unterminated = || error(start, "unterminated string");
        loop {
            let (offset, c) = chars.next().ok_or_else(unterminated)?;
            match c {
                '\0' => return Err(unterminated()),
                c if c == quote => {
                    self.pos = start + offset + 1;
                    return Ok(out);
                }
                '\\' => match chars.next().ok_or_else(unterminated)?.1 {
                    '\0' => return Err(unterminated()),
                    '\n' => {}
                    long @ ('u' | 'U') => {
                        let digits = if long == 'u' { 4 } else { 8 };
                        let code: Option<String> = chars
                            .by_ref()
                            .take(digits)
                            .map(|(_, c)| c.is_ascii_hexdigit().then_some(c))
                            .collect();
                        let code = code.filter(|hex| hex.len() == digits);
                        let code = code.and_then(|hex| u32::from_str_radix(&hex, 16).ok());
                        match code.filter(|n| *n != 0).and_then(char::from_u32) {
                            Some(c) => out.push(c),
                            None => return Err(error(start + offset, "invalid unicode escape")),
                        }
                    }
                    c => out.push(u8::try_from(c).ok().and_then(control).map_or(c, char::from)),
                },
                c => out.push(c),
            }
        }
    }

    /// The bytes with a NUL after them; they end at the first NUL that an escape puts into them.
    fn byte_string(&mut self) -> Result<Vec<u8>> {
        let (start, mut out) = (self.pos, Vec::new());
        let mut bytes = self.rest().iter().copied().enumerate().skip(1).peekable();
        let quote = bytes.next().map_or(b'\'', |(_, b)| b);
        let unterminated = || error(start, "unterminated string");
        loop {
            let (offset, b) = bytes.next().ok_or_else(unterminated)?;
            match b {
                0 => return Err(unterminated()),
                b if b == quote => {
                    self.pos = start + offset + 1;
                    break;
                }
                b'\\' => match bytes.next().ok_or_else(unterminated)?.1 {
                    0 => return Err(unterminated()),
                    b'\n' => {}
                    first @ b'0'..=b'7' => {
                        let mut code = first - b'0';
                        for _ in 0..2 {
                            let Some((_, digit)) = bytes.next_if(|(_, b)| matches!(b, b'0'..=b'7')) else {
                                break;
                            };
                            code = code << 3 | (digit - b'0');
                        }
                        out.push(code);
                    }
                    b => out.push(control(b).unwrap_or(b)),
                },
                b => out.push(b),
            }
        }
        if let Some(nul) = out.iter().position(|b| *b == 0) {
            out.truncate(nul);
        }
        out.push(0);
        Ok(out)
    }
}

/// The control character that a letter after a backslash stands for.
fn control(letter: u8) -> Option<u8> {
    Some(match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b't' => 0x09,
        b'n' => 0x0a,
        b'v' => 0x0b,
        b'f' => 0x0c,
        b'r' => 0x0d,
        _ => return None,
    })
}
