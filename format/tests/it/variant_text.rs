//! The text form of values: what GLib reads and prints, from a table that GLib filled in and from GLib itself.

use ostree_format::variant::{Annotate, Type, Value};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::glib;
use crate::variant_binary::{any_value, hex};

/// Lines of: type that is asked for or empty, text, and GLib's answer as `glib.py` describes it.
const TABLE: &str = include_str!("../data/variant-text.tsv");

/// Our answer in the form of GLib's.
fn answer(ty: &str, text: &str) -> Vec<String> {
    let value = match ty {
        "" => Value::parse(text),
        ty => Value::parse_as(&Type::parse(ty).unwrap(), text),
    };
    let Ok(value) = value else { return vec!["error".into()] };
    let plain = value.print(Annotate::Nothing);
    vec!["ok".into(), value.ty().to_string(), value.print(Annotate::Types), plain, hex(&value.to_bytes())]
}

#[test]
fn table_by_glib() {
    for line in TABLE.lines() {
        let fields = glib::split(line);
        let (ty, text) = (&fields[0], &fields[1]);
        assert_eq!(answer(ty, text), fields[2..], "type {ty:?}, text {text:?}");
    }
}

/// The table still is what GLib says.
#[test]
fn table_is_glibs() {
    let lines: Vec<_> = TABLE.lines().map(glib::split).collect();
    let requests: Vec<_> =
        lines.iter().map(|f| vec!["parse".to_owned(), f[0].clone(), f[1].clone()]).collect();
    for (fields, answer) in lines.iter().zip(glib::ask(&requests).into_iter().flatten()) {
        assert_eq!(answer, fields[2..], "{:?}", &fields[..2]);
    }
}

/// Where we do not do as GLib does.
#[test]
fn known_differences() {
    assert!(Value::parse("-").is_err());
    assert_eq!(Value::parse("5e-324"), Ok(Value::F64(5e-324)));
    for text in ["'\\ud800'", "'\\U00110000'", "'a\0b'", "'\\\0'", "b'\0'"] {
        assert!(Value::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn deep_nesting_is_an_error() {
    for (open, close) in [("[", "]"), ("(", ",)"), ("<", ">"), ("{1:", "}"), ("just ", ""), ("@i ", "")] {
        for depth in [100, 200, 100_000] {
            let text = open.repeat(depth) + "1" + &close.repeat(depth);
            assert_eq!(Value::parse(&text).is_ok(), depth == 100, "{open} {depth}");
        }
    }
    let maybes = "m".repeat(100);
    assert!(Value::parse(&format!("<@{maybes}v <@{maybes}i 1>>")).is_err());
    assert!(Type::parse(&"a".repeat(100_000)).is_err());
}

/// Random values: GLib parses what we print, prints the same, and serializes to the same bytes.
#[test]
fn random_values_with_glib() {
    let values: Vec<Value> = sample(any_value(), 600);
    let request = |v: &Value| vec!["parse".into(), v.ty().to_string(), v.print(Annotate::Types)];
    let Some(answers) = glib::ask(&values.iter().map(request).collect::<Vec<_>>()) else { return };
    for (value, glib) in values.iter().zip(answers) {
        assert_eq!(answer(&value.ty().to_string(), &value.print(Annotate::Types)), glib, "{value:?}");
    }
}

pub(crate) fn sample<T>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn printed_values_are_read_again(value in any_value()) {
        let text = value.print(Annotate::Types);
        let read = Value::parse_as(&value.ty(), &text);
        prop_assert_eq!(read.map(|v| v.to_bytes()), Ok(value.to_bytes()), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in r#"([\[\](){}<>,:@0-9a-z'"\\+. -]|just |nothing|@a\{sv\} |uint64 |é){0,30}"#) {
        if let Ok(value) = Value::parse(&text) {
            prop_assert_eq!(Value::from_bytes(&value.ty(), &value.to_bytes()).map(|v| v.to_bytes()), Ok(value.to_bytes()));
        }
    }
}
