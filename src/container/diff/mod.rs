//! What differs between two images, without pulling them.
//!
//! ```text
//! layers    by their digests
//! trees     indexes of objects, tables of contents, by Range ► two trees, of which only what differs is read ► files
//!           └ parts: sources of which parts are read     tables: plain layers
//! update    an image and the commit that is here, in place of the older image
//! commits   the packages of two commits that are here
//! packages  find: the databases in the trees; only their frames are fetched
//!           streams: in layers that have no table, which are read until there is one
//! ```

mod commits;
mod find;
mod layers;
mod packages;
mod parts;
mod streams;
mod tables;
mod trees;
mod update;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use oci_spec::image::Descriptor;
use ostree_format::RootDir;

pub use self::commits::diff_packages;
pub use self::layers::LayersDiff;
pub use self::packages::{ChangedPackage, Components, Package, PackagesDiff};
use self::parts::Parts;
use self::trees::{Opened, Trees};
pub use self::update::{Installed, UpdateDiff, diff_update};
use crate::base::Ctx;
use crate::container::image::{Digest, Error, Image, ImageSource, LayerKind, LayerPlan, Result};
use crate::diff::{Changes, Side, changes};

/// Options for comparing two images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiffOptions {
    /// Whether packages are compared, too.
    pub packages: bool,
}

/// What differs between two images.
#[derive(Debug, Clone)]
pub struct ImageDiff {
    /// Which layers they share.
    pub layers: LayersDiff,
    /// The bytes that a machine with the older image fetches, object by object where layers allow it and that is less
    /// than the layer; nothing is known where a layer with objects cannot be looked into.
    pub object_bytes: Option<u64>,
    /// The files that differ.
    pub files: FilesDiff,
    /// The packages that differ, if that was asked for and one of the images has a database.
    pub packages: Option<PackagesDiff>,
    /// The components that differ, as the annotations of layers say.
    pub components: Components,
    /// The bytes of layers that were read for this.
    pub read_bytes: u64,
}

/// The files that differ between two images.
#[derive(Debug, Clone)]
pub enum FilesDiff {
    /// Paths, as in the commits; as in the images, where there are no commits or they cannot be read alone.
    Listed(Changes),
    /// Nothing is known: this layer is not zstd:chunked, or no parts of it are to be had.
    Unlisted(Digest),
}

impl ImageDiff {
    /// Images of the same layers, which hold the same files whether or not they can be looked into.
    fn none(layers: LayersDiff) -> Self {
        Self {
            object_bytes: Some(0),
            files: FilesDiff::Listed(Changes::default()),
            packages: None,
            components: layers.components(),
            read_bytes: 0,
            layers,
        }
    }
}

/// An image that is compared with another one.
struct Compared<'a> {
    image: &'a Image,
    plan: LayerPlan,
    source: Parts<'a>,
    layers: &'a LayersDiff,
    is_new: bool,
}

impl<'a> Compared<'a> {
    fn new(
        (image, source): (&'a Image, &'a dyn ImageSource),
        layers: &'a LayersDiff,
        bytes: &Arc<AtomicU64>,
        is_new: bool,
    ) -> Result<Self> {
        Ok(Self { image, plan: image.plan()?, source: Parts::new(source, bytes), layers, is_new })
    }

    /// The layers with objects, and the number of each.
    fn layers_of_commit(&self) -> impl Iterator<Item = (usize, &'a Descriptor)> {
        let all = self.image.manifest.layers().iter().enumerate();
        all.take(self.plan.layers_of_commit())
    }

    /// The image as files alone: what a commit's layers hold counts by the paths of its checkout.
    fn as_files(&self) -> Self {
        let mut plan = self.plan.clone();
        plan.layers.iter_mut().for_each(|planned| planned.kind = LayerKind::Plain);
        Self { plan, source: self.source.again(), ..*self }
    }

    fn of_kind(&self, kind: LayerKind) -> impl Iterator<Item = &'a Descriptor> {
        let kinds = self.plan.layers.iter().map(|planned| planned.kind);
        let all = self.image.manifest.layers().iter().zip(kinds);
        all.filter(move |(_, of)| *of == kind).map(|(layer, _)| layer)
    }

    fn is_shared(&self, layer: &Descriptor) -> bool {
        self.layers.is_shared(layer)
    }
}

/// Compares two images. Of their layers nothing is read but indexes, tables of contents, directories that differ and
/// databases of packages, where sources give parts of blobs; whole layers only where packages are asked for and there
/// is no other way.
///
/// # Errors
/// What the sources say; [`Error::Image`] if an image's documents or tables contradict themselves; [`Error::TooLarge`]
/// for tables of more than a quarter of a million files.
pub fn diff_images(
    old: (&Image, &dyn ImageSource),
    new: (&Image, &dyn ImageSource),
    options: DiffOptions,
    ctx: &Ctx,
) -> Result<ImageDiff> {
    let (of_old, of_new) = (old.0.manifest.layers(), new.0.manifest.layers());
    let layers = LayersDiff::between(of_old, of_new);
    if of_old.iter().map(Descriptor::digest).eq(of_new.iter().map(Descriptor::digest)) {
        return Ok(ImageDiff::none(layers));
    }
    let bytes = Arc::new(AtomicU64::new(0));
    ctx.phase("Comparing images", None, None);
    let old = Compared::new(old, &layers, &bytes, false)?;
    let new = Compared::new(new, &layers, &bytes, true)?;
    let (mut object_bytes, mut packages) = (None, None);
    let (files_of_old, files_of_new) = (old.as_files(), new.as_files());
    let mut trees = listed(&old, &new, ctx)?;
    let is_by_objects = trees.is_ok();
    if !is_by_objects {
        // Others compressed the layers again: they have tables, and no index of objects.
        trees = listed(&files_of_old, &files_of_new, ctx)?;
    }
    let files = match trees {
        Err(digest) => FilesDiff::Unlisted(digest),
        Ok((trees, from, to)) => {
            if options.packages {
                packages = Some(find::databases(&trees, from, to)?);
            }
            if is_by_objects {
                let plain = new.of_kind(LayerKind::Plain).filter(|layer| !new.is_shared(layer));
                object_bytes = Some(trees.bytes_of_objects() + plain.map(Descriptor::size).sum::<u64>());
            }
            let side = |root| Side::Tree { store: &*trees, root };
            FilesDiff::Listed(trees.told(changes(side(from), side(to), ctx).map_err(Error::from))?)
        }
    };
    if options.packages && packages.is_none() {
        packages = Some(streams::databases(&old, &new, ctx)?);
    }
    let packages = packages.and_then(|(old, new)| PackagesDiff::known(old, new));
    let (components, read_bytes) = (layers.components(), bytes.load(Ordering::Relaxed));
    drop((old, new, files_of_old, files_of_new));
    Ok(ImageDiff { layers, object_bytes, files, packages, components, read_bytes })
}

type Listed<'a> = (Box<Trees<'a>>, RootDir, RootDir);

/// The trees of both images with their roots; or a layer that cannot be looked into.
fn listed<'a>(
    old: &'a Compared<'a>,
    new: &'a Compared<'a>,
    ctx: &'a Ctx,
) -> Result<Result<Listed<'a>, Digest>> {
    let trees = match Trees::open(&[old, new], None, ctx)? {
        Opened::Trees(trees) => trees,
        Opened::Unlisted(digest) => return Ok(Err(digest)),
    };
    let (from, to) = match (trees.root(old)?, trees.root(new)?) {
        (Ok(from), Ok(to)) => (from, to),
        (Err(digest), _) | (_, Err(digest)) => return Ok(Err(digest)),
    };
    Ok(Ok((trees, from, to)))
}
