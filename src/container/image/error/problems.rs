//! What can be wrong with parts of an image, and with what it is read by.

use std::io;

/// What is wrong with a layer in podman's store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoredLayerProblem {
    /// The store does not know the layer, or has no files of it.
    #[error("the store does not have it")]
    Missing,
    /// The rest of the layer's tar stream, beside its files, is not there.
    #[error("its tar-split data are missing, without which its tar stream cannot be made again")]
    NoSplit,
    /// The rest of the layer's tar stream is damaged.
    #[error("its tar-split data are damaged, at record {record}: {why}")]
    Split {
        /// The number of the record, from 1 on.
        record: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A file of the layer cannot be opened or read.
    #[error("its file {path}")]
    File {
        /// The path in the layer.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the layer is not what it was when the layer was unpacked.
    #[error("its file {path} was changed in the store")]
    Changed {
        /// The path in the layer.
        path: String,
    },
}

/// What is wrong with a delta.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaErrorKind {
    /// The stream does not begin as deltas do.
    #[error("this is no tar-diff stream")]
    NoDelta,
    /// The stream ends within a record.
    #[error("it ends within a record")]
    Truncated,
    /// A number has more than 64 bits.
    #[error("a number has more than 64 bits")]
    Number,
    /// The kind of a record is not known, or not to this version of the format.
    #[error("a record is of the unknown kind {0}")]
    Op(u8),
    /// A path is none that a file can have.
    #[error("{0:?} is no path of a file")]
    Path(String),
    /// A record needs an old file before any was opened.
    #[error("a record needs an old file, and none was opened")]
    NoSource,
    /// The old tree has no such file.
    #[error("the old tree has no file {0:?}")]
    NoFile(String),
    /// An old file has fewer bytes than the delta says.
    #[error("the old file {0:?} ends too early")]
    Short(String),
    /// A record's frame cannot be decompressed.
    #[error("a patch cannot be decompressed: {0}")]
    Patch(String),
    /// Something is larger than what is accepted.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// The part.
        what: &'static str,
        /// What is accepted.
        limit: u64,
    },
}

/// A configuration file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {why}")]
pub struct ConfigError {
    /// The file.
    pub file: String,
    /// The place in the file, and the error.
    pub why: String,
}

impl ConfigError {
    pub(crate) fn new(file: &str, why: impl std::fmt::Display) -> Self {
        Self { file: file.into(), why: why.to_string() }
    }
}
