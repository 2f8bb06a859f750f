//! Static deltas: made, read and applied.
//!
//! ```text
//! superblock │ 0, 1, …   files in the repository, or parts within the superblock
//!   └ its signatures      kept apart: they are of the superblock's bytes
//!
//! head     the superblock without the parts in it, judged by whoever knows keys
//! part     verified, decompressed into a file without a name: never in memory as a whole
//! apply    part ─ ops ─► object ─┬─ content: new bytes, and bytes of old objects, as they are or patched
//!                                └─ written to a transaction, which verifies its checksum
//!
//! generate changes: objects that only the new commit has, and the old file that each is like
//!            ├─ patch     by differences          alike
//!            ├─ copies    by blocks               alike, and very large, or hardly changed
//!            └─ whole                             new; fallbacks, if they are large
//!          builder: a part in the making ─ compress: xz, by a pool of threads ─► files, superblock
//! ```
//! The superblock names the checksums of its parts; the objects that come out of them have their own, and count only
//! with these.

mod apply;
mod builder;
mod changes;
mod compress;
mod content;
mod copies;
pub(crate) mod differences;
mod generate;
mod head;
mod objects;
mod old;
mod packing;
mod part;
mod patch;

pub use apply::{Applied, Sources, apply, complete_commit, needed_parts};
pub use generate::{GenerateOptions, Generated, PartSink, generate};
pub use head::{DeltaJudge, Head, SuperblockFile, Unjudged, read_head};
pub use part::{MAX_PART_BYTES, Part, read_part};

/// A static delta that is damaged.
fn damaged(what: impl Into<String>, why: impl Into<String>) -> crate::store::Error {
    let source = ostree_format::ParseError::invalid("content", 0, why);
    crate::store::Error::Invalid { what: what.into(), source }
}
