//! Static deltas: the files of one, as they are read.
//!
//! ```text
//! superblock │ 0, 1, …   files in the repository, or parts within the superblock
//!   └ its signatures      kept apart: they are of the superblock's bytes
//! part ─ decompressed, in memory ─ format::delta::DeltaPart
//! ```
//! What is read here is not verified: the superblock names the checksums of its parts, and the objects that come out of
//! them have their own.

use std::io::Read;

use ostree_format::delta::{PartCompression, SignedSuperblock, Superblock, split_part};
use ostree_format::variant::Dict;

use crate::base::compressed;
use crate::store::{Error, Result};

/// The largest part that is read, decompressed, in bytes. libostree makes parts of 32 MiB, unless it is told otherwise.
pub const MAX_PART_BYTES: u64 = 512 * 1024 * 1024;

/// A superblock, and its signatures if it has any.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The superblock.
    pub superblock: Superblock,
    /// The signatures, by the key that detached metadata has for their kind; `None` if it was not signed.
    pub signatures: Option<Dict>,
}

/// Reads a superblock, with signatures or without.
///
/// # Errors
/// [`Error::Invalid`] if it is damaged.
pub fn read_head(data: &[u8]) -> Result<Head> {
    let invalid = |source| Error::Invalid { what: "static delta".into(), source };
    let signed = SignedSuperblock::parse(data).map_err(invalid)?;
    let bytes = signed.as_ref().map_or(data, |signed| &signed.bytes);
    let superblock = Superblock::parse(bytes).map_err(invalid)?;
    Ok(Head { superblock, signatures: signed.map(|signed| signed.signatures) })
}

/// Decompresses a part, which [`DeltaPart`](ostree_format::delta::DeltaPart) reads.
///
/// # Errors
/// [`Error::Invalid`] if its compression is unknown; [`Error::Read`] if it is damaged; [`Error::Unsupported`] if it has
/// more than [`MAX_PART_BYTES`].
pub fn unpack_part(file: &[u8]) -> Result<Vec<u8>> {
    let invalid = |source| Error::Invalid { what: "static delta".into(), source };
    let (compression, rest) = split_part(file).map_err(invalid)?;
    match compression {
        PartCompression::Plain => Ok(rest.to_vec()),
        PartCompression::Xz => {
            let unreadable = |source| Error::Read { what: "a part of a static delta".into(), source };
            let mut out = Vec::new();
            let stream = compressed::xz(Box::new(rest)).map_err(unreadable)?;
            stream.take(MAX_PART_BYTES + 1).read_to_end(&mut out).map_err(unreadable)?;
            match out.len() as u64 > MAX_PART_BYTES {
                true => Err(Error::Unsupported(format!(
                    "a part of a static delta of more than {MAX_PART_BYTES} bytes"
                ))),
                false => Ok(out),
            }
        }
    }
}
