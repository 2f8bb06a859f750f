//! Deltas that lie beside the images to which they lead.

use std::collections::HashSet;
use std::io::Read;
use std::ops::Range;

use oci_spec::image::Descriptor;

use super::artifact::{Artifact, is_listed_as_delta, listed_source_config};
use super::here::passed_over;
use super::index;
use crate::base::WithCauses;
use crate::container::image::{
    DiffId, Digest, Error, Image, ImageSource, RawManifest, Result, UnpackedLayer,
};

/// The deltas to one image that are looked at, the newest first.
const MAX_DELTAS: usize = 32;

/// The delta to the image with the manifest `new` that begins with the image whose configuration is `old_config`, if
/// the place of the new image lists one among its referrers. Of several it is the smallest.
///
/// # Errors
/// What the source says. Artifacts that make no sense are passed over.
pub fn find_delta(source: &dyn ImageSource, old_config: &Digest, new: &Digest) -> Result<Option<Artifact>> {
    let mut best: Option<Artifact> = None;
    for entry in &listed(source, new, &|config| config == old_config)? {
        match Artifact::read(&Listed { source, entry }) {
            Ok(found) if found.source_config == *old_config && found.target == *new => {
                if best.as_ref().is_none_or(|best| found.bytes() < best.bytes()) {
                    best = Some(found);
                }
            }
            Ok(_) => {}
            Err(error @ Error::Cancelled(_)) => return Err(error),
            Err(error) => {
                tracing::debug!(delta = %entry.digest(), error = %WithCauses(&error), "passed over")
            }
        }
    }
    Ok(best)
}

/// An update by deltas between layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedUpdate {
    /// The layers that come as deltas.
    pub deltas: usize,
    /// The bytes of these, and of the other layers that the old image lacks.
    pub bytes: u64,
}

/// What an update from `old` to `new` takes by the deltas of flatpak's index, if the place of the new image has one that
/// lists deltas between layers of these. Of several to one layer it is the smallest.
///
/// # Errors
/// [`Error::Cancelled`]; [`Error::Image`] if `old` or `new` contradicts itself. An index that cannot be read is passed over.
pub fn find_indexed(source: &dyn ImageSource, old: &Image, new: &Image) -> Result<Option<IndexedUpdate>> {
    let listed = match index::listed(source, &new.digest) {
        Ok(listed) => listed,
        Err(error) => return passed_over(error, index::INDEX_TAG).map(|()| None),
    };
    let there: HashSet<DiffId> = old.layers()?.iter().map(|layer| layer.diff_id).collect();
    let mut update = IndexedUpdate { deltas: 0, bytes: 0 };
    for layer in new.layers()?.iter().filter(|layer| !there.contains(&layer.diff_id)) {
        let of_layer = listed.iter().filter(|delta| delta.to == layer.diff_id && there.contains(&delta.from));
        let smallest = of_layer.map(|delta| delta.descriptor.size()).min();
        update.deltas += usize::from(smallest.is_some());
        update.bytes = update.bytes.saturating_add(smallest.unwrap_or(layer.descriptor.size()));
    }
    Ok((update.deltas > 0).then_some(update))
}

/// The artifacts that the place of the image `new` lists among its referrers, the newest first; without those of which
/// the list itself tells that they begin with an image that is not `wanted`.
pub(super) fn listed(
    source: &dyn ImageSource,
    new: &Digest,
    wanted: &dyn Fn(&Digest) -> bool,
) -> Result<Vec<Descriptor>> {
    let mut listed = source.referrers(new)?;
    listed.retain(is_listed_as_delta);
    listed.retain(|entry| listed_source_config(entry).is_none_or(|config| wanted(&config)));
    listed.reverse();
    listed.truncate(MAX_DELTAS);
    Ok(listed)
}

/// A source that stands for a manifest which its place lists.
struct Listed<'a> {
    source: &'a dyn ImageSource,
    entry: &'a Descriptor,
}

impl ImageSource for Listed<'_> {
    fn manifest(&self) -> Result<RawManifest> {
        self.source.manifest_of(self.entry)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        self.source.blob(descriptor)
    }

    fn unpacked(&self, layer: &Descriptor) -> Result<Option<Box<dyn UnpackedLayer + '_>>> {
        self.source.unpacked(layer)
    }

    fn blob_part(&self, descriptor: &Descriptor, part: Range<u64>) -> Result<Option<Box<dyn Read + Send>>> {
        self.source.blob_part(descriptor, part)
    }

    fn blob_parts(&self, descriptor: &Descriptor, parts: &[Range<u64>]) -> Result<Option<Vec<Vec<u8>>>> {
        self.source.blob_parts(descriptor, parts)
    }
}
