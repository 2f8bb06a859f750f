//! Directories and other commits go into a [`MutableTree`], and the tree into a commit.
//!
//! One thread walks the directory and asks the [`Modifier`]; `ctx.jobs` threads open, read and write the files.
//! A directory is finished when its last file is written, bottom up, whatever the order of the files was.
//!
//! [`MutableTree`]: crate::store::MutableTree
//! [`Modifier`]: crate::store::Modifier

mod adopt;
mod base;
mod file;
mod walk;
mod write;

use crate::base::Inode;
use crate::store::DevInoCache;

pub use base::add_commit;
pub use walk::add_dir;
pub use write::{Bootable, CommitOptions, RefBindings, bootable_metadata, write_commit};

/// Options for [`add_dir`].
#[derive(Debug, Clone, Copy, Default)]
pub struct DirOptions<'a> {
    /// Hard links to objects that need not be read.
    pub devino: Option<&'a DevInoCache>,
    /// The meaning of a hard link to an object.
    pub trust: DevInoTrust,
    /// The choice between keeping and removing the directory's files.
    pub source: SourceFate,
    /// The time at which dirtrees are written.
    pub sealing: Sealing,
    /// A directory that is left out: where the store writes meanwhile, if that may be below.
    pub exclude: Option<Inode>,
}

/// The meaning of a hard link to an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DevInoTrust {
    /// The file is the object, unless the modifier changes its attributes.
    #[default]
    Content,
    /// The file is the object, and the modifier is not asked.
    Everything,
}

/// A choice between keeping and removing a directory that goes into a commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourceFate {
    /// The directory stays.
    #[default]
    Keep,
    /// The directory's files are removed on the way: each one once it is written. The top directory itself stays,
    /// empty, since only the caller knows its name.
    Consume,
}

/// The time at which [`add_dir`] writes dirtrees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sealing {
    /// Dirtrees are written once all trees are there, by [`MutableTree::write`](crate::store::MutableTree::write).
    #[default]
    AtTheEnd,
    /// A dirtree is written as soon as its directory is finished, so that memory holds only those under work. This is
    /// for the last tree of a commit: a tree that is changed again leaves objects behind that nothing needs.
    AsFinished,
}

/// Counts of what was taken in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TreeStats {
    /// Directories that were read.
    pub dirs: u64,
    /// Files and symbolic links that were handed to the store.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
    /// Hard links to objects that were not read.
    pub cache_hits: u64,
}
