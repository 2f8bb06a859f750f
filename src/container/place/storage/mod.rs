//! Images in the store of podman, buildah and skopeo, read in place: `containers-storage:NAME`.
//!
//! ```text
//! GRAPHROOT ├ overlay-images/images.json            names, ids, top layers
//!           │                ID/manifest, ID/=BASE64 documents ("big data"), by their keys
//!           ├ overlay-layers/layers.json            parents, diffids
//!           │                ID.tar-split.gz        a layer's tar stream without the content of its files
//!           └ overlay/ID/diff                       a layer's files; with the driver vfs it is vfs/dir/ID
//!
//! name      what is asked for            tables    images.json, layers.json, read under their locks
//! driver    where files lie              split     the records of tar-split
//! layer     records + files ► tar stream           image     it all as an ImageSource
//! ```
//! Nothing is written there, and locks are held shared, and only while tables are read: podman goes on meanwhile. A layer
//! that is deleted while it is read ends in an error. What comes out has to have its diffid, or its objects their
//! checksums, as from anywhere else. Source: containers/storage store.go, images.go, layers.go, pkg/lockfile;
//! containers/image storage/.

mod driver;
mod image;
mod layer;
mod lock;
mod name;
mod split;
mod tables;

pub use image::PodmanImage;
pub use name::{StorageName, StoreSpec};

use cap_std::fs::Dir;

use self::driver::Driver;
use self::tables::{ImageRow, LayerTable};
use super::disk::open_regular;
use crate::base::{Ctx, debug_fields};
use crate::container::image::{Error, Result};

/// The images of podman's store: in its own directory, and in those that were added to it to be read only.
pub struct ContainersStorage {
    roots: Vec<Dir>,
    driver: Driver,
}

debug_fields!(ContainersStorage { roots, driver });

impl ContainersStorage {
    /// The store in `roots`, its own first. `driver` is the name of its driver; without one the directories tell.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a driver that keeps layers in another way than as files, [`Error::Io`].
    pub fn open(roots: Vec<Dir>, driver: Option<&str>) -> Result<Self> {
        let driver = match driver {
            Some(name) => Driver::named(name)?,
            None => Driver::of_store(&roots)?,
        };
        Ok(Self { roots, driver })
    }

    /// The name of the driver, which says how layers are kept.
    pub fn driver(&self) -> &'static str {
        self.driver.name()
    }

    /// The image of this name.
    ///
    /// # Errors
    /// [`Error::TagNotFound`], [`Error::Ambiguous`] for the beginning of several ids; [`Error::StoredLayer`] if it lacks a
    /// layer, [`Error::Json`], [`Error::Image`] if what the store says contradicts itself; [`Error::Io`].
    pub fn image(self, name: &StorageName, ctx: &Ctx) -> Result<PodmanImage> {
        let mut all = Vec::new();
        for (number, root) in self.roots.iter().enumerate() {
            all.extend(tables::images(root, self.driver, ctx)?.into_iter().map(|row| (number, row)));
        }
        let chosen = name.choose(&all)?;
        let layers = LayerTable::read(&self.roots, self.driver, ctx)?;
        PodmanImage::new(self, chosen, &layers, name.digest())
    }

    /// A document of the image `row`.
    fn document(&self, root: usize, row: &ImageRow, key: &str) -> Result<Option<Vec<u8>>> {
        let path = format!("{}-images/{}/{}", self.driver.name(), row.id, tables::file_of_key(key));
        super::disk::read_small(&self.roots[root], &path)
    }
}

/// Opens the first file at `path` that one of the directories has.
fn first_file(roots: &[Dir], path: &str) -> Result<Option<cap_std::fs::File>> {
    for root in roots {
        if let Some(file) = open_regular(root, path.as_ref())? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// An id becomes part of paths.
fn check_id(id: &str) -> Result<()> {
    match id.is_empty() || id.contains(['/', '\0']) || matches!(id, "." | "..") {
        true => Err(Error::Image(format!("{id:?} is no id that a store gives"))),
        false => Ok(()),
    }
}
