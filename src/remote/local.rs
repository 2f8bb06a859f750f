//! A repository of this machine that a remote's `file://` leads to.

use ostree_format::CollectionId;

use crate::store::{ObjectRead, Refs, Result};

/// A repository of this machine to pull from.
pub trait LocalArchive: ObjectRead + Refs {
    /// A file at the top of the repository, such as the summary, if it is there.
    ///
    /// # Errors
    /// [`Error::Io`](crate::store::Error::Io).
    fn top_file(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// The collection that the repository's refs belong to.
    fn collection(&self) -> Option<CollectionId>;
}
