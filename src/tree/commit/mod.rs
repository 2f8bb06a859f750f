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

use crate::store::{DevIno, DevInoCache};

pub use base::add_commit;
pub use walk::add_dir;
pub use write::{Bootable, CommitOptions, RefBindings, bootable_metadata, write_commit};

/// How [`add_dir`] reads a directory.
#[derive(Debug, Clone, Copy, Default)]
pub struct DirOptions<'a> {
    /// Hard links to objects that need not be read.
    pub devino: Option<&'a DevInoCache>,
    /// What a hard link to an object means.
    pub trust: DevInoTrust,
    /// What becomes of the directory.
    pub source: SourceFate,
    /// When dirtrees are written.
    pub sealing: Sealing,
    /// A directory that is left out: where the store writes meanwhile, if that may be below.
    pub exclude: Option<DevIno>,
}

/// What a hard link to an object means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DevInoTrust {
    /// The file is the object, unless the modifier changes its attributes.
    #[default]
    Content,
    /// The file is the object, and the modifier is not asked.
    Everything,
}

/// What becomes of a directory that goes into a commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourceFate {
    /// It stays.
    #[default]
    Keep,
    /// It is removed on the way: every file once it is written. The top directory itself stays, empty, since
    /// only the caller knows its name.
    Consume,
}

/// When [`add_dir`] writes dirtrees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sealing {
    /// Once all trees are there, by [`MutableTree::write`](crate::store::MutableTree::write).
    #[default]
    AtTheEnd,
    /// As soon as a directory is finished, so that memory holds only those under work. For the last tree of a
    /// commit: a tree that is changed again leaves objects behind that nothing needs.
    AsFinished,
}

/// What was taken in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TreeStats {
    /// Directories.
    pub dirs: u64,
    /// Files and symbolic links that were handed to the store.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
    /// Hard links to objects that were not read.
    pub cache_hits: u64,
}
