//! Reading the text form of values: the types that the text leaves open, and the values.
//!
//! Every piece of text has a [`Shape`]: what is known of its type. The shapes of the elements of an array are
//! unified; what is still open after that gets the usual type, `i` for numbers and `s` for strings.

use super::dbus::{ObjectPath, Signature};
use super::text::{Node, NodeKind, error};
use super::ty::{Basic, Type, TypeKind};
use super::value::Value;
use crate::{ParseError, Result};

/// What is known of a type.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    /// A type of which nothing is known.
    Any,
    /// Some type of numbers.
    Number,
    /// Some type of strings.
    Text,
    /// A type that may also turn out to be a maybe of it: `1` next to `just 2` is a maybe.
    Loose(Box<Shape>),
    Basic(Basic),
    Variant,
    Maybe(Box<Shape>),
    Array(Box<Shape>),
    Tuple(Vec<Shape>),
    Entry(Box<Shape>, Box<Shape>),
}

/// The type of the value that the text stands for.
pub(super) fn infer(node: &Node<'_>) -> Result<Type> {
    close(&shape(node)?).ok_or_else(|| error(node.at, "the type cannot be told from the text"))
}

fn shape(node: &Node<'_>) -> Result<Shape> {
    let loose = |shape| Ok(Shape::Loose(Box::new(shape)));
    match &node.kind {
        NodeKind::Typed(ty, _) => Ok(Shape::from(ty)),
        NodeKind::Maybe(None) => Ok(Shape::Maybe(Box::new(Shape::Any))),
        NodeKind::Maybe(Some(inner)) => Ok(Shape::Maybe(Box::new(shape(inner)?))),
        NodeKind::Bool(_) => loose(Shape::Basic(Basic::Bool)),
        NodeKind::Number(token) if looks_double(token) => loose(Shape::Basic(Basic::F64)),
        NodeKind::Number(_) => loose(Shape::Number),
        NodeKind::Text(_) => loose(Shape::Text),
        NodeKind::Bytes(_) => loose(Shape::Array(Box::new(Shape::Basic(Basic::Byte)))),
        NodeKind::Variant(_) => loose(Shape::Variant),
        NodeKind::Array(items) => loose(Shape::Array(Box::new(common(items.iter())?))),
        NodeKind::Tuple(members) => loose(Shape::Tuple(members.iter().map(shape).collect::<Result<_>>()?)),
        NodeKind::Entry(parts) => {
            let (key, value) = &**parts;
            loose(Shape::Entry(Box::new(key_shape(node.at, shape(key)?)?), Box::new(shape(value)?)))
        }
        NodeKind::Dictionary(entries) => {
            // As GLib has it: all keys are looked at, but of the values only the first.
            let (key, value) = match entries.first() {
                None => (Shape::Any, Shape::Any),
                Some((_, value)) => {
                    (key_shape(node.at, common(entries.iter().map(|(key, _)| key))?)?, shape(value)?)
                }
            };
            loose(Shape::Array(Box::new(Shape::Entry(Box::new(key), Box::new(value)))))
        }
    }
}

/// What is common to the types of all of them.
fn common<'n, 'a: 'n>(mut nodes: impl Iterator<Item = &'n Node<'a>>) -> Result<Shape> {
    let Some(first) = nodes.next() else { return Ok(Shape::Any) };
    nodes.try_fold(shape(first)?, |known, node| {
        unify(known, shape(node)?).ok_or_else(|| error(node.at, "no common type with what is before it"))
    })
}

/// Keys are never maybes.
fn key_shape(at: usize, shape: Shape) -> Result<Shape> {
    let shape = if let Shape::Loose(inner) = shape { *inner } else { shape };
    match shape {
        Shape::Basic(_) | Shape::Number | Shape::Text => Ok(shape),
        _ => Err(error(at, "a dictionary key has to have a basic type")),
    }
}

/// The shape that is both, if there is one.
fn unify(a: Shape, b: Shape) -> Option<Shape> {
    use Shape::{Any, Array, Entry, Loose, Maybe, Number, Text, Tuple};
    let inner = |a: Box<Shape>, b: Box<Shape>| unify(*a, *b).map(Box::new);
    Some(match (a, b) {
        (Any, other) | (other, Any) => other,
        (Loose(a), Loose(b)) => Loose(inner(a, b)?),
        (Loose(a), Maybe(b)) | (Maybe(b), Loose(a)) => Maybe(Box::new(unify(Loose(a), *b)?)),
        (Loose(a), b) | (b, Loose(a)) => unify(*a, b)?,
        (Number, Shape::Basic(basic)) | (Shape::Basic(basic), Number) if is_number(basic) => {
            Shape::Basic(basic)
        }
        (Text, Shape::Basic(basic)) | (Shape::Basic(basic), Text) if is_text(basic) => Shape::Basic(basic),
        (Maybe(a), Maybe(b)) => Maybe(inner(a, b)?),
        (Array(a), Array(b)) => Array(inner(a, b)?),
        (Tuple(a), Tuple(b)) if a.len() == b.len() => {
            Tuple(a.into_iter().zip(b).map(|(a, b)| unify(a, b)).collect::<Option<_>>()?)
        }
        (Entry(ka, va), Entry(kb, vb)) => Entry(inner(ka, kb)?, inner(va, vb)?),
        (a, b) if a == b => a,
        _ => return None,
    })
}

/// The type that a shape comes to, if it is not open.
fn close(shape: &Shape) -> Option<Type> {
    Some(match shape {
        Shape::Any => return None,
        Shape::Number => Type::basic(Basic::I32),
        Shape::Text => Type::STR,
        Shape::Loose(inner) => close(inner)?,
        Shape::Basic(basic) => Type::basic(*basic),
        Shape::Variant => Type::VARIANT,
        Shape::Maybe(inner) => Type::maybe(close(inner)?),
        Shape::Array(element) => Type::array(close(element)?),
        Shape::Tuple(members) => Type::tuple(members.iter().map(close).collect::<Option<_>>()?),
        Shape::Entry(key, value) => match close(key)?.kind() {
            TypeKind::Basic(key) => Type::entry(*key, close(value)?),
            _ => return None,
        },
    })
}

impl From<&Type> for Shape {
    fn from(ty: &Type) -> Self {
        let inner = |ty: &Type| Box::new(Self::from(ty));
        match ty.kind() {
            TypeKind::Basic(basic) => Self::Basic(*basic),
            TypeKind::Variant => Self::Variant,
            TypeKind::Maybe(ty) => Self::Maybe(inner(ty)),
            TypeKind::Array(ty) => Self::Array(inner(ty)),
            TypeKind::Tuple(members) => Self::Tuple(members.iter().map(Self::from).collect()),
            TypeKind::Entry(key, value) => Self::Entry(Box::new(Self::Basic(*key)), inner(value)),
        }
    }
}

fn is_text(basic: Basic) -> bool {
    matches!(basic, Basic::Str | Basic::ObjectPath | Basic::Signature)
}

fn is_number(basic: Basic) -> bool {
    basic != Basic::Bool && !is_text(basic)
}

fn looks_double(token: &str) -> bool {
    let exponent = !token.starts_with("0x") && token.contains('e');
    exponent || token.contains('.') || token.contains("inf") || token.contains("nan")
}

/// The value of type `ty` that the text stands for.
pub(super) fn build(node: &Node<'_>, ty: &Type, depth: usize) -> Result<Value> {
    let mismatch = || error(node.at, format!("not a value of type '{ty}'"));
    let Some(depth) = depth.checked_sub(1) else {
        return Err(error(node.at, format!("nested deeper than {}", super::MAX_DEPTH)));
    };
    match (&node.kind, ty.kind()) {
        (NodeKind::Typed(_, inner), _) => build(inner, ty, depth),
        (NodeKind::Maybe(None), TypeKind::Maybe(inner)) => Ok(Value::Nothing(inner.clone())),
        (NodeKind::Maybe(Some(value)), TypeKind::Maybe(inner)) => {
            Ok(Value::Just(Box::new(build(value, inner, depth)?)))
        }
        (_, TypeKind::Maybe(inner)) => Ok(Value::Just(Box::new(build(node, inner, depth)?))),
        (NodeKind::Bool(b), TypeKind::Basic(Basic::Bool)) => Ok(Value::Bool(*b)),
        (NodeKind::Number(token), TypeKind::Basic(basic)) if is_number(*basic) => {
            number(token, *basic).map_err(|why| error(node.at, why))
        }
        (NodeKind::Text(text), TypeKind::Basic(basic)) => {
            let inside = |e: ParseError| error(node.at, e.kind.to_string());
            match basic {
                Basic::Str => Ok(Value::Str(text.clone())),
                Basic::ObjectPath => ObjectPath::new(text.as_str()).map(Value::ObjectPath).map_err(inside),
                Basic::Signature => Signature::new(text.as_str()).map(Value::Signature).map_err(inside),
                _ => Err(mismatch()),
            }
        }
        (NodeKind::Bytes(bytes), TypeKind::Array(element)) if **element == Type::BYTE => {
            Ok(Value::Bytes(bytes.clone()))
        }
        (NodeKind::Variant(inner), TypeKind::Variant) => Ok(build(inner, &infer(inner)?, depth)?.boxed()),
        (NodeKind::Array(items), TypeKind::Array(element)) => {
            let items = items.iter().map(|item| build(item, element, depth)).collect::<Result<_>>()?;
            Ok(Value::array_unchecked((**element).clone(), items))
        }
        (NodeKind::Dictionary(entries), TypeKind::Array(element)) => {
            let TypeKind::Entry(key, value) = element.kind() else { return Err(mismatch()) };
            let items =
                entries.iter().map(|parts| entry(parts, *key, value, depth)).collect::<Result<_>>()?;
            Ok(Value::array_unchecked((**element).clone(), items))
        }
        (NodeKind::Entry(parts), TypeKind::Entry(key, value)) => entry(parts, *key, value, depth),
        (NodeKind::Tuple(members), TypeKind::Tuple(types)) if members.len() == types.len() => {
            let members = members.iter().zip(types).map(|(m, ty)| build(m, ty, depth));
            Ok(Value::Tuple(members.collect::<Result<_>>()?))
        }
        _ => Err(mismatch()),
    }
}

fn entry(parts: &(Node<'_>, Node<'_>), key: Basic, value: &Type, depth: usize) -> Result<Value> {
    Ok(Value::entry_unchecked(build(&parts.0, &Type::basic(key), depth)?, build(&parts.1, value, depth)?))
}

fn number(token: &str, basic: Basic) -> Result<Value, String> {
    if basic == Basic::F64 {
        return double(token).map(Value::F64);
    }
    let (negative, digits) = match token.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, token.strip_prefix('+').unwrap_or(token)),
    };
    let (digits, radix) = radix(digits);
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(format!("'{token}' is not a number"));
    }
    let magnitude = u64::from_str_radix(digits, radix).ok().map(i128::from);
    let n = magnitude.map(|n| if negative { -n } else { n });
    let out_of_range = || format!("{token} is out of range for type '{}'", basic.code());
    let value = n.and_then(|n| {
        Some(match basic {
            Basic::Byte => Value::Byte(n.try_into().ok()?),
            Basic::I16 => Value::I16(n.try_into().ok()?),
            Basic::U16 => Value::U16(n.try_into().ok()?),
            Basic::I32 => Value::I32(n.try_into().ok()?),
            Basic::U32 => Value::U32(n.try_into().ok()?),
            Basic::I64 => Value::I64(n.try_into().ok()?),
            Basic::U64 => Value::U64(n.try_into().ok()?),
            Basic::Handle => Value::Handle(n.try_into().ok()?),
            _ => return None,
        })
    });
    value.ok_or_else(out_of_range)
}

/// The digits of an integer as C writes it, and their base.
fn radix(digits: &str) -> (&str, u32) {
    match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    }
}

fn double(token: &str) -> Result<f64, String> {
    let (negative, digits) = match token.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, token.strip_prefix('+').unwrap_or(token)),
    };
    let invalid = || format!("'{token}' is not a number");
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => hex_double(hex).ok_or_else(invalid)?,
        None if digits.starts_with(['+', '-']) => return Err(invalid()),
        None => digits.parse().map_err(|_| invalid())?,
    };
    let written_infinite = digits.get(..3).is_some_and(|s| s.eq_ignore_ascii_case("inf"));
    if f64::is_infinite(value) && !written_infinite {
        return Err(format!("{token} is too big for any type"));
    }
    Ok(if negative { -value } else { value })
}

/// C's hexadecimal floating point numbers, without their `0x`: `1.8p3` is 12.
fn hex_double(hex: &str) -> Option<f64> {
    let (mantissa, exponent) =
        hex.split_once(['p', 'P']).map_or((hex, Ok(0)), |(m, e)| (m, e.parse::<i32>()));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let shift = i32::try_from(fraction.len()).ok()?.saturating_mul(4);
    Some(value * 2f64.powi(exponent.ok()?.saturating_sub(shift)))
}
