//! Layers that lie somewhere as files, with what else their tar streams hold beside them.

use std::io::Write;

use super::error::Result;

/// Decides, by its path, whether an entry of a layer is wanted.
pub type WantsEntry<'a> = dyn FnMut(&[u8]) -> Result<bool> + Send + 'a;

/// A layer that its place keeps as files: its tar stream is made again, and there is no blob of it.
pub trait UnpackedLayer: Send + Sync {
    /// Writes the tar stream, without the entries that `wants` does not want: with all of them it is the layer's own, byte
    /// for byte. Nothing is verified.
    ///
    /// # Errors
    /// [`Error::StoredLayer`](super::Error::StoredLayer), [`Error::Io`](super::Error::Io); what `wants` says and `out`.
    fn write(&self, wants: &mut WantsEntry<'_>, out: &mut dyn Write) -> Result<()>;

    /// Looks for the first file that is not what it was when the layer was unpacked.
    ///
    /// # Errors
    /// [`Error::StoredLayer`](super::Error::StoredLayer) names it; [`Error::Io`](super::Error::Io).
    fn check(&self) -> Result<()>;
}
