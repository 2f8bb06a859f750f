//! The databases of package managers, read from the commit itself.
//!
//! ```text
//! dpkg     var/lib/dpkg      status, diversions, info/PACKAGE.list
//! rpm      var/lib/rpm       rpmdb.sqlite
//! apk      lib/apk/db        installed
//! pacman   var/lib/pacman    local/PACKAGE-VERSION/{desc,files}
//! ```
//! Systems of images keep them below `usr`, too. What is no sense in them is passed over: a file whose owner
//! stays unknown is still in the image.

pub(super) mod apk;
pub(super) mod dpkg;
pub(in crate::container) mod installed;
pub(super) mod pacman;
pub(super) mod rpm;
mod sqlite;

use crate::container::build::chunks::owners::Owners;
use crate::container::build::chunks::tree::Tree;
use crate::container::image::Result;
use crate::store::ObjectRead;

/// A file of a database may have so many bytes: it is read into memory.
pub(in crate::container) const MAX_BYTES: u64 = 128 * 1024 * 1024;

/// Gives files to the packages that the databases in the tree name.
pub(super) fn read(store: &dyn ObjectRead, tree: &Tree, owners: &mut Owners<'_>) -> Result<()> {
    dpkg::read(store, tree, owners)?;
    rpm::read(store, tree, owners)?;
    apk::read(store, tree, owners)?;
    pacman::read(store, tree, owners)
}

/// Whether a list names a file or a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathKind {
    File,
    Dir,
}

/// Gives what a list names to a package.
fn claim(owners: &mut Owners<'_>, package: usize, kind: PathKind, path: &str) {
    match kind {
        PathKind::File => owners.claim_file(package, path),
        PathKind::Dir => owners.claim_dir(package, path),
    }
}

/// The lines that are UTF-8, which paths in a commit always are.
fn lines(text: &[u8]) -> impl Iterator<Item = &str> {
    text.split(|b| *b == b'\n').filter_map(|line| str::from_utf8(line).ok())
}
