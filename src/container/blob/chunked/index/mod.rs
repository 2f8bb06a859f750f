//! The index of objects: a table for whoever knows the ids of objects, in a tenth of the bytes of the table of contents.
//!
//! ```text
//! skippable frame, zstd of:
//! 1
//! number · { checksum, 32 bytes · pieces }        sets of xattrs
//! number · { kind · uid · gid · mode · set }      classes: what many objects have in common
//! number of objects
//!   { class · pieces, or the target } …             in the order of the blob
//!   { id } …                                        of content objects the first 5 bytes
//!
//! pieces   number · { gap before the frame · bytes of the frame · bytes in it }
//! target   bytes · text
//! ```
//! Numbers are LEB128. The first four classes are commit, commitmeta, dirtree and dirmeta. The gap of a set's first piece
//! counts from the start of the blob, that of an object's from the end of the object before. An annotation of the layer
//! says where the index lies: `start:length:uncompressed length:SHA-256`. Other programs pass over it.

mod read;
mod write;

use ostree_format::{Checksum, ObjectType};

pub(in crate::container) use read::{FoundObject, IndexPlace, ObjectIndex};
pub(super) use write::IndexWriter;

pub(in crate::container::blob::chunked) const OBJECTS: &str = "io.github.ostree-rs.objects";
const VERSION: u64 = 1;
/// The bytes of the id of a content object that stand for it. Two of a million objects have the same once in four
/// images; then both are found by nobody.
const PREFIX_BYTES: usize = 5;
/// The kinds of the first classes.
const KINDS: [ObjectType; 4] =
    [ObjectType::Commit, ObjectType::CommitMeta, ObjectType::DirTree, ObjectType::DirMeta];

type Prefix = [u8; PREFIX_BYTES];

fn prefix(checksum: &Checksum) -> Prefix {
    let mut prefix = Prefix::default();
    prefix.iter_mut().zip(checksum.as_bytes()).for_each(|(to, from)| *to = *from);
    prefix
}

/// What many content objects have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Class {
    is_symlink: bool,
    uid: u64,
    gid: u64,
    mode: u64,
    /// The number of the set of xattrs.
    set: u64,
}
