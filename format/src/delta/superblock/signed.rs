//! Superblocks with signatures.

use super::{invalid, members};
use crate::error::Result;
use crate::variant::{Dict, Type, Value};

const SIGNED: &str = "(taya{sv})";

const MAGIC: u64 = 0x4F53_5453_474E_4454;

/// A superblock with signatures.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedSuperblock {
    /// The bytes that were signed, which are a [`Superblock`](super::Superblock).
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
