//! What can go wrong with a tar stream; every error says at which byte.

use std::{fmt, io};

use ostree_format::{ObjectName, ParseError};

use crate::base::{ErrorKind, Kind};
use crate::{base, store};

/// The result of every call on a tar stream.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with a tar stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not a tar stream.
    #[error("tar stream at byte {offset}: {kind}")]
    Format {
        /// Offset of the header block, record or content concerned, from the start of the stream.
        offset: u64,
        /// The error.
        kind: FormatErrorKind,
    },
    /// The stream is a tar stream, but one of its entries may not be in it.
    #[error("tar entry '{path}' at byte {offset}: {kind}")]
    Entry {
        /// The entry's path, as far as it can be shown.
        path: String,
        /// Offset of the entry's first header block.
        offset: u64,
        /// The reason.
        kind: EntryErrorKind,
    },
    /// The stream does not hold what it is for.
    #[error("tar stream: {0}")]
    Content(ContentErrorKind),
    /// The stream could not be read.
    #[error("reading tar stream at byte {offset}")]
    Read {
        /// The offset up to which the stream was read.
        offset: u64,
        /// The error of the stream.
        source: io::Error,
    },
    /// The stream could not be written.
    #[error("writing tar stream")]
    Write(#[source] io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Kind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Format { .. } | Self::Entry { .. } | Self::Content(_) => ErrorKind::Damaged,
            Self::Read { source, .. } | Self::Write(source) => Kind::kind(source),
            Self::Store(error) => error.kind(),
        }
    }
}

/// The ways in which bytes can fail to be a tar stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatErrorKind {
    /// The stream ends inside of an entry, or without the two zero blocks at its end.
    Truncated,
    /// The checksum of a header block is wrong.
    Checksum,
    /// A number is not one, or too large for its meaning.
    Number(&'static str),
    /// An extended header record is malformed; the text says how.
    Pax(&'static str),
    /// A name or extended header is larger than the limit, in bytes.
    TooLarge(&'static str, u64),
    /// Two records describe one entry and disagree, or stand twice.
    Ambiguous(&'static str),
    /// Extended headers are not followed by an entry.
    Dangling,
    /// Something of the format that is not supported.
    Unsupported(&'static str),
    /// Other bytes than zeros follow a lone zero block: two of them end an archive.
    AfterEnd,
    /// The input has another format; the text says which, and what to do with it.
    Foreign(&'static str),
    /// The directory or a header of a zip archive is malformed; the text says how.
    Zip(String),
    /// The map of a sparse file is malformed; the text says how.
    Sparse(&'static str),
}

/// The reasons for which an entry may not be in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryErrorKind {
    /// The path is empty.
    NoPath,
    /// The path starts at the root.
    Absolute,
    /// The path goes upwards.
    DotDot,
    /// The path has more names than this.
    TooDeep(usize),
    /// The layer has too many directories that it does not list: their paths are longer than so many bytes together.
    Implied(usize),
    /// A name or link target that is not UTF-8 cannot be in a dirtree or content object.
    NotUtf8(&'static str),
    /// A symbolic link leads nowhere: its target is empty.
    NoTarget,
    /// An entry of this type has no place here.
    Type(&'static str),
    /// The path should be the name of an object, and is not; the text says why.
    ObjectPath(&'static str),
    /// The object came before.
    Duplicate,
    /// The commit does not reach this object, or not yet.
    Unexpected,
    /// Larger than the limit, in bytes.
    TooLarge(u64),
    /// The xattrs of a content object do not come directly before it, or are unknown.
    Xattrs(&'static str),
    /// The bytes are not what the object's type asks for.
    Parse(ParseError),
    /// The directory in which it lies is not there.
    NoParent(String),
    /// What it lies in came before, and is no directory.
    NotADirectory(String),
    /// A hard link to something that is not there or cannot be linked to.
    LinkTarget(String),
    /// The entry would replace something of another type.
    Conflict(&'static str),
    /// The content is encrypted or compressed in a way that is not read; the text says which.
    Packed(String),
    /// The content is not what its size and checksum say, or does not decompress; the text says how.
    Damaged(String),
    /// The entry brings the holes of all sparse files of the stream above the limit, in bytes.
    Holes(u64),
}

/// The ways in which a well-formed stream can miss its purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentErrorKind {
    /// There is no commit in it.
    NoCommit,
    /// Objects of the commit are missing: one of them, and how many in all.
    Incomplete(ObjectName, usize),
}

impl Error {
    /// What failed of the store, if it is to blame, and not the stream.
    pub fn store(&self) -> Option<&store::Error> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }

    /// An [`Error::Format`].
    pub(crate) fn format(offset: u64, kind: FormatErrorKind) -> Self {
        Self::Format { offset, kind }
    }
}

impl From<base::Cancelled> for Error {
    fn from(cancelled: base::Cancelled) -> Self {
        Self::Store(cancelled.into())
    }
}

impl fmt::Display for FormatErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the stream ends too early"),
            Self::Checksum => f.write_str("the checksum of the header is wrong"),
            Self::Number(field) => write!(f, "{field} is not a number, or too large"),
            Self::Pax(why) => write!(f, "malformed extended header: {why}"),
            Self::TooLarge(what, limit) => write!(f, "{what} is larger than the limit of {limit} bytes"),
            Self::Ambiguous(what) => write!(f, "{what} is given twice"),
            Self::Dangling => f.write_str("an extended header without its entry"),
            Self::Unsupported(what) => write!(f, "{what} is not supported"),
            Self::Foreign(what) => write!(f, "it is {what}"),
            Self::AfterEnd => f.write_str("data after a lone zero block: two of them end an archive"),
            Self::Zip(why) => write!(f, "malformed zip archive: {why}"),
            Self::Sparse(why) => write!(f, "malformed sparse file: {why}"),
        }
    }
}

impl fmt::Display for EntryErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPath => f.write_str("the path is empty"),
            Self::Absolute => f.write_str("the path is absolute"),
            Self::DotDot => f.write_str("the path goes upwards by '..'"),
            Self::TooDeep(limit) => write!(f, "the path has more than {limit} names"),
            Self::Implied(limit) => write!(
                f,
                "the paths of the directories that the layer does not list are longer than {limit} bytes"
            ),
            Self::NotUtf8(what) => write!(f, "the {what} is not UTF-8"),
            Self::NoTarget => f.write_str("the target of the symbolic link is empty"),
            Self::Type(what) => write!(f, "{what} cannot be here"),
            Self::ObjectPath(why) => write!(f, "not the name of an object: {why}"),
            Self::Duplicate => f.write_str("the object is in the stream twice"),
            Self::Unexpected => f.write_str("the commit does not reach this object"),
            Self::TooLarge(limit) => write!(f, "larger than the limit of {limit} bytes"),
            Self::Xattrs(why) => write!(f, "xattrs: {why}"),
            Self::Parse(error) => error.fmt(f),
            Self::NoParent(path) => write!(f, "the parent directory '{path}' is not in the archive"),
            Self::NotADirectory(path) => write!(f, "'{path}', which came before, is no directory"),
            Self::LinkTarget(target) => write!(f, "hard link to '{target}', which is no file in the archive"),
            Self::Conflict(what) => f.write_str(what),
            Self::Packed(how) => write!(f, "it is {how}, which is not read: unpack the archive first"),
            Self::Damaged(why) => write!(f, "its content is damaged: {why}"),
            Self::Holes(limit) => {
                write!(
                    f,
                    "the archive has sparse files with more than {limit} bytes of holes: leave this out"
                )
            }
        }
    }
}

impl fmt::Display for ContentErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCommit => f.write_str("there is no commit in it"),
            Self::Incomplete(name, n) => write!(f, "the commit is not complete: {n} missing, one is {name}"),
        }
    }
}
