//! libostree's object formats: bytes in, values out.
//!
//! No file system, no clock, no network, no allocation beyond the size of the input. What is read is
//! checked to be in the form that every writer produces, since ids are checksums of it.

#![forbid(unsafe_code)]

mod advert;
mod checksum;
mod commit;
pub mod commitmeta;
pub mod config;
mod cookies;
pub mod delta;
mod dirmeta;
mod dirtree;
mod error;
mod file;
pub mod fuzz;
mod hash;
pub mod keyfile;
mod lanes;
mod mode;
mod name;
mod object;
mod refs;
mod remote_config;
mod sizes;
mod streams;
mod summary;
pub mod variant;
mod wire;
mod xattrs;

pub use advert::{RefFilter, RepoAdvert};
pub use checksum::{Checksum, CommitId, DirMetaId, DirTreeId, FileId, HexChecksum};
pub use commit::{COMPOSEFS_DIGEST_KEY, Commit, CommitRef, RootDir};
pub use config::RepoConfig;
pub use cookies::Cookie;
pub use dirmeta::DirMeta;
pub use dirtree::{DirEntry, DirTree, DirTreeRef};
pub use error::{ParseError, ParseErrorKind, Result};
pub use file::{
    ArchiveHeader, FRAMING_BYTES, FileHeader, FileKind, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, parse_framing,
    special_file_checksum, split_xattrs_checksum,
};
pub use hash::Hasher;
pub use mode::RepoMode;
pub use name::FileName;
pub use object::{MAX_METADATA_BYTES, MetaKind, ObjectName, ObjectType};
pub use refs::{CollectionId, RefName, RefSpec, RemoteName, Rev, RevBase};
pub use remote_config::{RemoteConfig, SignVerify};
pub use sizes::{ObjectSize, SIZES_KEY, parse_sizes, sizes_value};
pub use streams::{Finished, Streams};
pub use summary::{Summary, SummaryContent, SummaryRef};
pub use xattrs::Xattrs;
