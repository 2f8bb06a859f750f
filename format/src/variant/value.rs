//! A GVariant value in memory.

use super::dbus::{ObjectPath, Signature};
use super::ty::{Basic, Type, TypeKind, layout};
use crate::{ParseError, Result};

/// A value of any GVariant type.
///
/// Every `Value` has a well-formed type: arrays and dictionary entries are built through [`Value::array`] and
/// [`Value::entry`], which check their parts. A string ends at its first NUL, if it has one, when it is
/// serialized: GVariant cannot hold a NUL in a string.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `y`
    Byte(u8),
    /// `n`
    I16(i16),
    /// `q`
    U16(u16),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `h`
    Handle(i32),
    /// `d`
    F64(f64),
    /// `s`
    Str(String),
    /// `o`
    ObjectPath(ObjectPath),
    /// `g`
    Signature(Signature),
    /// `v`
    Variant(Box<Value>),
    /// `mT` without a value; the type is `T`.
    Nothing(Box<Type>),
    /// `mT` with a value.
    Just(Box<Value>),
    /// `aT` for every `T` but `y`.
    Array(Array),
    /// `ay`
    Bytes(Vec<u8>),
    /// `(T…)`
    Tuple(Vec<Value>),
    /// `{KT}`
    Entry(Box<DictEntry>),
}

/// Values of one type; see [`Value::array`].
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    element: Box<Type>,
    items: Vec<Value>,
}

/// A dictionary entry; see [`Value::entry`].
#[derive(Debug, Clone, PartialEq)]
pub struct DictEntry {
    key: Value,
    value: Value,
}

impl Value {
    /// An array of `items`, each of the type `element`. With the element type `y` it is [`Value::Bytes`].
    ///
    /// # Errors
    /// If an item has another type; the error's offset is the index of the item.
    pub fn array(element: Type, items: Vec<Value>) -> Result<Self> {
        if let Some((index, item)) = items.iter().enumerate().find(|(_, item)| !item.is(&element)) {
            let why = format!("item {index} has type '{}', not '{element}'", item.ty());
            return Err(ParseError::invalid("GVariant array", index, why));
        }
        Ok(Self::array_unchecked(element, items))
    }

    /// A dictionary entry.
    ///
    /// # Errors
    /// If the key's type is not a basic one.
    pub fn entry(key: Value, value: Value) -> Result<Self> {
        match key.basic() {
            Some(_) => Ok(Self::entry_unchecked(key, value)),
            None => {
                Err(ParseError::invalid("GVariant entry", 0, "a dictionary key has to have a basic type"))
            }
        }
    }

    /// The value `as`.
    pub fn strv<S: Into<String>>(items: impl IntoIterator<Item = S>) -> Self {
        let items = items.into_iter().map(|s| Self::Str(s.into())).collect();
        Self::array_unchecked(Type::STR, items)
    }

    /// The value `aay`.
    pub fn bytes_array<B: Into<Vec<u8>>>(items: impl IntoIterator<Item = B>) -> Self {
        let items = items.into_iter().map(|bytes| Self::Bytes(bytes.into())).collect();
        Self::array_unchecked(Type::bytes(), items)
    }

    /// The value wrapped into a variant, `<value>`.
    pub fn boxed(self) -> Self {
        Self::Variant(Box::new(self))
    }

    pub(crate) fn array_unchecked(element: Type, items: Vec<Value>) -> Self {
        if element == Type::BYTE {
            return Self::Bytes(
                items.iter().map(|item| if let Self::Byte(b) = item { *b } else { 0 }).collect(),
            );
        }
        Self::Array(Array { element: Box::new(element), items })
    }

    pub(crate) fn entry_unchecked(key: Value, value: Value) -> Self {
        Self::Entry(Box::new(DictEntry { key, value }))
    }

    /// The type of the value.
    pub fn ty(&self) -> Type {
        match self {
            Self::Variant(_) => Type::VARIANT,
            Self::Nothing(inner) => Type::maybe((**inner).clone()),
            Self::Just(value) => Type::maybe(value.ty()),
            Self::Array(array) => Type::array((*array.element).clone()),
            Self::Bytes(_) => Type::bytes(),
            Self::Tuple(members) => Type::tuple(members.iter().map(Value::ty).collect()),
            Self::Entry(entry) => match entry.key.basic() {
                Some(key) => Type::entry(key, entry.value.ty()),
                None => Type::tuple(vec![entry.key.ty(), entry.value.ty()]),
            },
            _ => self.basic().map_or(Type::VARIANT, Type::basic),
        }
    }

    /// Whether the value has the type `ty`.
    pub fn is(&self, ty: &Type) -> bool {
        match (self, ty.kind()) {
            (Self::Variant(_), TypeKind::Variant) => true,
            (Self::Nothing(inner), TypeKind::Maybe(expected)) => inner == expected,
            (Self::Just(value), TypeKind::Maybe(expected)) => value.is(expected),
            (Self::Array(array), TypeKind::Array(expected)) => array.element == *expected,
            (Self::Bytes(_), TypeKind::Array(expected)) => **expected == Type::BYTE,
            (Self::Tuple(members), TypeKind::Tuple(expected)) => {
                members.len() == expected.len() && members.iter().zip(expected).all(|(m, e)| m.is(e))
            }
            (Self::Entry(entry), TypeKind::Entry(key, value)) => {
                entry.key.basic() == Some(*key) && entry.value.is(value)
            }
            (_, TypeKind::Basic(basic)) => self.basic() == Some(*basic),
            _ => false,
        }
    }

    /// The value with the bytes of every integer and double in it, also inside of variants, the other way round.
    #[must_use]
    pub fn byteswap(&self) -> Self {
        let each = |items: &[Value]| items.iter().map(Value::byteswap).collect();
        match self {
            Self::I16(n) => Self::I16(n.swap_bytes()),
            Self::U16(n) => Self::U16(n.swap_bytes()),
            Self::I32(n) => Self::I32(n.swap_bytes()),
            Self::U32(n) => Self::U32(n.swap_bytes()),
            Self::I64(n) => Self::I64(n.swap_bytes()),
            Self::U64(n) => Self::U64(n.swap_bytes()),
            Self::Handle(n) => Self::Handle(n.swap_bytes()),
            Self::F64(d) => Self::F64(f64::from_bits(d.to_bits().swap_bytes())),
            Self::Variant(value) => Self::Variant(Box::new(value.byteswap())),
            Self::Just(value) => Self::Just(Box::new(value.byteswap())),
            Self::Array(Array { element, items }) => {
                Self::Array(Array { element: element.clone(), items: each(items) })
            }
            Self::Tuple(members) => Self::Tuple(each(members)),
            Self::Entry(entry) => Self::entry_unchecked(entry.key.byteswap(), entry.value.byteswap()),
            _ => self.clone(),
        }
    }

    /// The type of a value without parts.
    pub(super) fn basic(&self) -> Option<Basic> {
        Some(match self {
            Self::Bool(_) => Basic::Bool,
            Self::Byte(_) => Basic::Byte,
            Self::I16(_) => Basic::I16,
            Self::U16(_) => Basic::U16,
            Self::I32(_) => Basic::I32,
            Self::U32(_) => Basic::U32,
            Self::I64(_) => Basic::I64,
            Self::U64(_) => Basic::U64,
            Self::Handle(_) => Basic::Handle,
            Self::F64(_) => Basic::F64,
            Self::Str(_) => Basic::Str,
            Self::ObjectPath(_) => Basic::ObjectPath,
            Self::Signature(_) => Basic::Signature,
            _ => return None,
        })
    }

    /// Alignment and fixed size of the value's type, without building the type.
    pub(super) fn layout(&self) -> (u8, Option<usize>) {
        let of = |ty: &Type| (ty.alignment() as u8, ty.fixed_size());
        match self {
            Self::Variant(_) => (8, None),
            Self::Nothing(inner) => (inner.alignment() as u8, None),
            Self::Just(value) => (value.layout().0, None),
            Self::Array(array) => (array.element.alignment() as u8, None),
            Self::Bytes(_) => (1, None),
            Self::Tuple(members) => layout(members.iter().map(Value::layout)),
            Self::Entry(entry) => layout([entry.key.layout(), entry.value.layout()].into_iter()),
            _ => self.basic().map_or((8, None), |basic| of(&Type::basic(basic))),
        }
    }
}

impl Array {
    /// The type of the items.
    pub fn element(&self) -> &Type {
        &self.element
    }

    /// The items, in order.
    pub fn items(&self) -> &[Value] {
        &self.items
    }

    /// The items, in order.
    pub fn into_items(self) -> Vec<Value> {
        self.items
    }
}

impl DictEntry {
    /// The key, a value of a basic type.
    pub fn key(&self) -> &Value {
        &self.key
    }

    /// The value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Key and value.
    pub fn into_parts(self) -> (Value, Value) {
        (self.key, self.value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<u32> for Value {
    fn from(n: u32) -> Self {
        Self::U32(n)
    }
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Self::U64(n)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}
