//! What can go wrong with an image; every error names the thing.

mod problems;

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use ostree_format::{CommitId, FileId, ParseError};

use super::digest::{DiffId, Digest};
use super::reference::ImageReference;
use crate::base::{Cancelled, ErrorKind, Kind, fs};
#[cfg(feature = "net")]
use crate::net;
use crate::{store, tar};

pub use problems::{ConfigError, DeltaErrorKind, StoredLayerProblem};

/// The result of every call on images.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An image reference or digest cannot be read.
    #[error("{text:?}")]
    Reference {
        /// What was given.
        text: String,
        /// What is wrong, and where.
        source: ParseError,
    },
    /// A system call failed.
    #[error("{op} {}", path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// The file in question.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory or archive is not an OCI image layout, as it should be.
    #[error("not an OCI image layout: {0}")]
    NotALayout(String),
    /// A layout holds no image of this name.
    #[error("no image tagged {tag:?}{}", tags_there(known))]
    TagNotFound {
        /// The name that was asked for.
        tag: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A layout holds several images and none was named.
    #[error("the layout holds several images, name one of: {}", known.join(", "))]
    Ambiguous {
        /// The names there are.
        known: Vec<String>,
    },
    /// A blob is not there.
    #[error("blob {0} is missing")]
    BlobNotFound(Digest),
    /// The image at a place that has a name cannot be read, or one of its layers.
    #[error("{place}")]
    Source {
        /// The name.
        place: String,
        /// What is wrong there.
        source: Box<Error>,
    },
    /// A manifest, configuration or index is no JSON, or not of the right shape.
    #[error("{what}")]
    Json {
        /// The document.
        what: String,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// Bytes do not have the digest that names them.
    #[error("{what}: digest expected='{expected}' actual='{actual}'")]
    Mismatch {
        /// The kind of document or blob.
        what: &'static str,
        /// The digest that names it.
        expected: Digest,
        /// The digest of its bytes.
        actual: Digest,
    },
    /// An uncompressed layer does not have the diffid of the image's configuration.
    #[error("layer {layer}: diffid expected='{expected}' actual='{actual}'")]
    DiffIdMismatch {
        /// The layer's blob.
        layer: Digest,
        /// What the configuration says.
        expected: DiffId,
        /// What its content has.
        actual: DiffId,
    },
    /// A document or blob does not have the size that its descriptor says.
    #[error("{what} {digest}: {actual} bytes instead of {expected}")]
    Size {
        /// The kind of document or blob.
        what: &'static str,
        /// The digest of the blob.
        digest: Digest,
        /// What the descriptor says.
        expected: u64,
        /// What was found: for a longer one just one byte more.
        actual: u64,
    },
    /// A document is larger than anything sensible.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// The document.
        what: String,
        /// How much is accepted.
        limit: u64,
    },
    /// A layer's blob cannot be read or decompressed.
    #[error("layer {layer}")]
    Layer {
        /// The layer's blob.
        layer: Digest,
        /// What its reader or decoder says.
        source: io::Error,
    },
    /// A layer in podman's store cannot be made a stream again.
    #[error("layer {layer}")]
    StoredLayer {
        /// The layer, as the store calls it.
        layer: String,
        /// What is wrong with it.
        #[source]
        why: StoredLayerProblem,
    },
    /// A delta is damaged, or asks for something that is not there or too much.
    #[error("delta, at byte {offset} of its records: {why}")]
    Delta {
        /// Bytes of records that were read until then.
        offset: u64,
        /// What is wrong.
        why: DeltaErrorKind,
    },
    /// A manifest or configuration says something that makes no sense.
    #[error("{0}")]
    Image(String),
    /// The image is of a kind that is not dealt with.
    #[error("{0}")]
    Unsupported(String),
    /// The caller asked for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be the program that an image serves itself with.
    #[error("{what}, which cannot serve an image for {wanted}")]
    Program {
        /// What the file is.
        what: String,
        /// The machines that the image is for.
        wanted: String,
    },
    /// The caller did not say who has to vouch for the commit, and no policy asks for a signature.
    #[error("the commit's signature cannot be checked: nothing says whose it should be")]
    NoSignaturePolicy,
    /// A signed commit vouches for itself, not for the layers that others put on top of it.
    #[error("image {image} has {layers} layers that the signature of its commit says nothing about")]
    UnsignedLayers {
        /// The image.
        image: Digest,
        /// How many layers there are on top of the commit.
        layers: usize,
    },
    /// The base of an image has not the file that its commit has at a path.
    #[error("/{path}: the base has not the file of the commit, object {object}")]
    NotInBase {
        /// The path, as a container sees it.
        path: String,
        /// The object that should be there.
        object: FileId,
        /// What was found to be wrong with a layer of the base.
        source: Option<Box<Error>>,
    },
    /// A commit is for machines of a name that images do not know, and no others were named for the image.
    #[error("commit {commit} is for machines called '{said}', which images do not know")]
    UnknownMachine {
        /// The commit.
        commit: CommitId,
        /// What its metadata calls them.
        said: String,
    },
    /// The image store has no image of this name.
    #[error("no image {0} was pulled into this repository")]
    NotStored(ImageReference),
    /// The policy does not let the image in.
    #[error("image refused: {0}")]
    Refused(String),
    /// A layer's tar stream is wrong, or what is in it.
    #[error(transparent)]
    Tar(#[from] tar::Error),
    /// The network, or a registry, did not give or take something.
    #[cfg(feature = "net")]
    #[error(transparent)]
    Net(net::Error),
    /// A configuration file cannot be used, or forbids what was asked for.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store could not give or take an object.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The work was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// The names that there are, behind the one that there is not.
fn tags_there(known: &[String]) -> String {
    match known {
        [] => String::new(),
        known => format!("; there are: {}", known.join(", ")),
    }
}

impl Kind for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSignaturePolicy | Self::UnsignedLayers { .. } | Self::Refused(_) => ErrorKind::Refused,
            Self::TagNotFound { .. } | Self::BlobNotFound(_) | Self::NotStored(_) => ErrorKind::Missing,
            Self::NotALayout(_)
            | Self::Json { .. }
            | Self::Mismatch { .. }
            | Self::DiffIdMismatch { .. }
            | Self::Size { .. }
            | Self::TooLarge { .. }
            | Self::Delta { .. }
            | Self::NotInBase { .. }
            | Self::Image(_) => ErrorKind::Damaged,
            Self::StoredLayer { why, .. } => match why {
                StoredLayerProblem::Missing => ErrorKind::Missing,
                StoredLayerProblem::NoSplit => ErrorKind::Unsupported,
                StoredLayerProblem::File { source, .. } => Kind::kind(source),
                StoredLayerProblem::Split { .. } | StoredLayerProblem::Changed { .. } => ErrorKind::Damaged,
            },
            Self::Reference { .. }
            | Self::UnknownMachine { .. }
            | Self::Ambiguous { .. }
            | Self::Usage(_)
            | Self::Program { .. }
            | Self::Config(_) => ErrorKind::Usage,
            Self::Io { source, .. } | Self::Layer { source, .. } => Kind::kind(source),
            Self::Unsupported(_) => ErrorKind::Unsupported,
            Self::Source { source, .. } => source.kind(),
            Self::Tar(error) => error.kind(),
            #[cfg(feature = "net")]
            Self::Net(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Cancelled(_) => ErrorKind::Cancelled,
        }
    }
}

impl Error {
    /// What failed of the store, if it is to blame, and not the image.
    pub fn store(&self) -> Option<&store::Error> {
        match self {
            Self::Store(error) => Some(error),
            Self::Tar(error) => error.store(),
            _ => None,
        }
    }

    /// An [`Error::Io`]; an error of the network that a stream carried is taken out of it.
    pub(in crate::container) fn io(
        op: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| {
            #[cfg(feature = "net")]
            let source = match source.downcast::<net::Error>() {
                Ok(error) => return error.into(),
                Err(source) => source,
            };
            Self::Io { op, path, source }
        }
    }

    /// An [`Error::Io`] of what `path` names from the open directory `dir`, which says where that lies: the same names are
    /// in every layout.
    pub(in crate::container) fn at<'a>(
        dir: &'a impl AsFd,
        op: &'static str,
        path: impl AsRef<Path> + 'a,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::io(op, fs::place(dir, path))(source)
    }

    /// What is wrong with a tar stream, said of the layer that it is.
    pub(in crate::container) fn of_layer(self, layer: Digest) -> Self {
        match self {
            Self::Tar(tar::Error::Format { .. } | tar::Error::Entry { .. }) => {
                Self::Source { place: format!("layer {layer}"), source: Box::new(self) }
            }
            other => other,
        }
    }

    /// Whether a registry lost what it had of a blob, which is sent again from its start then.
    pub(in crate::container) fn is_lost_upload(&self) -> bool {
        match self {
            #[cfg(feature = "net")]
            Self::Net(error) => matches!(error, net::Error::UploadLost { .. }),
            _ => false,
        }
    }

    /// An [`Error::Image`].
    pub(in crate::container) fn image(why: impl std::fmt::Display) -> Self {
        Self::Image(why.to_string())
    }

    /// An [`Error::Json`].
    pub(in crate::container) fn json(what: impl Into<String>) -> impl FnOnce(serde_json::Error) -> Self {
        let what = what.into();
        move |source| Self::Json { what, source }
    }
}

#[cfg(feature = "net")]
impl From<net::Error> for Error {
    fn from(error: net::Error) -> Self {
        match error {
            net::Error::Cancelled(cancelled) => Self::Cancelled(cancelled),
            error => Self::Net(error),
        }
    }
}
