//! What a superblock tells of parts and of objects that are fetched as they are.

use super::{checksum, invalid, members};
use crate::checksum::Checksum;
use crate::error::Result;
use crate::object::{ObjectName, ObjectType};
use crate::variant::Value;

/// Bytes of a type and a checksum.
const OBJECT_BYTES: usize = 33;

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

impl DeltaPartEntry {
    pub(super) fn swap(&mut self) {
        self.version = self.version.swap_bytes();
        self.file_bytes = self.file_bytes.swap_bytes();
        self.unpacked_bytes = self.unpacked_bytes.swap_bytes();
    }

    pub(super) fn to_value(&self) -> Value {
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
    pub(super) fn swap(&mut self) {
        self.archived_bytes = self.archived_bytes.swap_bytes();
        self.unpacked_bytes = self.unpacked_bytes.swap_bytes();
    }

    pub(super) fn to_value(&self) -> Value {
        Value::Tuple(vec![
            Value::Byte(self.object.kind as u8),
            Value::Bytes(self.object.checksum.as_bytes().to_vec()),
            self.archived_bytes.into(),
            self.unpacked_bytes.into(),
        ])
    }
}

fn object(kind: u8, bytes: &[u8]) -> Result<ObjectName> {
    let kind = ObjectType::from_number(kind);
    let kind = kind.ok_or_else(|| invalid("an object has a type that there is not"))?;
    Ok(ObjectName::new(checksum(bytes)?, kind))
}

pub(super) fn part_entry(value: Value) -> Result<DeltaPartEntry> {
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

pub(super) fn fallback(value: Value) -> Result<DeltaFallback> {
    let Some([Value::Byte(kind), Value::Bytes(sum), Value::U64(archived), Value::U64(unpacked)]) =
        members(value)
    else {
        return Err(invalid("not a fallback"));
    };
    Ok(DeltaFallback { object: object(kind, &sum)?, archived_bytes: archived, unpacked_bytes: unpacked })
}
