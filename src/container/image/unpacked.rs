//! Layers that lie somewhere as files, with what else their tar streams hold beside them.

use std::fs::File;
use std::io::Write;

use super::error::Result;

/// A reader of the tar stream of a layer that its place keeps as files.
pub trait EntryVisitor: Send {
    /// Decides, by its path, whether an entry is wanted.
    ///
    /// # Errors
    /// What ends the reading.
    fn wants(&mut self, _path: &[u8]) -> Result<bool> {
        Ok(true)
    }

    /// Is given the file whose content comes at `offset` of what is written, and says from which it is read: this one, or a
    /// copy.
    fn content(&mut self, file: File, _offset: u64) -> File {
        file
    }
}

/// A visitor that wants every entry, and every content as it is.
#[derive(Debug, Clone, Copy)]
pub struct EveryEntry;

impl EntryVisitor for EveryEntry {}

/// A layer that its place keeps as files: its tar stream is made again, and there is no blob of it.
pub trait UnpackedLayer: Send + Sync {
    /// Writes the tar stream, without the entries that `visitor` does not want: with all of them it is the layer's own, byte
    /// for byte. Nothing is verified.
    ///
    /// # Errors
    /// [`Error::StoredLayer`](super::Error::StoredLayer), [`Error::Io`](super::Error::Io); what `visitor` says and `out`.
    fn write(&self, visitor: &mut dyn EntryVisitor, out: &mut dyn Write) -> Result<()>;

    /// Looks for the first file that is not what it was when the layer was unpacked.
    ///
    /// # Errors
    /// [`Error::StoredLayer`](super::Error::StoredLayer) names it; [`Error::Io`](super::Error::Io).
    fn check(&self) -> Result<()>;
}
