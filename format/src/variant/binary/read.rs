//! Values are read.

use super::super::MAX_DEPTH;
use super::super::dbus::{ObjectPath, Signature};
use super::super::ty::{Basic, Type, TypeKind};
use super::super::value::Value;
use super::{offset_size, offset_size_for};
use crate::{ParseError, ParseErrorKind, Result};

/// The number of values that are read from any input; one more is read for every two bytes of it. Only types that no
/// metadata has, such as `ab` or nested empty tuples, have more, and would take many times the memory of the input.
const MAX_VALUES: usize = 0x1_0000;

/// How many elements memory is taken for before the first one is read.
const MAX_RESERVED: usize = 1024;

/// Reads a value of type `ty` from `data`, all of it.
pub(super) fn read(ty: &Type, data: &[u8]) -> Result<Value> {
    let budget = MAX_VALUES + data.len() / 2;
    Reader { data, budget }.value(ty, Span { start: 0, end: data.len() }, MAX_DEPTH)
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
