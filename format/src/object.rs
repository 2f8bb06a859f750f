//! The kinds of objects and where a repository keeps each.
//!
//! ```text
//! objects/ab/cdef….EXT      62 digits behind the first two
//! ```

use std::fmt;
use std::str::FromStr;

use crate::checksum::{Checksum, CommitId, DirMetaId, DirTreeId, FileId};
use crate::error::{ParseError, Result};
use crate::mode::RepoMode;

/// The largest metadata object that is read or written, in bytes (libostree's OSTREE_MAX_METADATA_SIZE).
pub const MAX_METADATA_BYTES: u64 = 128 * 1024 * 1024;

/// The kind of an object, with libostree's number for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ObjectType {
    /// Content object: a regular file or symbolic link.
    File = 1,
    /// List of the names in a directory.
    DirTree = 2,
    /// Owner, mode and xattrs of a directory.
    DirMeta = 3,
    /// Commit.
    Commit = 4,
    /// The tombstone of a deleted commit; named by the commit, not by its own content.
    TombstoneCommit = 5,
    /// Detached metadata of a commit, signatures above all; named by the commit.
    CommitMeta = 6,
    /// Symbolic link from the checksum of a file's bare content to the content object.
    PayloadLink = 7,
    /// Xattrs of files, in mode bare-split-xattrs.
    FileXattrs = 8,
    /// Hard link from a content object's checksum to its xattrs, in mode bare-split-xattrs.
    FileXattrsLink = 9,
}

impl ObjectType {
    /// Every type.
    pub const ALL: [Self; 9] = [
        Self::File,
        Self::DirTree,
        Self::DirMeta,
        Self::Commit,
        Self::TombstoneCommit,
        Self::CommitMeta,
        Self::PayloadLink,
        Self::FileXattrs,
        Self::FileXattrsLink,
    ];

    /// The extension of its loose files in every mode but archive.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::DirTree => "dirtree",
            Self::DirMeta => "dirmeta",
            Self::Commit => "commit",
            Self::TombstoneCommit => "tombstone-commit",
            Self::CommitMeta => "commitmeta",
            Self::PayloadLink => "payload-link",
            Self::FileXattrs => "file-xattrs",
            Self::FileXattrsLink => "file-xattrs-link",
        }
    }

    /// The type with libostree's number `n`.
    pub fn from_number(n: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|t| *t as u8 == n)
    }

    /// Whether it is one of the metadata types, which look the same in every mode.
    pub const fn is_meta(self) -> bool {
        matches!(
            self,
            Self::DirTree | Self::DirMeta | Self::Commit | Self::TombstoneCommit | Self::CommitMeta
        )
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.extension())
    }
}

impl FromStr for ObjectType {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|t| t.extension() == text)
            .ok_or_else(|| ParseError::invalid("object type", 0, format!("no such type: '{text}'")))
    }
}

/// The metadata objects whose name is the checksum of their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MetaKind {
    /// A commit.
    Commit,
    /// A dirtree.
    DirTree,
    /// A dirmeta.
    DirMeta,
}

impl From<MetaKind> for ObjectType {
    fn from(kind: MetaKind) -> Self {
        match kind {
            MetaKind::Commit => Self::Commit,
            MetaKind::DirTree => Self::DirTree,
            MetaKind::DirMeta => Self::DirMeta,
        }
    }
}

/// The full name of an object: `CHECKSUM.TYPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// The checksum in the name.
    pub checksum: Checksum,
    /// The type of the object.
    pub kind: ObjectType,
}

impl ObjectName {
    /// The object of type `kind` with this checksum.
    pub const fn new(checksum: Checksum, kind: ObjectType) -> Self {
        Self { checksum, kind }
    }

    /// The detached metadata of a commit.
    pub const fn commitmeta(commit: &CommitId) -> Self {
        Self::new(*commit.checksum(), ObjectType::CommitMeta)
    }

    /// The path of the object below `objects/` in a repository of this mode: `ab/cdef….dirtree`.
    pub fn loose_path(&self, mode: RepoMode) -> String {
        let hex = self.checksum.hex();
        let (dir, rest) = hex.as_str().split_at(2);
        let z = if mode == RepoMode::Archive && !self.kind.is_meta() { "z" } else { "" };
        format!("{dir}/{rest}.{}{z}", self.kind.extension())
    }

    /// The object whose file below `objects/` is `dir`/`file` in a repository of this mode;
    /// `None` for anything else that may lie there.
    pub fn from_loose_path(dir: &str, file: &str, mode: RepoMode) -> Option<Self> {
        let (rest, extension) = file.split_once('.')?;
        let checksum = [dir, rest].concat().parse().ok()?;
        let name = match (mode, extension.strip_suffix('z')) {
            (RepoMode::Archive, Some(plain)) => Self::new(checksum, plain.parse().ok()?),
            _ => Self::new(checksum, extension.parse().ok()?),
        };
        (dir.len() == 2 && name.loose_path(mode).get(3..) == Some(file)).then_some(name)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.checksum, self.kind)
    }
}

impl FromStr for ObjectName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self> {
        let (sum, kind) = text
            .split_once('.')
            .ok_or_else(|| ParseError::invalid("object name", text.len(), "no '.' before the type"))?;
        Ok(Self::new(sum.parse()?, kind.parse()?))
    }
}

macro_rules! named {
    ($($id:ident => $kind:ident),*) => {$(
        impl From<$id> for ObjectName {
            fn from(id: $id) -> Self {
                Self::new(*id.checksum(), ObjectType::$kind)
            }
        }
    )*};
}
named!(CommitId => Commit, DirTreeId => DirTree, DirMetaId => DirMeta, FileId => File);
