//! Values as text, as GLib's `g_variant_print` writes them.

use std::fmt::{self, Write};

use super::printable::is_printable;
use super::ty::Type;
use super::value::Value;

/// Whether text says the types that cannot be told from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Annotate {
    /// `uint64 7`, `@as []`: reading the text gives the same value. Inside of a variant it is always so.
    Types,
    /// `7`, `[]`
    Nothing,
}

impl Value {
    /// The value as text.
    pub fn print(&self, annotate: Annotate) -> String {
        let mut out = String::new();
        print(self, annotate, &mut out);
        out
    }
}

impl fmt::Display for Value {
    /// The text without annotations.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.print(Annotate::Nothing))
    }
}

fn print(value: &Value, annotate: Annotate, out: &mut String) {
    match value {
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Byte(b) => annotated(annotate, "byte ", format_args!("0x{b:02x}"), out),
        Value::I16(n) => annotated(annotate, "int16 ", format_args!("{n}"), out),
        Value::U16(n) => annotated(annotate, "uint16 ", format_args!("{n}"), out),
        // 32-bit integers, doubles and strings are what a reader takes a number or a string for.
        Value::I32(n) => annotated(Annotate::Nothing, "", format_args!("{n}"), out),
        Value::U32(n) => annotated(annotate, "uint32 ", format_args!("{n}"), out),
        Value::I64(n) => annotated(annotate, "int64 ", format_args!("{n}"), out),
        Value::U64(n) => annotated(annotate, "uint64 ", format_args!("{n}"), out),
        Value::Handle(n) => annotated(annotate, "handle ", format_args!("{n}"), out),
        Value::F64(d) => out.push_str(&double(*d)),
        Value::Str(text) => string(text, out),
        Value::ObjectPath(path) => annotated(annotate, "objectpath ", format_args!("'{path}'"), out),
        Value::Signature(text) => annotated(annotate, "signature ", format_args!("'{text}'"), out),
        Value::Variant(inner) => {
            out.push('<');
            print(inner, Annotate::Types, out);
            out.push('>');
        }
        Value::Nothing(_) | Value::Just(_) => maybe(value, annotate, out),
        Value::Bytes(bytes) => print_bytes(bytes, annotate, out),
        Value::Array(array) => print_array(array.element(), array.items(), annotate, out),
        Value::Tuple(members) => {
            out.push('(');
            separated(members, annotate, annotate, out);
            out.push_str(if members.len() == 1 { ",)" } else { ")" });
        }
        Value::Entry(entry) => {
            out.push('{');
            print(entry.key(), annotate, out);
            out.push_str(", ");
            print(entry.value(), annotate, out);
            out.push('}');
        }
    }
}

/// `text`, after the keyword of its type if types are wanted.
fn annotated(annotate: Annotate, keyword: &str, text: fmt::Arguments<'_>, out: &mut String) {
    if annotate == Annotate::Types {
        out.push_str(keyword);
    }
    // Writing to a string cannot fail.
    let _ = out.write_fmt(text);
}

/// Values between commas. Of the values of an array only the first one is annotated.
fn separated<'v>(
    values: impl IntoIterator<Item = &'v Value>,
    first: Annotate,
    others: Annotate,
    out: &mut String,
) {
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        print(value, if index == 0 { first } else { others }, out);
    }
}

fn maybe(value: &Value, annotate: Annotate, out: &mut String) {
    if annotate == Annotate::Types {
        let _ = write!(out, "@{} ", value.ty());
    }
    let Value::Just(inner) = value else {
        out.push_str("nothing");
        return;
    };
    // "just" is needed only to tell "just nothing" from "nothing".
    let start = out.len();
    print(inner, Annotate::Nothing, out);
    if out.ends_with("nothing") {
        out.insert_str(start, "just ");
    }
}

fn print_array(element: &Type, items: &[Value], annotate: Annotate, out: &mut String) {
    let dictionary = matches!(element.kind(), super::TypeKind::Entry(..));
    if items.is_empty() {
        if annotate == Annotate::Types {
            let _ = write!(out, "@a{element} ");
        }
        out.push_str(if dictionary { "{}" } else { "[]" });
    } else if dictionary {
        for (index, item) in items.iter().enumerate() {
            let annotate = if index == 0 { annotate } else { Annotate::Nothing };
            out.push_str(if index == 0 { "{" } else { ", " });
            if let Value::Entry(entry) = item {
                print(entry.key(), annotate, out);
                out.push_str(": ");
                print(entry.value(), annotate, out);
            }
        }
        out.push('}');
    } else {
        out.push('[');
        separated(items, annotate, Annotate::Nothing, out);
        out.push(']');
    }
}

/// Bytes whose only NUL is the last one are printed as a string.
fn print_bytes(bytes: &[u8], annotate: Annotate, out: &mut String) {
    match bytes {
        [text @ .., 0] if !text.contains(&0) => byte_string(text, out),
        [] => print_array(&Type::BYTE, &[], annotate, out),
        [first, rest @ ..] => {
            out.push('[');
            annotated(annotate, "byte ", format_args!("0x{first:02x}"), out);
            for b in rest {
                annotated(Annotate::Nothing, "", format_args!(", 0x{b:02x}"), out);
            }
            out.push(']');
        }
    }
}

fn byte_string(text: &[u8], out: &mut String) {
    let quote = if text.contains(&b'\'') { '"' } else { '\'' };
    out.push('b');
    out.push(quote);
    for b in text {
        match b {
            b'"' | b'\\' => out.extend(['\\', char::from(*b)]),
            b' '..=b'~' => out.push(char::from(*b)),
            // Only here the bell has no letter.
            _ => match control_escape(u32::from(*b)).filter(|letter| *letter != 'a') {
                Some(escape) => out.extend(['\\', escape]),
                None => annotated(Annotate::Nothing, "", format_args!("\\{b:03o}"), out),
            },
        }
    }
    out.push(quote);
}

fn string(text: &str, out: &mut String) {
    let quote = if text.contains('\'') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        if c == quote || c == '\\' {
            out.extend(['\\', c]);
        } else if is_printable(c) {
            out.push(c);
        } else if let Some(escape) = control_escape(c.into()) {
            out.extend(['\\', escape]);
        } else {
            let code = u32::from(c);
            let _ = if code < 0x1_0000 { write!(out, "\\u{code:04x}") } else { write!(out, "\\U{code:08x}") };
        }
    }
    out.push(quote);
}

/// The letter after the backslash for the control characters that have one.
fn control_escape(code: u32) -> Option<char> {
    Some(match code {
        0x07 => 'a',
        0x08 => 'b',
        0x09 => 't',
        0x0a => 'n',
        0x0b => 'v',
        0x0c => 'f',
        0x0d => 'r',
        _ => return None,
    })
}

/// A double as C's `%.17g` writes it, with `.0` where it would look like an integer.
fn double(d: f64) -> String {
    let sign = if d.is_sign_negative() { "-" } else { "" };
    if !d.is_finite() {
        return format!("{sign}{}", if d.is_nan() { "nan" } else { "inf" });
    }
    let scientific = format!("{:.16e}", d.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.replace('.', "");
    let digits = digits.trim_end_matches('0');
    let (first, rest) = digits.split_at_checked(1).unwrap_or(("0", ""));
    if !(-4..17).contains(&exponent) {
        let dot = if rest.is_empty() { "" } else { "." };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{dot}{rest}e{exponent_sign}{:02}", exponent.abs());
    }
    if exponent < 0 {
        let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
        return format!("{sign}0.{zeros}{digits}");
    }
    let whole = exponent as usize + 1;
    let digits = format!("{digits:0<whole$}");
    let (integer, fraction) = digits.split_at(whole);
    format!("{sign}{integer}.{}", if fraction.is_empty() { "0" } else { fraction })
}
