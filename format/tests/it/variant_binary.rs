//! GVariant serialization: against bytes that GLib wrote, against the `gvariant` crate, and against itself.

use ostree_format::variant::{Dict, Type, Value};

/// Serialized by GLib 2.74 (`GLib.Variant.parse(None, text).get_data_as_bytes()`).
#[test]
fn bytes_by_glib() {
    let dict: Dict =
        [("k".to_owned(), Value::U64(7)), ("l".to_owned(), Value::strv(["a", "b"]))].into_iter().collect();
    let cases: Vec<(Value, &str)> = vec![
        (Value::Tuple(vec![]), "00"),
        (Value::array(Type::tuple(vec![]), vec![Value::Tuple(vec![]); 3]).unwrap(), "000000"),
        (Value::Tuple(vec![Value::Byte(1), Value::U64(2)]), "01000000000000000200000000000000"),
        (Value::Tuple(vec![Value::U64(2), Value::Byte(1)]), "02000000000000000100000000000000"),
        (Value::Tuple(vec!["a".into(), "bc".into(), Value::Byte(3)]), "61006263000305 02"),
        (Value::strv(["a", "", "bc"]), "610000626300020306"),
        (Value::Just(Box::new("x".into())), "780000"),
        (Value::Nothing(Box::new(Type::STR)), ""),
        (Value::from("x").boxed(), "78000073"),
        (
            dict.to_value(),
            "6b00000000000000070000000000000000740200000000006c0000000000000061006200020400617302132a",
        ),
    ];
    for (value, expected) in cases {
        let hex: String = value.to_bytes().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, expected.replace(' ', ""), "{value:?}");
        assert_eq!(Value::from_bytes(&value.ty(), &value.to_bytes()), Ok(value));
    }
}
