//! A repository of this machine that a remote's `file://` leads to.

use std::fs::File;
use std::io::Read;

use ostree_format::CollectionId;

use crate::store::{Error, ObjectRead, Refs, Result};

/// A repository of this machine to pull from.
pub trait LocalArchive: ObjectRead + Refs {
    /// A file of the repository, such as the summary, open at its start; `None` if it is not there.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn open_path(&self, path: &str) -> Result<Option<File>>;

    /// The collection that the repository's refs belong to.
    fn collection(&self) -> Option<CollectionId>;
}

/// A file of at most `limit` bytes, in memory; `None` if it is not there.
pub(super) fn read_path(from: &dyn LocalArchive, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
    let Some(file) = from.open_path(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let read = (&file).take(limit.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|e| Error::at(&file, "read", ".", e))?;
    match bytes.len() as u64 > limit {
        true => Err(Error::Unsupported(format!("{path} has more than {limit} bytes"))),
        false => Ok(Some(bytes)),
    }
}
