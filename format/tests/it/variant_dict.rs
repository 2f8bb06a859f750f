//! Dictionaries, and the order that GLib's hash table gives them.

use ostree_format::variant::{Dict, Value};
use proptest::prelude::*;

use crate::glib;
use crate::variant_text::sample;

fn keys(dict: &Dict) -> Vec<&str> {
    dict.iter().map(|(key, _)| key).collect()
}

fn of(keys: &[&str]) -> Dict {
    keys.iter().map(|key| ((*key).to_owned(), Value::Bool(true))).collect()
}

/// The metadata of a commit that C ostree wrote with `--bootable`, in the order of its options, and as written.
#[test]
fn order_of_a_bootable_commit() {
    let given = of(&[
        "version",
        "example.u64",
        "example.list",
        "ostree.ref-binding",
        "ostree.linux",
        "ostree.bootable",
    ]);
    let written =
        ["example.u64", "version", "ostree.bootable", "ostree.linux", "example.list", "ostree.ref-binding"];
    assert_eq!(keys(&given.hash_ordered()), written);
}

#[test]
fn order_as_glib() {
    let requests: Vec<Vec<String>> = sample(prop::collection::vec("[a-z.é-]{0,12}", 0..120), 400);
    let ask: Vec<_> = requests.iter().map(|keys| [&["order".to_owned()], &keys[..]].concat()).collect();
    for (given, glib) in requests.iter().zip(glib::ask(&ask).into_iter().flatten()) {
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        // One empty key and no key are the same line.
        if !given.is_empty() {
            assert_eq!(keys(&of(&given).hash_ordered()), glib, "{given:?}");
        }
    }
}

#[test]
fn entries_are_set_in_place() {
    let mut dict = Dict::new();
    assert!(dict.is_empty());
    dict.insert("b", "1");
    dict.insert("a", 2u64);
    dict.insert("list", Value::strv(["x", "y"]));
    assert_eq!(dict.insert("b", vec![1, 2]), Some("1".into()));
    assert_eq!(keys(&dict), ["b", "a", "list"]);
    assert_eq!(dict.get_bytes("b"), Some(&[1, 2][..]));
    assert_eq!((dict.get_u64("a"), dict.get_str("a"), dict.get_u32("none")), (Some(2), None, None));
    assert_eq!(dict.get_strv("list"), Some(vec!["x", "y"]));
    assert_eq!(Dict::parse(&dict.to_bytes()), Ok(dict.clone()));
    assert_eq!(
        dict.to_value().to_string(),
        "{'b': <[byte 0x01, 0x02]>, 'a': <uint64 2>, 'list': <['x', 'y']>}"
    );
    assert_eq!(dict.remove("b"), Some(vec![1, 2].into()));
    assert_eq!(dict.len(), 2);
    assert!(Dict::from_value(Value::strv(["a"])).is_err());
}
