//! Superblocks.
//!
//! ```text
//! (a{sv}tayay(a{sv}aya(say)sstayay)aya(uayttay)a(yaytt))
//!   metadata     ostree.endianness y: 'l' or 'B'; parts that lie in the superblock: (yay), by their paths
//!   timestamp    t, big endian: seconds since 1970
//!   from, to     ay: checksums of the commits; the first may be empty
//!   commit       the new commit
//!   before       ay: pairs of checksums, deltas that have to be applied first
//!   parts        version u, checksum of the file ay, its size t, size of the objects t, (type, checksum)… ay
//!   fallbacks    type y, checksum ay, size to fetch t, size of the content t
//! signed: (taya{sv})     magic "OSTSGNDT", big endian · the superblock · signatures by kind
//! ```
//! What is read is held in memory but for parts that lie in the superblock, of which only the places are told.
//!
//! Numbers of parts and fallbacks are in the byte order of the machine that made the delta, which the metadata states
//! since libostree 2016.4; before, it is guessed from the sizes.
//!
//! Source: libostree ostree-repo-static-delta-private.h:30-130, ostree-repo-static-delta-core.c:793-883.

mod byte_order;
mod entries;
mod metadata;
mod pieces;
mod signed;

use std::ops::Range;

use crate::checksum::{Checksum, CommitId};
use crate::error::{ParseError, Result};
use crate::variant::{Dict, Type, Value};
use crate::wire::tuple_ends;

use super::DeltaName;
use byte_order::endianness;
use entries::{fallback, part_entry};
use metadata::read_metadata;
use pieces::{Members, Pieces};

pub use byte_order::{ByteOrder, Endianness};
pub use entries::{DeltaFallback, DeltaPartEntry};
pub use metadata::InlinePart;
pub use signed::SignedSuperblock;

const WHAT: &str = "superblock";
const COMMIT: &str = "(a{sv}aya(say)sstayay)";
const PARTS: &str = "a(uayttay)";
const FALLBACKS: &str = "a(yaytt)";
/// Bytes at the end that tell where six of the members end.
const TAIL_BYTES: u64 = 6 * 8;

/// The head of a static delta.
#[derive(Debug, Clone, PartialEq)]
pub struct Superblock {
    /// Everything that has a name, without the parts that lie here: the byte order, what the maker of the delta added.
    pub metadata: Dict,
    /// The parts that lie in the superblock.
    pub inline: Vec<InlinePart>,
    /// The byte order of the sizes.
    pub endianness: Endianness,
    /// The time at which the delta was made, in seconds since 1970.
    pub timestamp_secs: u64,
    /// The commit that the delta starts from; `None` if it needs nothing.
    pub from: Option<CommitId>,
    /// The commit that the delta leads to. Whether [`Superblock::commit`] is it, is for the reader to check.
    pub to: CommitId,
    /// The bytes of the new commit object.
    pub commit: Vec<u8>,
    /// Deltas that have to be applied before, each from one commit to another.
    pub before: Vec<(CommitId, CommitId)>,
    /// The parts, in their order.
    pub parts: Vec<DeltaPartEntry>,
    /// The objects that are fetched as they are.
    pub fallbacks: Vec<DeltaFallback>,
}

impl Superblock {
    /// Reads a superblock of `len` bytes that is not wrapped in signatures, by pieces of it: all of it but the parts that lie
    /// in it, at most [`MAX_METADATA_BYTES`](crate::MAX_METADATA_BYTES).
    ///
    /// # Errors
    /// If it is not in normal form, a checksum does not have 32 bytes, or an object has a type that there is not; what
    /// `read` gives.
    pub fn read<E: From<ParseError>>(
        len: u64,
        read: impl FnMut(Range<u64>) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        let mut file = Pieces::new(read);
        let tail = file.read(len.saturating_sub(TAIL_BYTES)..len)?;
        let [named, from, to, commit, before, parts, fallbacks] = tuple_ends(WHAT, len, &tail)?;
        let bytes = file.read(named..fallbacks)?;
        let mut members = Members { at: named, bytes: &bytes };
        let timestamp_secs = match members.next("t", 8, named.next_multiple_of(8).saturating_add(8))? {
            Value::U64(time) => u64::from_be(time),
            _ => return Err(invalid("not a superblock").into()),
        };
        let (from, to) = (blob(members.next("ay", 1, from)?)?, blob(members.next("ay", 1, to)?)?);
        let from = if from.is_empty() { None } else { Some(commit_id(&from)?) };
        let to = commit_id(&to)?;
        let commit = members.next(COMMIT, 8, commit)?.to_bytes();
        let before = pairs(&blob(members.next("ay", 1, before)?)?)?;
        let mut parts = list(members.next(PARTS, 8, parts)?, part_entry)?;
        let mut fallbacks = list(members.next(FALLBACKS, 8, fallbacks)?, fallback)?;
        let (metadata, inline) = read_metadata(&mut file, named, &DeltaName { from, to })?;
        let endianness = endianness(&metadata, &parts)?;
        if endianness.order() == ByteOrder::Big {
            parts.iter_mut().for_each(DeltaPartEntry::swap);
            fallbacks.iter_mut().for_each(DeltaFallback::swap);
        }
        Ok(Self { metadata, inline, endianness, timestamp_secs, from, to, commit, before, parts, fallbacks })
    }

    /// The file, into which `inline` gives the files of the parts that lie in it. Where they lie comes out anew.
    ///
    /// # Errors
    /// If [`Superblock::commit`] is not a commit.
    pub fn to_bytes(&self, inline: impl Fn(&InlinePart) -> Vec<u8>) -> Result<Vec<u8>> {
        let swap = self.endianness.order() == ByteOrder::Big;
        let part = |part: &DeltaPartEntry| {
            let mut part = part.clone();
            if swap {
                part.swap();
            }
            part.to_value()
        };
        let fallback = |fallback: &DeltaFallback| {
            let mut fallback = fallback.clone();
            if swap {
                fallback.swap();
            }
            fallback.to_value()
        };
        let before = self.before.iter().flat_map(|(from, to)| [*from.as_bytes(), *to.as_bytes()]);
        let commit = Value::from_bytes(&Type::parse(COMMIT)?, &self.commit)?;
        let members = vec![
            self.with_parts(inline).to_value(),
            self.timestamp_secs.to_be().into(),
            Value::Bytes(self.from.map(|from| from.as_bytes().to_vec()).unwrap_or_default()),
            Value::Bytes(self.to.as_bytes().to_vec()),
            commit,
            Value::Bytes(before.flatten().collect()),
            Value::array(Type::parse(&PARTS[1..])?, self.parts.iter().map(part).collect())?,
            Value::array(Type::parse(&FALLBACKS[1..])?, self.fallbacks.iter().map(fallback).collect())?,
        ];
        Ok(Value::Tuple(members).to_bytes())
    }

    /// The commits that the delta leads from and to.
    pub const fn name(&self) -> DeltaName {
        DeltaName { from: self.from, to: self.to }
    }

    /// The detached metadata of the new commit, if the superblock carries it.
    ///
    /// # Errors
    /// If it is no dictionary.
    pub fn commitmeta(&self) -> Result<Option<Dict>> {
        self.metadata.get_dict(&self.name().commitmeta_key())
    }

    /// The part of this number, if it lies in the superblock.
    pub fn inline_part(&self, number: usize) -> Option<&InlinePart> {
        self.inline.iter().find(|part| part.number == number)
    }

    /// The metadata with the parts that lie in the superblock.
    fn with_parts(&self, file: impl Fn(&InlinePart) -> Vec<u8>) -> Dict {
        let (mut all, mut others, name) = (Dict::new(), self.metadata.iter(), self.name());
        for part in &self.inline {
            let before = part.position.saturating_sub(self.metadata.len() - others.len());
            others.by_ref().take(before).for_each(|(key, value)| all.push(key, value.clone()));
            let mut bytes = file(part);
            let compression = bytes.first().copied().unwrap_or_default();
            bytes.drain(..1.min(bytes.len()));
            let value = Value::Tuple(vec![Value::Byte(compression), Value::Bytes(bytes)]);
            all.push(name.part_path(part.number), value);
        }
        others.for_each(|(key, value)| all.push(key, value.clone()));
        all
    }
}

fn invalid(why: &str) -> ParseError {
    ParseError::invalid(WHAT, 0, why)
}

fn members<const N: usize>(value: Value) -> Option<[Value; N]> {
    if let Value::Tuple(members) = value { members.try_into().ok() } else { None }
}

fn list<T>(value: Value, one: impl Fn(Value) -> Result<T>) -> Result<Vec<T>> {
    match value {
        Value::Array(array) => array.into_items().into_iter().map(one).collect(),
        _ => Err(invalid("not a list")),
    }
}

fn blob(value: Value) -> Result<Vec<u8>> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(invalid("not a superblock")),
    }
}

fn checksum(bytes: &[u8]) -> Result<Checksum> {
    Checksum::from_slice(WHAT, 0, bytes)
}

fn commit_id(bytes: &[u8]) -> Result<CommitId> {
    checksum(bytes).map(CommitId::new)
}

fn pairs(bytes: &[u8]) -> Result<Vec<(CommitId, CommitId)>> {
    let one = |pair: &[u8]| match pair.split_at_checked(32) {
        Some((from, to)) => Ok((commit_id(from)?, commit_id(to)?)),
        None => Err(invalid("half a pair of commits")),
    };
    bytes.chunks(64).map(one).collect()
}
