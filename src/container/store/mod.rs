//! The image store: pulled images as refs of a repository, laid out as ostree-ext does, so that bootc and
//! rpm-ostree find what was pulled here, and the other way round.
//!
//! ```text
//! ostree/container/blob/sha256_3A_HEX       a layer, by the digest of its blob:
//!                                           the commit itself · an object set · a tree with whiteouts
//! ostree/container/commit/HEX               the commit of an image on a base, of which the lowest layer alone has a ref
//! ostree/container/image/docker_3A_//…      an image, by its name: a commit of all layers together,
//!                                           with manifest and configuration in its metadata
//! ostree/container/baseimage/PROJECT/N      images that others need
//! detached metadata of an image's commit    manifest and configuration of an update that was seen
//! ```
//! Nothing here knows a repository on disk. Source: ostree-ext container/store.rs.

mod commit;
mod copy;
mod garbage;
mod kept;
mod layers;
mod names;
mod query;
pub(super) mod record;
mod reexport;
mod update;
mod way;

pub(super) use commit::{layers_metadata, write_merge_commit};
pub use copy::copy;
pub use garbage::{prune_images, prune_layers, remove};
pub(super) use kept::{KeptLayer, LayerRole, Layers, Origin, TakenLayer};
pub(super) use layers::{StoredLayers, is_whole};
pub(super) use names::commit_ref;
pub use names::{IMAGES, LAYERS, escape_ref, image_of_ref, image_ref, layer_of_ref, layer_ref, unescape_ref};
pub use query::{StoredImage, list, query, query_commit, require};
pub(super) use record::{IMPLIED, IMPORTER, LOWER_LINKS, LayerRecord, importer_version};
pub use reexport::reexport;
pub use update::{cache_update, clear_cached_update};
pub(super) use way::{Fetched, LayerCounts};
pub use way::{PulledLayer, Way, WhyWhole};

use crate::store::{ObjectRead, Refs};

/// A store with objects and refs: a repository, or a transaction of one.
pub trait ImageStore: ObjectRead + Refs {}

impl<S: ObjectRead + Refs + ?Sized> ImageStore for S {}
