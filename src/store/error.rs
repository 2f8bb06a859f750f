//! What can go wrong with a store; every error names the thing.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use ostree_format::{
    Checksum, CommitId, ObjectName, ObjectType, ParseError, ParseErrorKind, RefName, RefSpec, Rev,
};

use super::Refusal;
use crate::base::{Cancelled, ErrorKind, Kind, WithCauses, fs};

/// The result of every call on a store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An object that is needed is not there.
    #[error("{}", not_found(.0))]
    NotFound(ObjectName),
    /// A directory should be a repository and lacks what makes one.
    #[error("not an ostree repository: it has no {missing}")]
    NotARepository {
        /// The file or directory that every repository has.
        missing: &'static str,
    },
    /// A ref does not exist.
    #[error("Refspec '{0}' not found")]
    RefNotFound(RefSpec),
    /// A revision names no commit; the text says why.
    #[error("cannot resolve '{rev}': {why}")]
    RevNotFound {
        /// The revision.
        rev: Rev,
        /// Why it names no commit.
        why: String,
    },
    /// An object's bytes are not what its type asks for.
    #[error("Corrupted object {name}: {}", reason(.why))]
    Corrupt {
        /// The object.
        name: ObjectName,
        /// What is wrong, and where.
        why: ParseError,
    },
    /// An object's bytes do not have the checksum that its name says.
    #[error("Corrupted {kind} object; checksum expected='{}' actual='{actual}'", .expected.checksum, kind = .expected.kind)]
    Mismatch {
        /// The object's name.
        expected: ObjectName,
        /// The checksum of its bytes.
        actual: Checksum,
    },
    /// A commit was refused by its [`Voucher`](super::Voucher).
    #[error("{}", WithCauses(&**.why))]
    Refused {
        /// The commit.
        commit: CommitId,
        /// The reason.
        why: Refusal,
    },
    /// Input that is not an object is wrong: a config, a ref file, an argument.
    #[error("{what}")]
    Invalid {
        /// The file or argument.
        what: String,
        /// What is wrong, and where.
        source: ParseError,
    },
    /// This process may only read the repository.
    #[error("Cannot write to repository {}", path.display())]
    NotWritable {
        /// Where the repository lies.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A system call failed.
    #[error("{op} {}", path.display())]
    Io {
        /// The operation that was tried.
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file of another user cannot be made: only root may give files away.
    #[error("cannot give {path} to user {uid} and group {gid}", path = path.display())]
    Owner {
        /// The file or object.
        path: PathBuf,
        /// The user that it should belong to.
        uid: u32,
        /// The group that it should belong to.
        gid: u32,
        /// The error of the system.
        source: io::Error,
    },
    /// A file or directory that should be made is there already.
    #[error("{} exists", .0.display())]
    Exists(PathBuf),
    /// A stream that was handed in could not be read.
    #[error("reading {what}")]
    Read {
        /// The stream, in words.
        what: String,
        /// The error of the stream.
        source: io::Error,
    },
    /// Another process holds the lock, and the time to wait for it is over.
    #[error("{0} is locked by another process")]
    Locked(String),
    /// A ref would lose the commit that it names: the new one does not come after it.
    #[error("ref {name} names commit {before}, which is not in the history of {now}")]
    NotForward {
        /// The ref.
        name: RefName,
        /// The commit that it names.
        before: CommitId,
        /// The commit that it should name.
        now: CommitId,
    },
    /// The file system is full, or would get fuller than the repository's configuration allows.
    #[error("{why}")]
    NoSpace {
        /// The number of bytes that should have been written next.
        wanted: u64,
        /// The file that they were for; none where a limit of the configuration would be exceeded.
        path: Option<PathBuf>,
        /// The error of the system, or the limit that would be exceeded.
        why: String,
    },
    /// The repository's mode cannot keep this, or the operation does not exist for it.
    #[error("{0}")]
    Unsupported(String),
    /// The caller asked for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The work was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Kind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_)
            | Self::NotARepository { .. }
            | Self::RefNotFound(_)
            | Self::RevNotFound { .. } => ErrorKind::Missing,
            Self::Corrupt { .. } | Self::Mismatch { .. } | Self::Invalid { .. } => ErrorKind::Damaged,
            Self::Refused { .. } => ErrorKind::Refused,
            Self::Io { source, .. }
            | Self::Owner { source, .. }
            | Self::Read { source, .. }
            | Self::NotWritable { source, .. } => Kind::kind(source),
            Self::Locked(_) => ErrorKind::Locked,
            Self::NoSpace { .. } => ErrorKind::Exhausted,
            Self::Unsupported(_) => ErrorKind::Unsupported,
            Self::Usage(_) | Self::Exists(_) | Self::NotForward { .. } => ErrorKind::Usage,
            Self::Cancelled(_) => ErrorKind::Cancelled,
        }
    }
}

impl Error {
    /// An [`Error::Io`].
    pub fn io(op: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Io { op, path: path.into(), source: source.into() }
    }

    /// The file that could not be read, made or written, if the error is about one and names it.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. }
            | Self::NotWritable { path, .. }
            | Self::Owner { path, .. }
            | Self::Exists(path)
            | Self::NoSpace { path: Some(path), .. } => Some(path),
            _ => None,
        }
    }

    /// An [`Error::Io`] of what `path` names from the open directory `dir`. It says where that lies: the same names are in
    /// every repository.
    pub(crate) fn at(
        dir: impl AsFd,
        op: &'static str,
        path: impl AsRef<Path>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::io(op, fs::place(dir, path), source)
    }

    /// The error for whoever reads or writes a stream: a full disk stays one.
    pub(crate) fn into_io(self) -> io::Error {
        match self.kind() {
            ErrorKind::Exhausted => io::Error::new(io::ErrorKind::StorageFull, self),
            _ => io::Error::other(self),
        }
    }

    /// Says of which file the source has what cannot be kept: its checksum alone tells nobody.
    pub(crate) fn of_path(self, path: &str) -> Self {
        match self {
            Self::Unsupported(why) => Self::Unsupported(format!("{path}: {why}")),
            // The file itself could not be read.
            Self::Io { path: ref object, .. } if object.as_os_str() == path => self,
            Self::Io { op, path: object, source } => {
                Self::Io { op, path: format!("{path} ({})", object.display()).into(), source }
            }
            Self::Owner { path: object, uid, gid, source } => {
                Self::Owner { path: format!("{path} ({})", object.display()).into(), uid, gid, source }
            }
            other => other,
        }
    }

    /// Adds the room that was wanted, if the error is that there is none.
    pub(crate) fn wanting(self, bytes: u64) -> Self {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        match self {
            Self::Io { op, path, source } if matches!(source.kind(), StorageFull | QuotaExceeded) => {
                let why = format!("{op} {}: {source}", path.display());
                Self::NoSpace { wanted: bytes, path: Some(path), why }
            }
            other => other,
        }
    }

    /// Turns a parser's error into [`Error::Corrupt`] of `name`.
    pub fn corrupt(name: impl Into<ObjectName>) -> impl FnOnce(ParseError) -> Self {
        let name = name.into();
        move |why| Self::Corrupt { name, why }
    }
}

/// What is wrong comes before the place, as in C ostree's words: scripts look for `NAME: Invalid / in filename`.
fn reason(error: &ParseError) -> String {
    match (&error.kind, error.offset) {
        (ParseErrorKind::Invalid(why), 1..) => format!("{why} ({} at byte {})", error.what, error.offset),
        _ => error.to_string(),
    }
}

/// The words of C ostree, which has other ones for content.
fn not_found(name: &ObjectName) -> String {
    match name.kind {
        ObjectType::File => format!("Couldn't find file object '{}'", name.checksum),
        _ => format!("No such metadata object {name}"),
    }
}
