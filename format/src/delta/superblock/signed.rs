//! Superblocks with signatures.

use std::ops::Range;

use super::WHAT;
use super::pieces::{Members, Pieces, error};
use crate::error::{ParseError, ParseErrorKind, Result};
use crate::variant::{Dict, Value};
use crate::wire::tuple_ends;

const MAGIC: u64 = 0x4F53_5453_474E_4454;
/// Bytes in front of the superblock.
const MAGIC_BYTES: u64 = 8;
/// Bytes at the end that tell where the superblock ends.
const TAIL_BYTES: u64 = 8;

/// A superblock that is wrapped in signatures.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedSuperblock {
    /// Where the bytes lie that were signed, which are a [`Superblock`](super::Superblock).
    pub bytes: Range<u64>,
    /// The signatures, by the key that detached metadata has for their kind.
    pub signatures: Dict,
}

impl SignedSuperblock {
    /// Reads what is around a superblock in a file of `len` bytes, by pieces of the file; `None` if it is a bare one.
    ///
    /// # Errors
    /// If it begins as a wrapped one and is not in normal form; what `read` gives.
    pub fn read<E: From<ParseError>>(
        len: u64,
        read: impl FnMut(Range<u64>) -> Result<Vec<u8>, E>,
    ) -> Result<Option<Self>, E> {
        let mut file = Pieces::new(read);
        if file.read(0..len.min(MAGIC_BYTES))? != MAGIC.to_be_bytes() {
            return Ok(None);
        }
        let tail = file.read(len.saturating_sub(TAIL_BYTES)..len)?;
        let [end, body] = tuple_ends(WHAT, len, &tail)?;
        if end < MAGIC_BYTES {
            return Err(error(body, ParseErrorKind::BadOffset).into());
        }
        let mut members = Members { at: end, bytes: &file.read(end..body)? };
        let signatures = Dict::from_value(members.next("a{sv}", 8, body)?)?;
        Ok(Some(Self { bytes: MAGIC_BYTES..end, signatures }))
    }

    /// The file with a superblock and signatures of it.
    pub fn wrap(superblock: &[u8], signatures: &Dict) -> Vec<u8> {
        let members = vec![MAGIC.to_be().into(), Value::Bytes(superblock.to_vec()), signatures.to_value()];
        Value::Tuple(members).to_bytes()
    }
}
