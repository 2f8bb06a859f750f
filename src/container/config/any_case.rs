//! JSON whose keys may be in any case.

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, IntoDeserializer as _, MapAccess};
use serde::{Deserialize, Deserializer};

use crate::container::image::{FromMembers, read_object};

/// A struct whose keys may be in any case, and that names them in lower case. So does Go read all JSON: only for what
/// decides nothing.
#[derive(Debug)]
pub(super) struct AnyCase<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for AnyCase<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_object(deserializer)
    }
}

impl<'de, T: Deserialize<'de>> FromMembers<'de> for AnyCase<T> {
    fn from_members<A: MapAccess<'de>>(members: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(LowerKeys(members))).map(Self)
    }
}

/// An object with its keys in lower case.
struct LowerKeys<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for LowerKeys<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let key = self.0.next_key::<String>()?.map(|key| key.to_ascii_lowercase());
        key.map(|key| seed.deserialize(key.into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}
