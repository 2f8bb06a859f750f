//! JSON that decides whom to trust: whatever could be read in two ways, or is not understood, is refused.
//!
//! ```text
//! serde's derive      a field twice, one that is missing, and (deny_unknown_fields) one that is not known
//! read_object         a value out of an object's members, where serde would take an array, too
//! Object              so a struct
//! Unique              an object with keys of its own: none of them twice
//! given               a field that may be left out, but is not null
//! Base64              bytes
//! check_keys          a whole document: no object has a key twice
//! ```
//! The same is refused by containers/image's signature/internal/json.go.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A value that is made of the members of an object.
pub(in crate::container) trait FromMembers<'de>: Sized {
    /// Reads the members.
    fn from_members<A: MapAccess<'de>>(members: A) -> Result<Self, A::Error>;
}

/// Reads an object, and nothing that serde would take for one.
pub(in crate::container) fn read_object<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromMembers<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_map(Members(PhantomData))
}

struct Members<T>(PhantomData<T>);

impl<'de, T: FromMembers<'de>> Visitor<'de> for Members<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_members(map)
    }
}

/// A struct that is written as an object.
#[derive(Debug)]
pub(in crate::container) struct Object<T>(pub(in crate::container) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_object(deserializer)
    }
}

impl<'de, T: Deserialize<'de>> FromMembers<'de> for Object<T> {
    fn from_members<A: MapAccess<'de>>(members: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Self)
    }
}

/// An object whose keys are not fixed; none of them stands there twice.
#[derive(Debug)]
pub(in crate::container) struct Unique<T>(pub(in crate::container) BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Unique<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_object(deserializer)
    }
}

impl<'de, T: Deserialize<'de>> FromMembers<'de> for Unique<T> {
    fn from_members<A: MapAccess<'de>>(mut members: A) -> Result<Self, A::Error> {
        let mut out = BTreeMap::new();
        while let Some(key) = members.next_key::<String>()? {
            if out.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key {key:?} stands there twice")));
            }
            let value = members.next_value()?;
            out.insert(key, value);
        }
        Ok(Self(out))
    }
}

/// The value of a field that may be left out: if it is there, it is not null.
pub(in crate::container) fn given<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Bytes, written in base64.
#[derive(Debug)]
pub(in crate::container) struct Base64(pub(in crate::container) Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Line ends in it are passed over, as Go does.
        let text = String::deserialize(deserializer)?.replace(['\r', '\n'], "");
        STANDARD.decode(text).map(Self).map_err(|e| D::Error::custom(format_args!("no base64: {e}")))
    }
}

/// Checks that no object of a JSON document has a key twice: readers differ in which of them counts.
pub(in crate::container) fn check_keys(json: &[u8]) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    AllKeys.deserialize(&mut deserializer)?;
    deserializer.end()
}

struct AllKeys;

impl<'de> DeserializeSeed<'de> for AllKeys {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AllKeys {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(A::Error::custom(format_args!("the key {key:?} stands there twice")));
            }
            keys.insert(key);
            map.next_value_seed(Self)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Self)?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for (json, good) in [
            (r#"{"a": {"b": 1}, "c": [{"b": null}, {"b": -1.5}], "d": "x"}"#, true),
            (r#"{"a": 1, "\u0061": 2}"#, false),
            (r#"[[{"x": {"a": true, "a": false}}]]"#, false),
            (r#"{"a": 1} x"#, false),
            ("[18446744073709551615]", true),
        ] {
            assert_eq!(check_keys(json.as_bytes()).is_ok(), good, "{json}");
        }
        let map = |json| serde_json::from_str::<Unique<u8>>(json);
        assert_eq!(map(r#"{"a": 1, "A": 2}"#).unwrap().0.len(), 2);
        assert!(map(r#"{"a": 1, "a": 1}"#).unwrap_err().to_string().contains("twice"));
        assert!(map("null").is_err());
    }
}
