//! GVariant serialization: bytes that are not normal, random values, and the `gvariant` crate. That GLib writes
//! the same bytes is tested with the text form.

use gvariant::{Marker, Structure, gv};
use ostree_format::variant::{Basic, ObjectPath, Signature, Type, TypeKind, Value};
use ostree_format::{ParseError, ParseErrorKind};
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::glib;
use crate::variant_text::sample;

pub(crate) fn ty(text: &str) -> Type {
    Type::parse(text).unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Types that are not, and the byte that is wrong.
#[test]
fn bad_types() {
    let invalid = |offset, why: &str| ParseError::invalid("GVariant type", offset, why);
    let ended = |offset| ParseError::new("GVariant type", offset, ParseErrorKind::Truncated);
    let cases = [
        ("", ended(0)),
        ("a", ended(1)),
        ("(s", ended(2)),
        ("r", invalid(0, "no such type")),
        ("a*", invalid(1, "no such type")),
        ("{vs}", invalid(1, "a dictionary key has to have a basic type")),
        ("{sss}", invalid(3, "a dictionary entry has two parts")),
        ("ss", ParseError::new("GVariant type", 1, ParseErrorKind::TrailingData)),
    ];
    for (text, error) in cases {
        assert_eq!(Type::parse(text), Err(error), "{text:?}");
    }
    for text in ["a{sv}", "(uuua(ayay))", "(a{sv}aya(say)sstayay)", "()", "m(ai)", "{i()}"] {
        assert_eq!(ty(text).to_string(), text);
    }
}

/// Bytes that are not in normal form, and where.
#[test]
fn bad_bytes() {
    use ParseErrorKind::{BadNul, BadOffset, NotNormal, NotUtf8, Padding, TrailingData, Truncated};
    let cases: &[(&str, &[u8], usize, ParseErrorKind)] = &[
        ("b", &[2], 0, NotNormal),
        ("u", &[1, 0, 0], 3, Truncated),
        ("u", &[1, 0, 0, 0, 0], 4, TrailingData),
        ("s", &[], 0, BadNul),
        ("s", b"a", 0, BadNul),
        ("s", b"a\0b\0", 1, BadNul),
        ("s", b"a\xff\0", 1, NotUtf8),
        ("v", b"", 0, Truncated),
        ("v", b"\x01y", 0, Truncated),
        ("v", b"\x01\0yy", 3, TrailingData),
        ("v", b"\x01\x01\0y", 1, TrailingData),
        ("()", &[1], 0, Padding),
        ("(yu)", &[1, 0, 9, 0, 1, 0, 0, 0], 2, Padding),
        ("(uy)", &[1, 0, 0, 0, 1, 0, 0, 9], 7, Padding),
        ("mi", &[1, 0, 0, 0, 0], 4, TrailingData),
        ("ms", b"a\0\x01", 2, Padding),
        ("ai", &[0; 6], 6, Truncated),
        ("as", b"a\0b\0\x02\x09", 5, BadOffset),
        ("as", b"a\0b\0\x03\x02", 2, BadOffset),
        ("as", b"aaa\0\x04\x02\x04", 5, BadOffset),
        ("(ss)", b"a\0b\0\x09", 0, BadOffset),
        ("(ss)", b"", 0, Truncated),
        ("((yy)ss)", b"\x01", 0, BadOffset),
        ("(yss)", &[], 0, BadOffset),
        ("(sy)", b"a\0\x01\x02\x02", 3, TrailingData),
        ("a{sv}", b"a\0\0\0\0\0\0\x01\x01\0y\x02\x0c", 7, Padding),
    ];
    for (text, bytes, offset, kind) in cases {
        let expected = Err(ParseError::new("GVariant", *offset, kind.clone()));
        assert_eq!(Value::from_bytes(&ty(text), bytes), expected, "{text} {bytes:?}");
    }
}

/// The ends of a container take the fewest bytes that do, and no more.
#[test]
fn offset_sizes_are_minimal() {
    for len in [1, 252, 253, 254, 255, 256, 300, 65_531, 65_532, 65_533, 65_536] {
        let value = Value::Tuple(vec!["x".repeat(len).into(), Value::Byte(7)]);
        let bytes = value.to_bytes();
        assert_eq!(Value::from_bytes(&value.ty(), &bytes), Ok(value));
        let array = Value::strv(["x".repeat(len), String::new()]);
        assert_eq!(Value::from_bytes(&array.ty(), &array.to_bytes()), Ok(array));
    }
    // 254 bytes and one end fit into 255 with a one-byte end; here the end takes two.
    let mut bytes = vec![b'x'; 253];
    bytes.extend([0, 254, 0]);
    let not_normal = ParseError::new("GVariant", 254, ParseErrorKind::NotNormal);
    assert_eq!(Value::from_bytes(&ty("as"), &bytes), Err(not_normal));
}

/// Small inputs that ask for a lot: many values of no size, and deep nesting.
#[test]
fn hostile_bytes() {
    let units = format!("a{}{}", "(".repeat(60), ")".repeat(60));
    assert!(Value::from_bytes(&ty(&units), &[0; 10_000]).is_err());
    assert_eq!(Value::from_bytes(&ty("a()"), &[0; 1000]).unwrap().to_bytes(), [0; 1000]);
    let mut nested = b"\x01\0y".to_vec();
    for depth in 0..500 {
        nested.extend(b"\0v");
        assert_eq!(Value::from_bytes(&Type::VARIANT, &nested).is_ok(), depth < 126, "{depth}");
    }
    // More framing offsets than fit before the start of the input.
    let many = format!("({})", "ay".repeat(300));
    assert!(Value::from_bytes(&ty(&many), &[0; 257]).is_err());
    let fields = format!("({})", "()".repeat(5000));
    assert!(Value::from_bytes(&ty(&fields), &[]).is_err());
}

/// The same bytes as the `gvariant` crate for types that commits are made of.
#[test]
fn agrees_with_the_gvariant_crate() {
    let commit = gv!("(sayta(say))");
    let bytes =
        commit.serialize_to_vec(&("subject", &[1u8, 2, 3][..], &7u64, &[("file", &[9u8; 32][..])][..]));
    let value = Value::from_bytes(&ty("(sayta(say))"), &bytes).unwrap();
    let row = Value::Tuple(vec!["file".into(), vec![9; 32].into()]);
    let rows = Value::array(ty("(say)"), vec![row]).unwrap();
    assert_eq!(value, Value::Tuple(vec!["subject".into(), vec![1, 2, 3].into(), 7u64.into(), rows]));
    assert_eq!(value.to_bytes(), bytes);
    let aligned = gvariant::aligned_bytes::copy_to_align(&bytes);
    let (subject, _, number, _) = commit.cast(&aligned).to_tuple();
    assert_eq!((subject.to_str(), *number), ("subject", 7));
}

#[test]
fn byteswap_turns_every_integer() {
    let value = Value::parse("(uint16 1, <uint64 2>, [3, 4], just 5, {6: 'a'}, byte 7, 1.5)").unwrap();
    let swapped = value.byteswap();
    assert_eq!(swapped.print(ostree_format::variant::Annotate::Nothing).split(", ").next(), Some("(256"));
    assert_ne!(swapped, value);
    assert_eq!(swapped.byteswap(), value);
}

/// What is normal form is what GLib says: on values with a few bytes changed.
#[test]
fn normal_as_glib() {
    let byte = prop_oneof![Just(0), 0..20u8, any::<u8>()];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), byte, 0..3u8), 0..3);
    let damaged = (any_value(), changes).prop_map(|(value, changes)| {
        let mut bytes = value.to_bytes();
        for (at, byte, what) in changes {
            let at = at.index(bytes.len() + 1);
            match (what, bytes.get_mut(at)) {
                (0, _) => bytes.insert(at, byte),
                (1, Some(_)) => drop(bytes.remove(at)),
                (_, Some(old)) => *old = byte,
                (_, None) => {}
            }
        }
        (value.ty(), bytes)
    });
    let cases = sample(damaged, 3000);
    let request = |(ty, bytes): &(Type, Vec<u8>)| vec!["normal".into(), ty.to_string(), hex(bytes)];
    let answers = glib::ask(&cases.iter().map(request).collect::<Vec<_>>());
    for ((ty, bytes), glib) in cases.iter().zip(answers.into_iter().flatten()) {
        let ours = Value::from_bytes(ty, bytes);
        assert_eq!(if ours.is_ok() { "yes" } else { "no" }, glib[0], "{ty} {bytes:?} {ours:?}");
    }
}

fn any_basic() -> impl Strategy<Value = Basic> {
    prop::sample::select(b"bynqiuxthdsog".to_vec()).prop_map(|code| Basic::from_code(code).unwrap())
}

fn any_type() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![6 => any_basic().prop_map(Type::basic), 1 => Just(Type::VARIANT)];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(Type::array),
            inner.clone().prop_map(Type::maybe),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Type::tuple),
            (any_basic(), inner).prop_map(|(key, value)| Type::array(Type::entry(key, value))),
        ]
    })
}

/// A value of a random type.
pub(crate) fn any_value() -> BoxedStrategy<Value> {
    any_type().prop_flat_map(|ty| value_of(&ty, 2)).boxed()
}

fn value_of(ty: &Type, variants: u32) -> BoxedStrategy<Value> {
    match ty.kind() {
        TypeKind::Basic(basic) => basic_value(*basic),
        TypeKind::Variant if variants == 0 => Just(Value::Byte(1).boxed()).boxed(),
        TypeKind::Variant => {
            any_type().prop_flat_map(move |ty| value_of(&ty, variants - 1)).prop_map(Value::boxed).boxed()
        }
        TypeKind::Maybe(inner) => {
            let nothing = Value::Nothing(inner.clone());
            prop_oneof![Just(nothing), value_of(inner, variants).prop_map(|v| Value::Just(Box::new(v)))]
                .boxed()
        }
        TypeKind::Array(element) => {
            let element = (**element).clone();
            let items = prop::collection::vec(value_of(&element, variants), 0..5);
            items.prop_map(move |items| Value::array(element.clone(), items).unwrap()).boxed()
        }
        TypeKind::Tuple(members) => {
            let members: Vec<_> = members.iter().map(|ty| value_of(ty, variants)).collect();
            members.prop_map(Value::Tuple).boxed()
        }
        TypeKind::Entry(key, value) => (basic_value(*key), value_of(value, variants))
            .prop_map(|(key, value)| Value::entry(key, value).unwrap())
            .boxed(),
    }
}

fn basic_value(basic: Basic) -> BoxedStrategy<Value> {
    let text = prop_oneof!["[a-z]{0,6}", "[ -~]{0,6}", r"[^\x00]{0,4}"];
    match basic {
        Basic::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Basic::Byte => any::<u8>().prop_map(Value::Byte).boxed(),
        Basic::I16 => any::<i16>().prop_map(Value::I16).boxed(),
        Basic::U16 => any::<u16>().prop_map(Value::U16).boxed(),
        Basic::I32 => any::<i32>().prop_map(Value::I32).boxed(),
        Basic::U32 => any::<u32>().prop_map(Value::U32).boxed(),
        Basic::I64 => any::<i64>().prop_map(Value::I64).boxed(),
        Basic::U64 => any::<u64>().prop_map(Value::U64).boxed(),
        Basic::Handle => any::<i32>().prop_map(Value::Handle).boxed(),
        Basic::F64 => prop_oneof![
            prop::num::f64::NORMAL,
            any::<i32>().prop_map(|n| f64::from(n) / 64.0),
            (-60i32..60).prop_map(|e| 2f64.powi(e)),
            (-300i32..300).prop_map(|e| 10f64.powi(e)),
            Just(f64::NEG_INFINITY),
            Just(-0.0),
        ]
        .prop_map(Value::F64)
        .boxed(),
        Basic::Str => text.prop_map(Value::Str).boxed(),
        Basic::ObjectPath => "/|(/[a-zA-Z0-9_]{1,3}){1,3}"
            .prop_map(|path| Value::ObjectPath(ObjectPath::new(path).unwrap()))
            .boxed(),
        Basic::Signature => {
            "(s|ay|a\\{sv\\}){0,3}".prop_map(|s| Value::Signature(Signature::new(s).unwrap())).boxed()
        }
    }
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn values_are_read_as_written(value in any_value()) {
        let read = Value::from_bytes(&value.ty(), &value.to_bytes());
        prop_assert_eq!(read, Ok(value));
    }

    /// Damaged bytes are refused, or are the normal form of another value; never a panic.
    #[test]
    fn damaged_bytes(value in any_value(), at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
        let mut bytes = value.to_bytes();
        let len = bytes.len();
        if len > 0 {
            bytes[at.index(len)] = byte;
            bytes.truncate(len - cut.index(len).min(2));
        }
        if let Ok(read) = Value::from_bytes(&value.ty(), &bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }

    #[test]
    fn random_bytes(ty in any_type(), bytes in prop::collection::vec(prop_oneof![Just(0), 0..20u8, any::<u8>()], 0..60)) {
        if let Ok(read) = Value::from_bytes(&ty, &bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }
}
