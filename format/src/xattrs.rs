//! Extended attributes: `a(ayay)` of (name with its NUL, value), sorted by name, each name once.
//!
//! Source: libostree ostree-core.c:2332-2356 (validation), 371 (sorting).

use crate::error::{ParseErrorKind, Result};
use crate::wire::{Frame, Slice, Tuple};

/// The extended attributes of a file or directory; sorted by name and unique by construction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Xattrs(Vec<Pair>);

/// Name without its NUL, value.
type Pair = (Box<[u8]>, Box<[u8]>);

impl Xattrs {
    /// No attributes.
    pub const EMPTY: Self = Self(Vec::new());

    /// Sorts pairs of name and value, given in any order; of two values of one name the later one stays. Names are
    /// without NUL; an empty name or one with a NUL inside is left out, since no file can have it.
    pub fn from_pairs<N: Into<Box<[u8]>>, V: Into<Box<[u8]>>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut out = Self::EMPTY;
        for (name, value) in pairs {
            out.set(name.into(), value.into());
        }
        out
    }

    /// Sets one attribute; see [`Xattrs::from_pairs`].
    pub fn set(&mut self, name: Box<[u8]>, value: Box<[u8]>) {
        if name.is_empty() || name.contains(&0) {
            return;
        }
        match self.0.binary_search_by(|(n, _)| n.cmp(&name)) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (name, value)),
        }
    }

    /// Removes one attribute; says whether it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let found = self.0.binary_search_by(|(n, _)| (**n).cmp(name));
        found.map(|at| self.0.remove(at)).is_ok()
    }

    /// Removes the attributes for whose name and value `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        self.0.retain(|(name, value)| keep(name, value));
    }

    /// The value of one attribute.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let at = self.0.binary_search_by(|(n, _)| (**n).cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// All (name, value), sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(n, v)| (&**n, &**v))
    }

    /// The number of attributes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The bytes of all names and values together.
    pub fn total_bytes(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Whether there are no attributes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a serialized `a(ayay)`.
    ///
    /// # Errors
    /// If it is not in normal form, or a name is empty, out of order, or stands twice.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Self::read(Slice::new("xattrs", bytes))
    }

    /// Reads a serialized `a(ayay)` whose names may stand in any order, as old programs wrote them into
    /// `user.ostreemeta` and archive headers.
    ///
    /// # Errors
    /// As [`Xattrs::parse`], except for the order; a name that stands twice is an error.
    pub fn parse_unsorted(bytes: &[u8]) -> Result<Self> {
        Self::read_unsorted(Slice::new("xattrs", bytes))
    }

    pub(crate) fn read(slice: Slice<'_>) -> Result<Self> {
        let mut out: Vec<Pair> = Vec::new();
        for element in slice.elements(1)? {
            let element = element?;
            let (name, value) = pair(element)?;
            if out.last().is_some_and(|(last, _)| **last >= *name) {
                return Err(element.error(0, ParseErrorKind::NotSorted));
            }
            out.push((name.into(), value.into()));
        }
        Ok(Self(out))
    }

    pub(crate) fn read_unsorted(slice: Slice<'_>) -> Result<Self> {
        let mut out = Vec::new();
        for element in slice.elements(1)? {
            let (name, value) = pair(element?)?;
            out.push((name.into(), value.into()));
        }
        out.sort();
        if out.windows(2).any(|w: &[Pair]| w[0].0 == w[1].0) {
            return Err(slice.error(0, ParseErrorKind::NotSorted));
        }
        Ok(Self(out))
    }

    /// The serialized `a(ayay)`; no bytes at all if there are none.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut array = Frame::begin(out, 1);
        for (name, value) in &self.0 {
            let mut tuple = Frame::begin(out, 1);
            out.extend_from_slice(name);
            out.push(0);
            tuple.end_member(out);
            out.extend_from_slice(value);
            tuple.finish_tuple(out);
            array.end_member(out);
        }
        array.finish_array(out);
    }
}

/// Name (without its NUL) and value of one `(ayay)`.
fn pair(element: Slice<'_>) -> Result<(&[u8], &[u8])> {
    let mut tuple = Tuple::new(element, 1)?;
    let name = tuple.framed(1)?.named("xattr name");
    let value = tuple.last(1)?;
    match name.bytes.split_last() {
        Some((0, text)) if !text.is_empty() && !text.contains(&0) => Ok((text, value.bytes)),
        _ => Err(name.error(0, ParseErrorKind::BadNul)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_and_unique() {
        let x = Xattrs::from_pairs([(*b"user.b", *b"2"), (*b"user.a", *b"1"), (*b"user.b", *b"3")]);
        assert_eq!(x.iter().collect::<Vec<_>>(), [(&b"user.a"[..], &b"1"[..]), (b"user.b", b"3")]);
        // As GLib writes [(b'user.a', [byte 0x31]), (b'user.b', [byte 0x33])].
        let bytes = b"user.a\x001\x07user.b\x003\x07\x09\x12";
        assert_eq!(x.to_bytes(), bytes);
        assert_eq!(Xattrs::parse(bytes), Ok(x.clone()));
        assert_eq!(Xattrs::parse(b""), Ok(Xattrs::EMPTY));
        let swapped = b"user.b\x003\x07user.a\x001\x07\x09\x12";
        assert!(Xattrs::parse(swapped).is_err());
        assert_eq!(Xattrs::parse_unsorted(swapped), Ok(x));
    }
}
