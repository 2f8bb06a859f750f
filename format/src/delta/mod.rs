//! Static deltas: what has to be fetched to get from one commit to another, in a few files instead of thousands.
//!
//! ```text
//! superblock   the new commit, and for each part its checksum, its size and the objects that come out of it
//! 0, 1, …      parts: what is new in these objects, and how it is put together with what is old
//! fallbacks    objects that are fetched as they are, because they are large
//! ```
//! A superblock may carry its parts in its own metadata, and may be wrapped in signatures of its bytes.
//!
//! Source: libostree ostree-repo-static-delta-private.h.

mod name;
mod ops;
mod part;
mod superblock;

pub use name::DeltaName;
pub use ops::{DeltaOp, DeltaOps};
pub use part::{DeltaMode, PartCompression, PartLayout, frame_part, part_xattrs, split_part};
pub use superblock::{
    ByteOrder, DeltaFallback, DeltaPartEntry, Endianness, InlinePart, SignedSuperblock, Superblock,
};
