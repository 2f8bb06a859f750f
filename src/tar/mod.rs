//! Floor 3: tar streams, read and written over the store traits.
//!
//! ```text
//! Reader, Writer                entries in and out, of any tar stream
//! export_commit                 commits and layers in ostree-ext's format
//! import_commit, import_objects and back, with everything verified
//! export_plain, import_tree     ordinary tar, out and in; in also cpio and zip
//! import_layer                  plain layers of images, in
//! OnBase, BaseSearch            commits on layers that others made, out and in
//! part                          some entries of a stream, out of a list of them
//! Clones                        content of a stream that is files whose blocks the store can share
//! replace_detached              another signature, for a commit in a stream
//! ```
//! Nothing here knows a repository on disk.

mod acl;
mod archive;
mod chunk;
mod clones;
mod content;
mod cpio;
mod detached;
mod entry;
mod error;
mod export;
mod files;
mod filter;
pub mod fuzz;
mod header;
mod import;
mod layer;
mod layout;
mod number;
mod on_base;
#[cfg(feature = "container")]
mod part;
mod pax;
mod plain;
mod reader;
mod sparse;
mod tree;
mod writer;
mod zip;

pub use archive::ArchiveInput;
pub use chunk::ChunkContent;
pub use clones::{Clones, MIN_CLONED_BYTES};
pub use detached::replace_detached;
pub use entry::{EntryKind, TarEntry, split_path};
pub use error::{ContentErrorKind, EntryErrorKind, Error, FormatErrorKind, Result};
#[cfg(feature = "container")]
pub(crate) use export::SELINUX_XATTR;
pub use export::{ContentOrder, ExportOptions, OnBase, StreamPart, XattrDialect, export_commit};
pub use filter::PathnameFilter;
pub use import::{
    ImportOptions, ImportedCommit, StreamHolds, check_complete, import_commit, import_commit_layer,
    import_objects, write_object_set,
};
pub use layer::{LayerOptions, LayerTree, Toplevel, Var, import_layer};
#[cfg(feature = "container")]
pub(crate) use layout::{CheckoutMap, EntryRole};
pub use on_base::{BaseFile, BaseSearch, WantedFiles, XattrsOf};
#[cfg(feature = "container")]
pub(crate) use part::{PartEntry, PartKind, role_of, xattrs_at};
pub use plain::{LayerFacts, PlainOptions, PlainPurpose, PlainXattrs, export_plain};
pub use reader::{BLOCK_BYTES, EndMarker, EntryContent, MAX_NAME_BYTES, Reader};
pub use tree::{Parents, SpecialFiles, TreeOptions, import_tree};
pub use writer::Writer;
