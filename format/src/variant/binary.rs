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

use super::MAX_DEPTH;
use super::ty::{Basic, Type, TypeKind};
use super::value::{ObjectPath, Signature, Value};
use crate::{ParseError, ParseErrorKind, Result};

/// The number of values that are read from any input; one more is read for every two bytes of it. Only types that no
/// metadata has, such as `ab` or nested empty tuples, have more, and would take many times the memory of the input.
const MAX_VALUES: usize = 0x1_0000;

/// How many elements memory is taken for before the first one is read.
const MAX_RESERVED: usize = 1024;

impl Value {
    /// Reads a value of type `ty` from `data`, all of it.
    ///
    /// # Errors
    /// If the bytes are not the normal form of a value: with the offset of the byte that is wrong.
    pub fn from_bytes(ty: &Type, data: &[u8]) -> Result<Self> {
        let budget = MAX_VALUES + data.len() / 2;
        Reader { data, budget }.value(ty, Span { start: 0, end: data.len() }, MAX_DEPTH)
    }

    /// The serialization of the value.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write(self, &mut out);
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

/// A part of the input.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

impl Span {
    fn len(self) -> usize {
        self.end - self.start
    }
}

struct Reader<'a> {
    data: &'a [u8],
    budget: usize,
}

fn fail<T>(offset: usize, kind: ParseErrorKind) -> Result<T> {
    Err(ParseError::new("GVariant", offset, kind))
}

impl<'a> Reader<'a> {
    fn bytes(&self, span: Span) -> &'a [u8] {
        self.data.get(span.start..span.end).unwrap_or_default()
    }

    fn value(&mut self, ty: &Type, span: Span, depth: usize) -> Result<Value> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(ParseError::invalid(
                "GVariant",
                span.start,
                format!("nested deeper than {MAX_DEPTH}"),
            ));
        };
        let Some(budget) = self.budget.checked_sub(1) else {
            return Err(ParseError::invalid(
                "GVariant",
                span.start,
                "too many values for the size of the input",
            ));
        };
        self.budget = budget;
        if let Some(size) = ty.fixed_size().filter(|size| *size != span.len()) {
            let kind =
                if span.len() < size { ParseErrorKind::Truncated } else { ParseErrorKind::TrailingData };
            return fail(span.end.min(span.start.saturating_add(size)), kind);
        }
        match ty.kind() {
            TypeKind::Basic(basic) => self.basic(*basic, span),
            TypeKind::Variant => self.variant(span, depth),
            TypeKind::Maybe(inner) => self.maybe(inner, span, depth),
            TypeKind::Array(element) if **element == Type::BYTE => {
                Ok(Value::Bytes(self.bytes(span).to_vec()))
            }
            TypeKind::Array(element) => match element.fixed_size() {
                Some(size) => self.fixed_array(element, size, span, depth),
                None => self.array(element, span, depth),
            },
            TypeKind::Tuple(members) => {
                Ok(Value::Tuple(self.members(ty, members.iter(), members.len(), span, depth)?))
            }
            TypeKind::Entry(key, value) => {
                let key = Type::basic(*key);
                let mut parts = self.members(ty, [&key, &**value].into_iter(), 2, span, depth)?.into_iter();
                match (parts.next(), parts.next()) {
                    (Some(key), Some(value)) => Ok(Value::entry_unchecked(key, value)),
                    _ => fail(span.start, ParseErrorKind::Truncated),
                }
            }
        }
    }

    fn basic(&self, basic: Basic, span: Span) -> Result<Value> {
        let bytes = self.bytes(span);
        Ok(match basic {
            Basic::Bool => match bytes {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return fail(span.start, ParseErrorKind::NotNormal),
            },
            Basic::Byte => Value::Byte(u8::from_le_bytes(self.array_at(span)?)),
            Basic::I16 => Value::I16(i16::from_le_bytes(self.array_at(span)?)),
            Basic::U16 => Value::U16(u16::from_le_bytes(self.array_at(span)?)),
            Basic::I32 => Value::I32(i32::from_le_bytes(self.array_at(span)?)),
            Basic::U32 => Value::U32(u32::from_le_bytes(self.array_at(span)?)),
            Basic::I64 => Value::I64(i64::from_le_bytes(self.array_at(span)?)),
            Basic::U64 => Value::U64(u64::from_le_bytes(self.array_at(span)?)),
            Basic::Handle => Value::Handle(i32::from_le_bytes(self.array_at(span)?)),
            Basic::F64 => Value::F64(f64::from_le_bytes(self.array_at(span)?)),
            Basic::Str => Value::Str(self.text(span)?.to_owned()),
            Basic::ObjectPath => Value::ObjectPath(at(span, ObjectPath::new(self.text(span)?))?),
            Basic::Signature => Value::Signature(at(span, Signature::new(self.text(span)?))?),
        })
    }

    fn array_at<const N: usize>(&self, span: Span) -> Result<[u8; N]> {
        self.bytes(span).try_into().or_else(|_| fail(span.start, ParseErrorKind::Truncated))
    }

    /// A string without its NUL.
    fn text(&self, span: Span) -> Result<&'a str> {
        let Some((0, text)) = self.bytes(span).split_last() else {
            return fail(span.end.saturating_sub(1).max(span.start), ParseErrorKind::BadNul);
        };
        if let Some(nul) = text.iter().position(|b| *b == 0) {
            return fail(span.start + nul, ParseErrorKind::BadNul);
        }
        str::from_utf8(text).or_else(|e| fail(span.start + e.valid_up_to(), ParseErrorKind::NotUtf8))
    }

    fn variant(&mut self, span: Span, depth: usize) -> Result<Value> {
        let Some(nul) = self.bytes(span).iter().rposition(|b| *b == 0) else {
            return fail(span.start, ParseErrorKind::Truncated);
        };
        let nul = span.start + nul;
        let ty = Span { start: nul + 1, end: span.end };
        let text = self.bytes(ty);
        let (parsed, used) = at(ty, Type::parse_prefix(text, 0))?;
        if used != text.len() {
            return fail(ty.start + used, ParseErrorKind::TrailingData);
        }
        let value = self.value(&parsed, Span { start: span.start, end: nul }, depth)?;
        Ok(Value::Variant(Box::new(value)))
    }

    fn maybe(&mut self, inner: &Type, span: Span, depth: usize) -> Result<Value> {
        if span.len() == 0 {
            return Ok(Value::Nothing(Box::new(inner.clone())));
        }
        let mut child = span;
        if inner.fixed_size().is_none() {
            child.end -= 1;
            if self.data.get(child.end) != Some(&0) {
                return fail(child.end, ParseErrorKind::Padding);
            }
        }
        Ok(Value::Just(Box::new(self.value(inner, child, depth)?)))
    }

    fn fixed_array(&mut self, element: &Type, size: usize, span: Span, depth: usize) -> Result<Value> {
        if !span.len().is_multiple_of(size) {
            return fail(span.end, ParseErrorKind::Truncated);
        }
        let mut items = Vec::with_capacity((span.len() / size).min(MAX_RESERVED));
        for start in (span.start..span.end).step_by(size) {
            items.push(self.value(element, Span { start, end: start + size }, depth)?);
        }
        Ok(Value::array_unchecked(element.clone(), items))
    }

    fn array(&mut self, element: &Type, span: Span, depth: usize) -> Result<Value> {
        if span.len() == 0 {
            return Ok(Value::array_unchecked(element.clone(), Vec::new()));
        }
        let width = offset_size(span.len());
        let table = span.end - width;
        let body_end = span.start.saturating_add(self.offset(table, width));
        if body_end > table || !(span.end - body_end).is_multiple_of(width) {
            return fail(table, ParseErrorKind::BadOffset);
        }
        let count = (span.end - body_end) / width;
        if offset_size_for(body_end - span.start, count) != width {
            return fail(table, ParseErrorKind::NotNormal);
        }
        let mut items = Vec::with_capacity(count.min(MAX_RESERVED));
        let mut pos = span.start;
        for index in 0..count {
            let entry = body_end + index * width;
            let start = self.pad(span.start, pos, element.alignment(), body_end)?;
            let end = span.start.saturating_add(self.offset(entry, width));
            if end < start || end > body_end {
                return fail(entry, ParseErrorKind::BadOffset);
            }
            items.push(self.value(element, Span { start, end }, depth)?);
            pos = end;
        }
        Ok(Value::array_unchecked(element.clone(), items))
    }

    /// The members of a tuple or of a dictionary entry.
    fn members<'t>(
        &mut self,
        ty: &Type,
        members: impl Iterator<Item = &'t Type>,
        count: usize,
        span: Span,
        depth: usize,
    ) -> Result<Vec<Value>> {
        let width = offset_size(span.len());
        let mut values = Vec::with_capacity(count.min(MAX_RESERVED));
        let mut pos = span.start;
        // Ends are stored from the end of the tuple backwards; `table` is where the last one read begins.
        let mut table = span.end;
        for (index, member) in members.enumerate() {
            let start = self.pad(span.start, pos, member.alignment(), table)?;
            let end = match member.fixed_size() {
                Some(size) => start.saturating_add(size),
                None if index + 1 == count => table,
                None => {
                    // A table of another size than zero, behind what was read already.
                    let next = table.checked_sub(width).filter(|next| *next >= start && *next < table);
                    let Some(next) = next else { return fail(table, ParseErrorKind::Truncated) };
                    table = next;
                    span.start.saturating_add(self.offset(table, width))
                }
            };
            if end < start || end > table {
                return fail(start.min(table), ParseErrorKind::BadOffset);
            }
            values.push(self.value(member, Span { start, end }, depth)?);
            pos = end;
        }
        if ty.fixed_size().is_some() {
            self.zeros(pos, span.end)?;
        } else if pos != table {
            return fail(pos, ParseErrorKind::TrailingData);
        } else if table < span.end && offset_size_for(pos - span.start, (span.end - table) / width) != width {
            return fail(table, ParseErrorKind::NotNormal);
        }
        Ok(values)
    }

    /// Where the next member begins, after padding that is zero.
    fn pad(&self, base: usize, pos: usize, align: usize, limit: usize) -> Result<usize> {
        let start = base + (pos - base).next_multiple_of(align);
        if start > limit {
            // An empty value at the very end still has its padding.
            return fail(pos, ParseErrorKind::Truncated);
        }
        self.zeros(pos, start)?;
        Ok(start)
    }

    fn zeros(&self, start: usize, end: usize) -> Result<()> {
        match self.bytes(Span { start, end }).iter().position(|b| *b != 0) {
            Some(at) => fail(start + at, ParseErrorKind::Padding),
            None => Ok(()),
        }
    }

    /// The framing offset of `width` bytes at `pos`.
    fn offset(&self, pos: usize, width: usize) -> usize {
        let bytes = self.bytes(Span { start: pos, end: pos + width });
        let value = bytes.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
        usize::try_from(value).unwrap_or(usize::MAX)
    }
}

/// `result` with its error's offset counted from the start of the input.
fn at<T>(span: Span, result: Result<T>) -> Result<T> {
    result.map_err(|e| ParseError { offset: span.start + e.offset, ..e })
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Bool(b) => out.push((*b).into()),
        Value::Byte(b) => out.push(*b),
        Value::I16(n) => out.extend(n.to_le_bytes()),
        Value::U16(n) => out.extend(n.to_le_bytes()),
        Value::I32(n) | Value::Handle(n) => out.extend(n.to_le_bytes()),
        Value::U32(n) => out.extend(n.to_le_bytes()),
        Value::I64(n) => out.extend(n.to_le_bytes()),
        Value::U64(n) => out.extend(n.to_le_bytes()),
        Value::F64(d) => out.extend(d.to_le_bytes()),
        Value::Str(text) => write_text(text, out),
        Value::ObjectPath(path) => write_text(path.as_str(), out),
        Value::Signature(text) => write_text(text.as_str(), out),
        Value::Variant(value) => {
            write(value, out);
            out.push(0);
            out.extend(value.ty().to_string().as_bytes());
        }
        Value::Nothing(_) => {}
        Value::Just(value) => {
            write(value, out);
            if value.layout().1.is_none() {
                out.push(0);
            }
        }
        Value::Bytes(bytes) => out.extend(bytes),
        Value::Array(array) => write_array(array.element(), array.items(), out),
        Value::Tuple(members) => write_members(value, members.iter(), members.len(), out),
        Value::Entry(entry) => write_members(value, [entry.key(), entry.value()].into_iter(), 2, out),
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend(text.bytes().take_while(|b| *b != 0));
    out.push(0);
}

/// Containers are written at a multiple of their own alignment, so that aligning the position in `out` aligns
/// the position in the container.
fn align(out: &mut Vec<u8>, alignment: usize) {
    out.resize(out.len().next_multiple_of(alignment), 0);
}

fn write_array(element: &Type, items: &[Value], out: &mut Vec<u8>) {
    let start = out.len();
    let mut ends = Vec::with_capacity(if element.fixed_size().is_some() { 0 } else { items.len() });
    for item in items {
        align(out, element.alignment());
        write(item, out);
        if element.fixed_size().is_none() {
            ends.push(out.len() - start);
        }
    }
    write_ends(start, ends.iter(), out);
}

fn write_members<'v>(
    whole: &Value,
    members: impl Iterator<Item = &'v Value>,
    count: usize,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    let mut ends = Vec::new();
    for (index, member) in members.enumerate() {
        let (alignment, fixed_size) = member.layout();
        align(out, alignment.into());
        write(member, out);
        if fixed_size.is_none() && index + 1 < count {
            ends.push(out.len() - start);
        }
    }
    match whole.layout().1 {
        Some(size) => out.resize(start + size, 0),
        None => write_ends(start, ends.iter().rev(), out),
    }
}

fn write_ends<'e>(start: usize, ends: impl ExactSizeIterator<Item = &'e usize>, out: &mut Vec<u8>) {
    let width = offset_size_for(out.len() - start, ends.len());
    for end in ends {
        out.extend(&(*end as u64).to_le_bytes()[..width]);
    }
}
