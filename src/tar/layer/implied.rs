//! Directories that no entry of a layer lists.

use std::collections::BTreeSet;

use super::super::error::EntryErrorKind;

/// The paths of all of them may be so long together: the commit of the layer names them, and each is a directory in
/// memory, so that a few kilobytes of layer could otherwise take gigabytes.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// The paths of directories that no entry lists.
#[derive(Default)]
pub(super) struct Implied {
    paths: BTreeSet<String>,
    bytes: usize,
}

impl Implied {
    /// Adds a directory.
    ///
    /// # Errors
    /// [`EntryErrorKind::Implied`] if there are too many.
    pub(super) fn insert(&mut self, path: &str) -> Result<(), EntryErrorKind> {
        if self.paths.insert(path.to_owned()) {
            self.bytes += path.len();
        }
        match self.bytes <= MAX_BYTES {
            true => Ok(()),
            false => Err(EntryErrorKind::Implied(MAX_BYTES)),
        }
    }

    /// Takes a directory away.
    pub(super) fn remove(&mut self, path: &str) {
        if self.paths.remove(path) {
            self.bytes -= path.len();
        }
    }

    /// Takes away what is below a directory.
    pub(super) fn remove_below(&mut self, path: &str) {
        // `0` is the character behind the slash.
        let below = format!("{path}/")..format!("{path}0");
        let gone: Vec<_> = self.paths.range(below).cloned().collect();
        gone.iter().for_each(|path| self.remove(path));
    }

    /// All of them.
    pub(super) fn into_paths(self) -> BTreeSet<String> {
        self.paths
    }
}
