//! Checks that a repository holds what its refs and commits say.
//!
//! ```text
//! refs, refs of collections    the commit is there, intact, and bound to the ref if that is asked for
//! every commit object          its refs point back, its parent is there, if that is asked for
//! every complete commit        every object that can be reached: there, of the right form and checksum
//! ```
//! Content is hashed by a pool of threads. What was found is data; its [`Display`](std::fmt::Display) is
//! the line that `ostree fsck` prints. Source: libostree ot-builtin-fsck.c.

mod blame;
mod check;
mod error;
mod verify;

use ostree_format::{CommitId, ObjectName};

use crate::store::Error;

pub use error::FsckError;

type Result<T, E = FsckError> = std::result::Result<T, E>;

/// Options for a check: what is checked, and what happens to what is wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct FsckOptions {
    /// The treatment of corrupt objects.
    pub corrupt: OnCorruption,
    /// The checks of refs.
    pub bindings: BindingChecks,
    /// The treatment of parents that are not there.
    pub missing_parents: MissingParents,
}

/// The treatment of corrupt objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnCorruption {
    /// The first corrupt object ends the check with an error.
    #[default]
    Stop,
    /// Corrupt objects are reported.
    Report,
    /// Corrupt objects are reported and deleted; the commits that they belong to become partial, so that another pull
    /// brings them back.
    Delete,
}

/// The checks of refs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BindingChecks {
    /// The commits of all refs have to be there.
    #[default]
    Ignore,
    /// In addition, each commit has to be bound to the ref that points to it.
    Check,
    /// In addition, each ref that a commit is bound to has to point to it.
    CheckBack,
}

/// The treatment of parents that are not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MissingParents {
    /// Missing parents are ignored.
    #[default]
    Ignore,
    /// Missing parents get tombstones. (libostree's program instead deletes the commits that have such a parent.)
    AddTombstones,
}

/// A step of the check, reported as it happens.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum FsckStep<'a> {
    /// Refs are checked.
    Refs,
    /// Refs of collections are checked.
    CollectionRefs,
    /// Commits are counted.
    Commits,
    /// The objects of commits are checked.
    Objects {
        /// The number of commits.
        commits: usize,
    },
    /// An object is wrong.
    Found(&'a Finding),
    /// A commit was marked as partial.
    MarkedPartial(CommitId),
    /// A commit got a tombstone.
    AddedTombstone(CommitId),
}

/// An object that is not as it should be.
#[derive(Debug)]
pub struct Finding {
    /// The object.
    pub name: ObjectName,
    /// The problem with the object.
    pub problem: Problem,
    /// The commits that it belongs to; empty if that was not looked for.
    pub commits: Vec<CommitId>,
    /// The first place where one of them has it.
    pub path: Option<String>,
}

/// The ways in which an object can be wrong.
#[derive(Debug)]
pub enum Problem {
    /// The object is not there.
    Missing,
    /// The object is not what its name says, or cannot be read.
    Corrupt(Error),
}

/// The result of a check.
#[derive(Debug, Default)]
#[must_use = "it tells what is wrong: see `FsckReport::result`"]
pub struct FsckReport {
    /// Commits whose objects were checked.
    pub commits: usize,
    /// Objects that were checked.
    pub objects: u64,
    /// Commits that were not looked into, since not all of their objects are supposed to be there.
    pub partial_commits: usize,
    /// Partial commits from which an earlier check took objects away; they count as [`FsckReport::partial_commits`]
    /// too.
    pub partial_by_fsck: usize,
    /// The objects that are wrong.
    pub findings: Vec<Finding>,
    /// The parents that got tombstones.
    pub tombstones: Vec<CommitId>,
}

impl FsckReport {
    /// Whether all is well.
    ///
    /// # Errors
    /// The error that `ostree fsck` ends with otherwise.
    pub fn result(&self) -> Result<()> {
        match (self.findings.len(), self.partial_by_fsck) {
            (0, 0) => Ok(()),
            (0, _) => Err(FsckError::PartialByFsck(self.partial_commits)),
            _ => Err(FsckError::Corruption),
        }
    }
}
