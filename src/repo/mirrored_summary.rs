//! The summary of another repository, which a mirror of it offers as it is, since only that has the signatures.

use super::Repo;
use crate::store::Result;

impl Repo {
    /// Replaces the summary and its signatures by those of the repository that this one mirrors.
    ///
    /// # Errors
    /// [`Error::Io`](crate::store::Error::Io).
    pub fn set_mirrored_summary(&self, summary: &[u8], signatures: Option<&[u8]>) -> Result<()> {
        self.publish_summary(summary, signatures)
    }
}
