//! The interface between a pull and a keeper of layers: which are there already, which are new.

use std::collections::{BTreeMap, BTreeSet};

use ostree_format::{CommitId, FileId};

use super::way::{Fetched, PulledLayer, Way};
use crate::container::image::{Digest, ImageLayer, LayerKind, Result};
use crate::tar::LayerOptions;

/// What is known of layers before, and kept of them after they were taken in.
pub(in crate::container) trait Layers: Sync {
    /// What it keeps, in one word: layers that others keep are something else.
    fn kind(&self) -> &'static str;

    /// The commit that keeps a layer in the store, if the layer is there as what it is to be: this blob was read,
    /// had this diffid, and what it was taken in as is there with all its objects.
    ///
    /// # Errors
    /// [`Error::DiffIdMismatch`] if the blob was read and had another diffid.
    fn known(&self, layer: &ImageLayer, role: LayerRole) -> Result<Option<KeptLayer>>;

    /// The commit that keeps the objects of a chunk of the commit `base` from now on.
    fn keep_chunk(&self, layer: &ImageLayer, base: CommitId, objects: &BTreeSet<FileId>) -> Result<CommitId>;

    /// Told of every layer that is in the store now, from any thread: one that was not read may go by the name of its blob
    /// for others, but is not known by it.
    fn finished(&self, layer: &TakenLayer) -> Result<()>;
}

/// A layer that is in the store already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::container) struct KeptLayer {
    /// The commit that it is there, or that keeps it.
    pub(in crate::container) commit: CommitId,
    /// Whether it came from the very blob that the image names: otherwise from another with the same stream.
    pub(in crate::container) same_blob: bool,
}

/// What a layer of an image is taken in as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::container) enum LayerRole {
    /// The commit with this id, with all its metadata.
    Commit(CommitId),
    /// Content objects of the commit with this id.
    Chunk(CommitId),
    /// Files, taken in by these rules.
    Plain(LayerOptions),
}

impl LayerRole {
    /// The kind of layer that is taken in so.
    pub(in crate::container) fn kind(self) -> LayerKind {
        match self {
            Self::Commit(_) => LayerKind::Commit,
            Self::Chunk(_) => LayerKind::Chunk,
            Self::Plain(_) => LayerKind::Plain,
        }
    }
}

/// A layer that is in the store.
#[derive(Debug, Clone)]
pub(in crate::container) struct TakenLayer {
    /// The layer.
    pub(in crate::container) layer: ImageLayer,
    /// What it was taken in as.
    pub(in crate::container) role: LayerRole,
    /// The commit that it is there, or that keeps it.
    pub(in crate::container) commit: CommitId,
    /// How it came there.
    pub(in crate::container) origin: Origin,
    /// What was fetched for it.
    pub(in crate::container) fetched: Fetched,
    /// Entries of a plain layer that were left out, by their first directory or their kind.
    pub(in crate::container) left_out: BTreeMap<String, u64>,
    /// Devices and pipes of a plain layer, which were left out: what each is, by path.
    pub(in crate::container) special: BTreeMap<String, &'static str>,
}

/// How a layer came into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::container) enum Origin {
    /// The layer was fetched, and read to its end.
    Fetched,
    /// Objects of the layer were fetched, by what its table says of it.
    FetchedObjects,
    /// The blob of the layer was read earlier.
    Kept,
    /// Another blob with the same stream was read earlier.
    Alike,
}

impl TakenLayer {
    /// A layer that was fetched just now.
    pub(in crate::container) fn fetched(
        layer: &ImageLayer,
        role: LayerRole,
        commit: CommitId,
        fetched: Fetched,
    ) -> Self {
        let origin = match fetched.way {
            Way::Objects => Origin::FetchedObjects,
            _ => Origin::Fetched,
        };
        let (left_out, special) = Default::default();
        Self { layer: layer.clone(), role, commit, origin, fetched, left_out, special }
    }

    /// A layer that is in the store already.
    pub(in crate::container) fn here(layer: &ImageLayer, role: LayerRole, kept: KeptLayer) -> Self {
        let origin = if kept.same_blob { Origin::Kept } else { Origin::Alike };
        let fetched = Fetched { bytes: 0, way: Way::Reused };
        Self { origin, ..Self::fetched(layer, role, kept.commit, fetched) }
    }

    /// Whether something was fetched for it now.
    pub(in crate::container) fn is_fetched(&self) -> bool {
        matches!(self.origin, Origin::Fetched | Origin::FetchedObjects)
    }

    /// What there is to tell of it.
    pub(in crate::container) fn report(&self) -> Result<PulledLayer> {
        let Fetched { bytes, way } = self.fetched;
        Ok(PulledLayer { digest: Digest::of_descriptor(&self.layer.descriptor)?, bytes, way })
    }

    /// Whether the blob that the image names was read, now or earlier.
    pub(in crate::container) fn is_read(&self) -> bool {
        self.origin != Origin::Alike
    }
}
