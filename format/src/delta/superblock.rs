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

use std::cmp::Ordering;

use crate::checksum::{Checksum, CommitId};
use crate::error::{ParseError, Result};
use crate::object::{ObjectName, ObjectType};
use crate::variant::{Dict, Type, Value};

use super::DeltaName;

const SUPERBLOCK: &str = "(a{sv}tayay(a{sv}aya(say)sstayay)aya(uayttay)a(yaytt))";
const SIGNED: &str = "(taya{sv})";
const MAGIC: u64 = 0x4F53_5453_474E_4454;
const ENDIANNESS: &str = "ostree.endianness";
/// Bytes of a type and a checksum.
const OBJECT_BYTES: usize = 33;

/// The order of the bytes in a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// The least significant byte comes first.
    Little,
    /// The most significant byte comes first.
    Big,
}

/// The source from which the byte order of a superblock is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endianness {
    /// The superblock states it.
    Stated(ByteOrder),
    /// The superblock does not state it, and its sizes make sense in this order only.
    Guessed(ByteOrder),
    /// Nothing tells, as there are no parts; numbers are read as little endian.
    Unknown,
}

impl Endianness {
    /// The byte order in which numbers are read and written.
    pub const fn order(self) -> ByteOrder {
        match self {
            Self::Stated(order) | Self::Guessed(order) => order,
            Self::Unknown => ByteOrder::Little,
        }
    }
}

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

/// What a superblock tells of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaPartEntry {
    /// The version of the part's format: 0 is the only one.
    pub version: u32,
    /// The checksum of the part's file.
    pub checksum: Checksum,
    /// The size of the part's file, in bytes.
    pub file_bytes: u64,
    /// The size of the objects that come out of it, in bytes.
    pub unpacked_bytes: u64,
    /// The objects that come out of it, in their order.
    pub objects: Vec<ObjectName>,
}

/// An object that is fetched as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaFallback {
    /// The object.
    pub object: ObjectName,
    /// The size of the object in an archive repository, in bytes.
    pub archived_bytes: u64,
    /// The size of its content, in bytes.
    pub unpacked_bytes: u64,
}

/// A superblock with signatures.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedSuperblock {
    /// The bytes that were signed, which are a [`Superblock`].
    pub bytes: Vec<u8>,
    /// The signatures, by the key that detached metadata has for their kind.
    pub signatures: Dict,
}

impl SignedSuperblock {
    /// Reads a superblock that is wrapped in signatures; `None` if it is a bare one.
    ///
    /// # Errors
    /// If it begins as a wrapped one and is not in normal form.
    pub fn parse(data: &[u8]) -> Result<Option<Self>> {
        if data.first_chunk() != Some(&MAGIC.to_be_bytes()) {
            return Ok(None);
        }
        match members(Value::from_bytes(&Type::parse(SIGNED)?, data)?) {
            Some([_, Value::Bytes(bytes), signatures]) => {
                Ok(Some(Self { bytes, signatures: Dict::from_value(signatures)? }))
            }
            _ => Err(invalid("not a signed superblock")),
        }
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let parts = vec![MAGIC.to_be().into(), Value::Bytes(self.bytes.clone()), self.signatures.to_value()];
        Value::Tuple(parts).to_bytes()
    }
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

impl DeltaPartEntry {
    fn swap(&mut self) {
        self.version = self.version.swap_bytes();
        self.file_bytes = self.file_bytes.swap_bytes();
        self.unpacked_bytes = self.unpacked_bytes.swap_bytes();
    }

    fn to_value(&self) -> Value {
        let object = |name: &ObjectName| std::iter::once(name.kind as u8).chain(*name.checksum.as_bytes());
        Value::Tuple(vec![
            Value::U32(self.version),
            Value::Bytes(self.checksum.as_bytes().to_vec()),
            self.file_bytes.into(),
            self.unpacked_bytes.into(),
            Value::Bytes(self.objects.iter().flat_map(object).collect()),
        ])
    }
}

impl DeltaFallback {
    fn swap(&mut self) {
        self.archived_bytes = self.archived_bytes.swap_bytes();
        self.unpacked_bytes = self.unpacked_bytes.swap_bytes();
    }

    fn to_value(&self) -> Value {
        Value::Tuple(vec![
            Value::Byte(self.object.kind as u8),
            Value::Bytes(self.object.checksum.as_bytes().to_vec()),
            self.archived_bytes.into(),
            self.unpacked_bytes.into(),
        ])
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

fn object(kind: u8, bytes: &[u8]) -> Result<ObjectName> {
    let kind = ObjectType::from_number(kind);
    let kind = kind.ok_or_else(|| invalid("an object has a type that there is not"))?;
    Ok(ObjectName::new(checksum(bytes)?, kind))
}

fn pairs(bytes: &[u8]) -> Result<Vec<(CommitId, CommitId)>> {
    let one = |pair: &[u8]| match pair.split_at_checked(32) {
        Some((from, to)) => Ok((commit_id(from)?, commit_id(to)?)),
        None => Err(invalid("half a pair of commits")),
    };
    bytes.chunks(64).map(one).collect()
}

fn part_entry(value: Value) -> Result<DeltaPartEntry> {
    let Some(
        [
            Value::U32(version),
            Value::Bytes(sum),
            Value::U64(file),
            Value::U64(unpacked),
            Value::Bytes(objects),
        ],
    ) = members(value)
    else {
        return Err(invalid("not the entry of a part"));
    };
    let one = |bytes: &[u8]| match bytes.split_first() {
        Some((kind, sum)) => object(*kind, sum),
        None => Err(invalid("an object without a type")),
    };
    let objects = objects.chunks(OBJECT_BYTES).map(one).collect::<Result<_>>()?;
    Ok(DeltaPartEntry {
        version,
        checksum: checksum(&sum)?,
        file_bytes: file,
        unpacked_bytes: unpacked,
        objects,
    })
}

fn fallback(value: Value) -> Result<DeltaFallback> {
    let Some([Value::Byte(kind), Value::Bytes(sum), Value::U64(archived), Value::U64(unpacked)]) =
        members(value)
    else {
        return Err(invalid("not a fallback"));
    };
    Ok(DeltaFallback { object: object(kind, &sum)?, archived_bytes: archived, unpacked_bytes: unpacked })
}

/// The byte order that is stated; where none is, the one in which the sizes are smaller: nobody ships exabytes. libostree
/// takes the other one where a part is larger than what comes out of it by a fifth, as parts of a few small objects are.
fn endianness(metadata: &Dict, parts: &[DeltaPartEntry]) -> Result<Endianness> {
    match metadata.get(ENDIANNESS) {
        Some(Value::Byte(b'l')) => return Ok(Endianness::Stated(ByteOrder::Little)),
        Some(Value::Byte(b'B')) => return Ok(Endianness::Stated(ByteOrder::Big)),
        Some(_) => return Err(invalid("ostree.endianness is neither 'l' nor 'B'")),
        None => {}
    }
    let sizes = || parts.iter().flat_map(|part| [part.file_bytes, part.unpacked_bytes]);
    let little: u128 = sizes().map(u128::from).sum();
    let big: u128 = sizes().map(|size| u128::from(size.swap_bytes())).sum();
    Ok(match little.cmp(&big) {
        Ordering::Less => Endianness::Guessed(ByteOrder::Little),
        Ordering::Equal => Endianness::Unknown,
        Ordering::Greater => Endianness::Guessed(ByteOrder::Big),
    })
}
