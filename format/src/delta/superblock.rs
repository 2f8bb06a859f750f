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
//! Numbers of parts and fallbacks are in the byte order of the machine that made the delta, which the metadata states
//! since libostree 2016.4; before, it is guessed from the sizes.
//!
//! Source: libostree ostree-repo-static-delta-private.h:30-130, ostree-repo-static-delta-core.c:793-883.

mod byte_order;
mod entries;
mod signed;

use crate::checksum::{Checksum, CommitId};
use crate::error::{ParseError, Result};
use crate::variant::{Dict, Type, Value};

use super::DeltaName;
use byte_order::endianness;
use entries::{fallback, part_entry};

pub use byte_order::{ByteOrder, Endianness};
pub use entries::{DeltaFallback, DeltaPartEntry};
pub use signed::SignedSuperblock;

const SUPERBLOCK: &str = "(a{sv}tayay(a{sv}aya(say)sstayay)aya(uayttay)a(yaytt))";

/// The head of a static delta.
#[derive(Debug, Clone, PartialEq)]
pub struct Superblock {
    /// Everything that has a name: the byte order, parts that lie here, what the maker of the delta added.
    pub metadata: Dict,
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
    /// Reads a superblock that is not wrapped in signatures.
    ///
    /// # Errors
    /// If it is not in normal form, a checksum does not have 32 bytes, or an object has a type that there is not.
    pub fn parse(data: &[u8]) -> Result<Self> {
        let [
            metadata,
            Value::U64(time),
            Value::Bytes(from),
            Value::Bytes(to),
            commit,
            Value::Bytes(before),
            parts,
            fallbacks,
        ] = members(Value::from_bytes(&Type::parse(SUPERBLOCK)?, data)?)
            .ok_or_else(|| invalid("not a superblock"))?
        else {
            return Err(invalid("not a superblock"));
        };
        let metadata = Dict::from_value(metadata)?;
        let mut parts = list(parts, part_entry)?;
        let mut fallbacks = list(fallbacks, fallback)?;
        let endianness = endianness(&metadata, &parts)?;
        if endianness.order() == ByteOrder::Big {
            parts.iter_mut().for_each(DeltaPartEntry::swap);
            fallbacks.iter_mut().for_each(DeltaFallback::swap);
        }
        Ok(Self {
            metadata,
            endianness,
            timestamp_secs: u64::from_be(time),
            from: if from.is_empty() { None } else { Some(commit_id(&from)?) },
            to: commit_id(&to)?,
            commit: commit.to_bytes(),
            before: pairs(&before)?,
            parts,
            fallbacks,
        })
    }

    /// The file.
    ///
    /// # Errors
    /// If [`Superblock::commit`] is not a commit.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
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
        let commit = Value::from_bytes(&Type::parse("(a{sv}aya(say)sstayay)")?, &self.commit)?;
        let members = vec![
            self.metadata.to_value(),
            self.timestamp_secs.to_be().into(),
            Value::Bytes(self.from.map(|from| from.as_bytes().to_vec()).unwrap_or_default()),
            Value::Bytes(self.to.as_bytes().to_vec()),
            commit,
            Value::Bytes(before.flatten().collect()),
            Value::array(Type::parse("(uayttay)")?, self.parts.iter().map(part).collect())?,
            Value::array(Type::parse("(yaytt)")?, self.fallbacks.iter().map(fallback).collect())?,
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

    /// Whether the part of this number lies in the superblock.
    pub fn is_inline(&self, number: usize) -> bool {
        self.metadata.contains_key(&self.name().part_path(number))
    }

    /// The part of this number, as its file would hold it, if it lies in the superblock.
    pub fn inline_part(&self, number: usize) -> Option<Vec<u8>> {
        match self.metadata.get(&self.name().part_path(number))? {
            Value::Tuple(members) => match &members[..] {
                [Value::Byte(compression), Value::Bytes(bytes)] => {
                    Some([&[*compression], &bytes[..]].concat())
                }
                _ => None,
            },
            _ => None,
        }
    }
}

fn invalid(why: &str) -> ParseError {
    ParseError::invalid("superblock", 0, why)
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

fn checksum(bytes: &[u8]) -> Result<Checksum> {
    Checksum::from_slice("superblock", 0, bytes)
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
