//! The layers that the image store keeps: which of them stand in for those of an image.
//!
//! ```text
//! ref of the blob that was read ► commit ► record of its diffid: is it the layer that is asked for?
//! ```
//! Such a ref is written only by whoever read that blob to its end and verified it, or its table of contents, whose digest the
//! manifest names, and the objects that this lists. A layer that was compressed anew has another blob, and is found by the
//! diffid in the record. Its blob gets a ref to the same commit, since ostree-ext shows no image and pulls none into the
//! repository while an image's first layer has no ref, and would let go of layers that no blob of an image names. As the
//! record names another blob, nothing is believed here for such a ref's sake: nobody read that blob.

use std::collections::{BTreeSet, HashMap};

use oci_spec::image::Descriptor;
use ostree_format::{CommitId, FileId};

use super::ImageStore;
use super::kept::{KeptLayer, LayerRole, Layers, TakenLayer};
use super::names::{layer_of_ref, layer_ref};
use super::record::{IMPORTER, LayerRecord, OURS};
use crate::container::image::{DiffId, Digest, Error, ImageLayer, LayerKind, Result};
use crate::store::{self, Completeness, ObjectRead, Reachable, Txn, load_commit, load_dirtree, walk_commit};
use crate::tar::write_object_set;

/// The refs of all layers.
pub(super) struct LayerIndex {
    by_digest: HashMap<Digest, IndexedLayer>,
    /// The layers with a record of their diffid.
    by_diff_id: HashMap<(DiffId, Holds), Digest>,
}

/// A layer that has a ref.
struct IndexedLayer {
    commit: CommitId,
    /// What is known of it, if the commit was made of that very blob.
    record: Option<LayerRecord>,
    /// Whether the commit says that it was made of another blob.
    is_of_another: bool,
}

/// What a layer holds: one that is found by its diffid has to hold the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Holds {
    /// A commit, or content objects of one.
    Objects,
    /// Files.
    Files,
}

impl Holds {
    /// What a layer of this kind holds.
    pub(super) fn of(kind: LayerKind) -> Self {
        match kind {
            LayerKind::Commit | LayerKind::Chunk => Self::Objects,
            LayerKind::Plain => Self::Files,
        }
    }
}

impl LayerIndex {
    /// Reads the refs, and the records of the commits that they name.
    pub(super) fn read(store: &(impl ImageStore + ?Sized)) -> Result<Self> {
        let mut index = Self { by_digest: HashMap::new(), by_diff_id: HashMap::new() };
        for (name, commit) in store.list()? {
            let Some(digest) = layer_of_ref(&name)? else { continue };
            // One whose commit cannot be read is fetched again by whoever needs it.
            let record = load_commit(store, &commit).ok().and_then(|c| LayerRecord::read(&c.metadata));
            let is_of_another = record.is_some_and(|record| record.blob != digest);
            let record = record.filter(|record| record.blob == digest);
            index.by_digest.insert(digest, IndexedLayer { commit, record, is_of_another });
            if let Some(record) = record {
                let holds = if record.rules.is_some() { Holds::Files } else { Holds::Objects };
                index.by_diff_id.insert((record.diff_id, holds), digest);
            }
        }
        Ok(index)
    }

    /// The blob by which a layer is kept: its own, or one with the same stream; with the commit.
    pub(super) fn find(
        &self,
        descriptor: &Descriptor,
        diff_id: Option<(&DiffId, Holds)>,
    ) -> Result<Option<(Digest, CommitId)>> {
        let own = Digest::of_descriptor(descriptor)?;
        let is_read = self.by_digest.get(&own).is_some_and(|entry| !entry.is_of_another);
        let alike = diff_id.and_then(|(id, holds)| self.by_diff_id.get(&(*id, holds)).copied());
        let digest = alike.filter(|_| !is_read).unwrap_or(own);
        Ok(self.by_digest.get(&digest).map(|entry| (digest, entry.commit)))
    }

    /// The blob and the commit by which a layer is kept that has to be here.
    pub(super) fn require(
        &self,
        descriptor: &Descriptor,
        diff_id: Option<(&DiffId, Holds)>,
    ) -> Result<(Digest, CommitId)> {
        let missing =
            || Error::Image(format!("layer {} is not here: pull its image again", descriptor.digest()));
        self.find(descriptor, diff_id)?.ok_or_else(missing)
    }
}

/// Every layer is a commit with a ref.
pub(in crate::container) struct StoredLayers<'a> {
    txn: &'a dyn Txn,
    index: LayerIndex,
}

impl<'a> StoredLayers<'a> {
    /// What `txn` has.
    pub(in crate::container) fn read(txn: &'a dyn Txn) -> Result<Self> {
        Ok(Self { txn, index: LayerIndex::read(txn)? })
    }

    /// Whether what is kept for the blob `digest`, which is `commit`, is what `layer` becomes in this role, and whole.
    fn is(&self, digest: &Digest, commit: &CommitId, layer: &ImageLayer, role: LayerRole) -> Result<bool> {
        // What a check of the repository found to be damaged is fetched again.
        let damaged = self.txn.completeness(commit)? == Completeness::PartialByFsck;
        if damaged || !self.txn.contains(&(*commit).into())? {
            return Ok(false);
        }
        if let LayerRole::Commit(promised) = role {
            // Its checksum says all.
            return Ok(*commit == promised);
        }
        let loaded = load_commit(self.txn, commit)?;
        let record = self.index.by_digest.get(digest).and_then(|entry| entry.record);
        let is_set = is_object_set(self.txn, commit)?;
        let fits = match (role, record) {
            // Content objects are what their checksums say, whoever brought them.
            (LayerRole::Chunk(_), record) => is_set && record.is_none_or(|record| record.rules.is_none()),
            (LayerRole::Plain(rules), Some(record)) => record.rules == Some(rules),
            // Whoever else writes refs of layers has read them; early versions of this program had not always. The
            // commit in a first layer says nothing of an importer.
            (LayerRole::Plain(_), None) => {
                let importer = loaded.metadata.get_str(IMPORTER);
                !is_set && importer.is_some_and(|importer| !importer.starts_with(OURS))
            }
            (LayerRole::Commit(_), _) => false,
        };
        let computed = record.filter(|record| record.rules.is_some()).map(|record| record.diff_id);
        if let Some(actual) = computed.filter(|actual| *actual != layer.diff_id) {
            let layer_digest = Digest::of_descriptor(&layer.descriptor)?;
            return Err(Error::DiffIdMismatch { layer: layer_digest, expected: layer.diff_id, actual });
        }
        Ok(fits && is_whole(self.txn, commit)?)
    }
}

impl Layers for StoredLayers<'_> {
    fn kind(&self) -> &'static str {
        "image"
    }

    fn known(&self, layer: &ImageLayer, role: LayerRole) -> Result<Option<KeptLayer>> {
        let holds = Holds::of(role.kind());
        let Some((digest, commit)) = self.index.find(&layer.descriptor, Some((&layer.diff_id, holds)))?
        else {
            return Ok(None);
        };
        let same_blob = digest == Digest::of_descriptor(&layer.descriptor)?;
        Ok(self.is(&digest, &commit, layer, role)?.then_some(KeptLayer { commit, same_blob }))
    }

    fn keep_chunk(&self, layer: &ImageLayer, _: CommitId, objects: &BTreeSet<FileId>) -> Result<CommitId> {
        let mut metadata = Default::default();
        let blob = Digest::of_descriptor(&layer.descriptor)?;
        LayerRecord { blob, diff_id: layer.diff_id, rules: None }.write(&mut metadata);
        Ok(write_object_set(self.txn, objects, metadata)?)
    }

    fn finished(&self, layer: &TakenLayer) -> Result<()> {
        let name = layer_ref(&Digest::of_descriptor(&layer.layer.descriptor)?)?;
        // What was read stays when somebody only says that it is like another.
        match layer.is_read() || self.txn.resolve_exact(&name)?.is_none() {
            true => Ok(self.txn.set_ref(&name, Some(layer.commit))?),
            false => Ok(()),
        }
    }
}

/// Whether everything that a commit names is there.
pub(in crate::container) fn is_whole(store: &dyn ObjectRead, commit: &CommitId) -> Result<bool> {
    let mut whole = true;
    let walked = walk_commit(store, commit, &mut Reachable::default(), &mut |name| {
        whole = whole && store.contains(&name)?;
        Ok(())
    });
    match walked {
        Err(store::Error::NotFound(_)) => Ok(false),
        walked => Ok(walked.map(|()| whole)?),
    }
}

/// Whether a commit is a flat directory that names objects by their checksums.
fn is_object_set(store: &dyn ObjectRead, commit: &CommitId) -> Result<bool> {
    let tree = match load_dirtree(store, &load_commit(store, commit)?.root.tree) {
        Err(store::Error::NotFound(_)) => return Ok(false),
        tree => tree?,
    };
    Ok(tree.dirs.is_empty()
        && tree.files.iter().all(|(name, id)| name.as_str() == id.checksum().hex().as_str()))
}
