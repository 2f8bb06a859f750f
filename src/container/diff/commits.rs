//! Which packages two commits have.

use ostree_format::CommitId;

use super::trees::Trees;
use super::{PackagesDiff, find};
use crate::base::Ctx;
use crate::container::image::Result;
use crate::store::{ObjectRead, load_commit};

/// The packages that differ between two commits in `store`, by the databases of dpkg, rpm, apk and pacman in them; `None` if
/// neither has one.
///
/// # Errors
/// What the store gives.
pub fn diff_packages(
    store: &dyn ObjectRead,
    old: &CommitId,
    new: &CommitId,
    ctx: &Ctx,
) -> Result<Option<PackagesDiff>> {
    let (old, new) = (load_commit(store, old)?.root, load_commit(store, new)?.root);
    let (of_old, of_new) = find::databases(&Trees::of_store(Some(store), ctx), old, new)?;
    Ok(PackagesDiff::known(of_old, of_new))
}
