//! `a{sv}`: the dictionaries that commits, summaries and signatures keep their metadata in.

use super::ty::Type;
use super::value::Value;
use crate::{ParseError, Result};

/// A dictionary of named values, in order.
///
/// The order is part of the serialized bytes, so it is kept as read and as inserted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dict(Vec<(String, Value)>);

impl Dict {
    /// An empty dictionary.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a serialized `a{sv}`. A key that stands twice stays so; [`get`](Self::get) finds the first. An
    /// empty key is read like any other: libostree refuses it in commits alone.
    ///
    /// # Errors
    /// If the bytes are not in normal form.
    pub fn parse(data: &[u8]) -> Result<Self> {
        Self::from_value(Value::from_bytes(&Type::vardict(), data)?)
    }

    /// The dictionary that `value` is.
    ///
    /// # Errors
    /// If its type is not `a{sv}`.
    pub fn from_value(value: Value) -> Result<Self> {
        let wrong = || ParseError::invalid("metadata", 0, "the type is not 'a{sv}'");
        if !value.is(&Type::vardict()) {
            return Err(wrong());
        }
        let Value::Array(array) = value else { return Err(wrong()) };
        let entries = array.into_items().into_iter().map(|item| {
            let Value::Entry(entry) = item else { return Err(wrong()) };
            match entry.into_parts() {
                (Value::Str(key), Value::Variant(value)) => Ok((key, *value)),
                _ => Err(wrong()),
            }
        });
        entries.collect::<Result<_>>().map(Self)
    }

    /// The dictionary as a value of type `a{sv}`.
    pub fn to_value(&self) -> Value {
        let entry =
            |(k, v): &(String, Value)| Value::entry_unchecked(Value::Str(k.clone()), v.clone().boxed());
        Value::array_unchecked(
            Type::entry(super::Basic::Str, Type::VARIANT),
            self.0.iter().map(entry).collect(),
        )
    }

    /// The serialized `a{sv}`.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_value().to_bytes()
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether there is an entry `key`.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The value of `key`, without the variant around it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, value)| value)
    }

    /// Sets `key`, in place where it exists, at the end otherwise. The value must not be wrapped into a variant.
    /// Returns the value it had.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => Some(std::mem::replace(old, value)),
            None => {
                self.0.push((key, value));
                None
            }
        }
    }

    /// Adds an entry at the end, also if the key exists already.
    pub fn push(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.0.push((key.into(), value.into()));
    }

    /// Removes `key` and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let index = self.0.iter().position(|(k, _)| k == key)?;
        Some(self.0.remove(index).1)
    }

    /// The string `key`; `None` if it does not exist or has another type, as with all typed getters.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(|v| if let Value::Str(text) = v { Some(text.as_str()) } else { None })
    }

    /// The boolean `key`.
    pub fn get_bool(&self, key: &str) -> Option<bool> {
        self.get(key).and_then(|v| if let Value::Bool(b) = v { Some(*b) } else { None })
    }

    /// The `u` under `key`, as stored; see [`u32::from_be`] for fields that are big endian.
    pub fn get_u32(&self, key: &str) -> Option<u32> {
        self.get(key).and_then(|v| if let Value::U32(n) = v { Some(*n) } else { None })
    }

    /// The `t` under `key`, as stored; see [`u64::from_be`] for fields that are big endian.
    pub fn get_u64(&self, key: &str) -> Option<u64> {
        self.get(key).and_then(|v| if let Value::U64(n) = v { Some(*n) } else { None })
    }

    /// The `ay` under `key`.
    pub fn get_bytes(&self, key: &str) -> Option<&[u8]> {
        self.get(key).and_then(|v| if let Value::Bytes(bytes) = v { Some(bytes.as_slice()) } else { None })
    }

    /// The `as` under `key`.
    pub fn get_strv(&self, key: &str) -> Option<Vec<&str>> {
        let Some(Value::Array(array)) = self.get(key) else { return None };
        if *array.element() != Type::STR {
            return None;
        }
        array
            .items()
            .iter()
            .map(|v| if let Value::Str(text) = v { Some(text.as_str()) } else { None })
            .collect()
    }

    /// The `aay` under `key`.
    pub fn get_bytes_array(&self, key: &str) -> Option<Vec<&[u8]>> {
        let Some(Value::Array(array)) = self.get(key) else { return None };
        if *array.element() != Type::bytes() {
            return None;
        }
        array
            .items()
            .iter()
            .map(|v| if let Value::Bytes(b) = v { Some(b.as_slice()) } else { None })
            .collect()
    }

    /// The `a{sv}` under `key`.
    ///
    /// # Errors
    /// If it exists with another type.
    pub fn get_dict(&self, key: &str) -> Result<Option<Self>> {
        self.get(key).cloned().map(Self::from_value).transpose()
    }

    /// A dictionary of these entries in the order in which GLib's `GVariantDict` lists them: that of the slots of its
    /// `GHashTable`, after inserting the entries in their order here. Of equal keys the last value stays.
    ///
    /// libostree's programs pass metadata through a `GVariantDict` in some places, and the id of a commit
    /// depends on the order.
    #[must_use]
    pub fn hash_ordered(&self) -> Self {
        let mut table = GHashTable { slots: vec![None; 8], modulus: 7, used: 0 };
        for (index, (key, _)) in self.0.iter().enumerate() {
            table.insert(key, index, &self.0);
        }
        Self(table.slots.into_iter().flatten().filter_map(|(_, index)| self.0.get(index).cloned()).collect())
    }
}

/// The part of GLib's hash table that decides the order of its keys: an array of slots, a power of two, open
/// addressing with growing steps. A slot here is the hash and the index of the entry.
struct GHashTable {
    slots: Vec<Option<(u32, usize)>>,
    modulus: u32,
    used: usize,
}

impl GHashTable {
    /// The primes that hashes are taken modulo, for 8, 16, 32 … slots.
    const PRIMES: [u32; 29] = [
        7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071, 262139, 524287,
        1048573, 2097143, 4194301, 8388593, 16777213, 33554393, 67108859, 134217689, 268435399, 536870909,
        1073741789, 2147483647,
    ];

    fn hash(key: &str) -> u32 {
        let step = |h: u32, b: u8| h.wrapping_mul(33).wrapping_add(b as i8 as u32);
        // 0 and 1 mark empty slots and tombstones.
        match key.bytes().fold(5381, step) {
            0 | 1 => 2,
            h => h,
        }
    }

    fn first_slot(&self, hash: u32) -> usize {
        (hash.wrapping_mul(11) % self.modulus) as usize
    }

    fn insert(&mut self, key: &str, index: usize, entries: &[(String, Value)]) {
        let hash = Self::hash(key);
        let (mut slot, mut step) = (self.first_slot(hash), 0);
        while let Some((other, at)) = self.slots[slot] {
            if other == hash && entries[at].0 == key {
                self.slots[slot] = Some((hash, index));
                return;
            }
            step += 1;
            slot = (slot + step) & (self.slots.len() - 1);
        }
        self.slots[slot] = Some((hash, index));
        self.used += 1;
        if self.slots.len() <= self.used + self.used / 16 {
            self.grow();
        }
    }

    /// Takes more slots and places the keys anew within the same array, as GLib does: a key that is put into a
    /// slot pushes out the one that was there, which is placed next.
    fn grow(&mut self) {
        let wanted = (self.used as f64 * 1.333) as usize;
        let size = (wanted + 1).next_power_of_two().max(8);
        let old = self.slots.len();
        self.modulus = Self::PRIMES[(size.trailing_zeros() as usize - 3).min(Self::PRIMES.len() - 1)];
        self.slots.resize(size.max(old), None);
        let mut placed = vec![false; self.slots.len()];
        for from in 0..old {
            if placed[from] {
                continue;
            }
            let mut moving = self.slots[from].take();
            while let Some((hash, _)) = moving {
                let (mut slot, mut step) = (self.first_slot(hash), 0);
                while placed[slot] {
                    step += 1;
                    slot = (slot + step) & (size - 1);
                }
                placed[slot] = true;
                std::mem::swap(&mut self.slots[slot], &mut moving);
            }
        }
    }
}

impl FromIterator<(String, Value)> for Dict {
    /// Entries one after another, as [`Dict::push`] adds them.
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl IntoIterator for Dict {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
