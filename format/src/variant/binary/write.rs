//! Values are written.

use super::super::ty::Type;
use super::super::value::Value;
use super::offset_size_for;

/// Adds the serialization of a value to `out`, which ends at a multiple of the alignment of its type.
pub(super) fn write(value: &Value, out: &mut Vec<u8>) {
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
