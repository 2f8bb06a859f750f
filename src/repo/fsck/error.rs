//! Errors of a check, and the text of its findings.

use std::fmt;

use ostree_format::{CollectionId, CommitId, ObjectType, ParseErrorKind, RefName};
use rustix::io::Errno;

use super::{Finding, Problem};
use crate::base::{ErrorKind, Kind, WithCauses};
use crate::store::{BindingError, Error, Result};

/// The reasons for which a check fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FsckError {
    /// The commit of a ref cannot be loaded.
    #[error("Loading commit for ref {}", ref_of(.collection.as_ref(), .name))]
    Ref {
        /// The collection, if it is a collection's ref.
        collection: Option<CollectionId>,
        /// The ref.
        name: RefName,
        /// Why it cannot be loaded.
        source: Error,
    },
    /// A ref points to a commit that is not for it.
    #[error("Commit {commit}")]
    Binding {
        /// The commit.
        commit: CommitId,
        /// How the ref and the commit differ.
        source: BindingError,
    },
    /// A commit is for a ref that does not exist.
    #[error("{} in bindings for commit {commit} does not exist", bound(.collection.as_deref(), .name))]
    BackRefMissing {
        /// The collection, if the commit is for one.
        collection: Option<String>,
        /// The ref.
        name: String,
        /// The commit.
        commit: CommitId,
    },
    /// A commit is for a ref that points elsewhere.
    #[error(
        "{} in bindings for commit {commit} does not resolve to that commit",
        bound(.collection.as_deref(), .name)
    )]
    BackRefElsewhere {
        /// The collection, if the commit is for one.
        collection: Option<String>,
        /// The ref.
        name: String,
        /// The commit.
        commit: CommitId,
    },
    /// An object is corrupt, and that was to stop the check.
    #[error("{0}")]
    Corrupt(Box<Finding>),
    /// Something was found.
    #[error("Repository corruption encountered")]
    Corruption,
    /// Nothing was found now, but an earlier check took objects away.
    #[error("{0} partial commits from fsck-detected corruption")]
    PartialByFsck(usize),
    /// The repository cannot be read.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Kind for FsckError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Ref { source, .. } | Self::Store(source) => source.kind(),
            Self::Binding { .. }
            | Self::BackRefMissing { .. }
            | Self::BackRefElsewhere { .. }
            | Self::Corrupt(_)
            | Self::Corruption
            | Self::PartialByFsck(_) => ErrorKind::Damaged,
        }
    }
}

impl Problem {
    /// What an error says about the object that was read; the error itself if it is about the work.
    pub(super) fn of(error: Error) -> Result<Self> {
        match error {
            Error::NotFound(_) => Ok(Self::Missing),
            Error::Cancelled(_) | Error::Locked(_) => Err(error),
            other => Ok(Self::Corrupt(other)),
        }
    }
}

/// Whether an error is about this process or its machine, and the object itself may be intact.
pub(super) fn is_unreadable(error: &Error) -> bool {
    let (Error::Io { source, .. } | Error::Read { source, .. }) = error else { return false };
    let errno = Errno::from_io_error(source);
    matches!(
        errno,
        Some(Errno::ACCESS | Errno::PERM | Errno::IO | Errno::MFILE | Errno::NFILE | Errno::NOMEM)
    )
}

impl fmt::Display for Finding {
    /// Writes the line that `ostree fsck` prints, and behind it the path in the first of the commits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_line(f)?;
        self.path.iter().try_for_each(|path| write!(f, " (at {path})"))
    }
}

impl Finding {
    fn write_line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commits = self.commits.iter().map(CommitId::to_string).collect::<Vec<_>>().join(", ");
        match (&self.problem, &*commits) {
            (Problem::Missing, "") => write!(f, "Object missing: {}", self.name),
            (Problem::Missing, _) => write!(f, "Object missing in commits {commits}: {}", self.name),
            (Problem::Corrupt(e), _) => {
                if !commits.is_empty() {
                    write!(f, "In commits {commits}: ")?;
                }
                match self.name.kind {
                    ObjectType::File => write!(f, "fsck content object {}: ", self.name.checksum)?,
                    _ => write!(f, "fsck {}: ", self.name)?,
                }
                match e {
                    Error::Corrupt { name, why: error } => match &error.kind {
                        ParseErrorKind::Invalid(why) => write!(f, "{name}: {why}"),
                        _ => write!(f, "{name}: {error}"),
                    },
                    other => write!(f, "{}", WithCauses(other)),
                }
            }
        }
    }
}

fn ref_of(collection: Option<&CollectionId>, name: &RefName) -> String {
    match collection {
        Some(collection) => format!("({collection}, {name})"),
        None => name.to_string(),
    }
}

fn bound(collection: Option<&str>, name: &str) -> String {
    match collection {
        Some(collection) => format!("Collection–ref ({collection}, {name})"),
        None => format!("Ref ‘{name}’"),
    }
}
