//! What an image brings to a store that has a commit, without pulling it: the machine that asks has the older files, wherever
//! they came from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use oci_spec::image::Descriptor;
use ostree_format::{CommitId, RootDir};

use super::trees::{Opened, Trees};
use super::{Compared, Components, LayersDiff, PackagesDiff, find, streams};
use crate::base::{Ctx, debug_fields};
use crate::container::image::{Image, ImageSource, LayerKind, Result};
use crate::store::{ObjectRead, load_commit};

/// What is here before an update.
#[derive(Clone, Copy)]
pub struct Installed<'a> {
    /// The store that an update would be pulled into.
    pub store: &'a dyn ObjectRead,
    /// The commit in it, with all of its objects.
    pub commit: CommitId,
    /// The image that it came from, if that is known.
    pub image: Option<&'a Image>,
}

debug_fields!(Installed<'a> { commit, image });

/// What an update brings.
#[derive(Debug, Clone)]
pub struct UpdateDiff {
    /// The bytes to fetch, object by object where layers allow it and that is less than the layer; nothing is known where a
    /// layer with objects cannot be looked into.
    pub object_bytes: Option<u64>,
    /// The packages that differ, if there is a database in both. Where the layers of the image cannot be looked into, and
    /// the database has a file for each package, packages that were removed are not told.
    pub packages: Option<PackagesDiff>,
    /// The components that differ, as the annotations of layers say.
    pub components: Components,
    /// The bytes of layers that were read for this.
    pub read_bytes: u64,
}

/// Looks what an image brings. Of its layers nothing is read but indexes, tables of contents, directories that are not
/// here and databases of packages, where the source gives parts of blobs; else whole layers that are not here, until
/// there is a database. Nothing is read of the older image's layers, which may be gone from where it came.
///
/// # Errors
/// What store and source say; [`Error::Image`](crate::container::image::Error::Image) if the image's documents or tables
/// contradict themselves.
pub fn diff_update(
    installed: Installed<'_>,
    (image, source): (&Image, &dyn ImageSource),
    ctx: &Ctx,
) -> Result<UpdateDiff> {
    let before = installed.image.map_or(&[][..], |image| image.manifest.layers());
    let layers = LayersDiff::between(before, image.manifest.layers());
    let bytes = Arc::new(AtomicU64::new(0));
    ctx.phase("Comparing images", None, None);
    let new = Compared::new((image, source), &layers, &bytes, true)?;
    let old = load_commit(installed.store, &installed.commit)?.root;
    let by_objects = compare(&new, installed.store, old, ctx)?;
    let (object_bytes, packages) = match by_objects {
        Some((packages, bytes)) => (bytes, packages),
        None => {
            // Others compressed the layers again: they have tables, and no index of objects.
            let files = new.as_files();
            match compare(&files, installed.store, old, ctx)? {
                Some((packages, _)) => (None, packages),
                None => (None, read_layers(&new, installed.store, old, ctx)?),
            }
        }
    };
    let components = layers.components();
    drop(new);
    Ok(UpdateDiff { object_bytes, packages, components, read_bytes: bytes.load(Ordering::Relaxed) })
}

/// Packages, if there are databases, and the bytes of objects to fetch, if the image has a commit.
type Found = (Option<PackagesDiff>, Option<u64>);

/// Compares by the tables of layers; `None` if some layer has none.
fn compare(new: &Compared<'_>, here: &dyn ObjectRead, old: RootDir, ctx: &Ctx) -> Result<Option<Found>> {
    let Opened::Trees(trees) = Trees::open(&[new], Some(here), ctx)? else { return Ok(None) };
    let Ok(root) = trees.root(new)? else { return Ok(None) };
    let (of_old, of_new) = find::databases(&trees, old, root)?;
    let plain = new.of_kind(LayerKind::Plain).filter(|layer| !new.is_shared(layer));
    let plain: u64 = plain.map(Descriptor::size).sum();
    let objects = trees.bytes_of_missing_objects(new)?.map(|objects| objects + plain);
    Ok(Some((PackagesDiff::known(of_old, of_new), objects)))
}

/// Reads layers that are not here, until there is a database.
fn read_layers(
    new: &Compared<'_>,
    here: &dyn ObjectRead,
    old: RootDir,
    ctx: &Ctx,
) -> Result<Option<PackagesDiff>> {
    let of_new = streams::search(new, ctx)?;
    let of_old = find::beside(&Trees::of_store(Some(here), ctx), old, &of_new)?;
    Ok(PackagesDiff::known(of_old, of_new))
}
