//! Deltas that begin with what is here already, for whoever pulls an image.
//!
//! ```text
//! referrers of the new image ► artifacts that begin with one of the old images  ┐ for each layer
//! tag _deltaindex, if there are none ► deltas that begin with one of their layers ┘ the smallest
//! ```
//! Nothing of it is believed: a delta that lies makes a stream with another diffid.

use std::collections::HashMap;

use oci_spec::image::Descriptor;
use ostree_format::CommitId;

use super::artifact::{Head, is_delta};
use super::{beside, index};
use crate::base::WithCauses;
use crate::container::image::{DiffId, Digest, Error, Image, ImageSource, Result};

/// An image whose files are here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::container) struct OldImage {
    /// The commit with all its files.
    pub(in crate::container) commit: CommitId,
    /// The digest of the configuration.
    pub(in crate::container) config: Digest,
    /// The diffids of the layers, lowest first.
    pub(in crate::container) layers: Vec<DiffId>,
}

/// The delta of a layer.
#[derive(Debug, Clone)]
pub(in crate::container) struct LayerDelta {
    /// The stream.
    pub(in crate::container) descriptor: Descriptor,
    /// The commit with the files that it refers to.
    pub(in crate::container) from: CommitId,
    /// Bytes of the stream that are here already.
    pub(in crate::container) here: u64,
}

impl LayerDelta {
    /// Bytes that are to be fetched.
    pub(in crate::container) fn to_fetch(&self) -> u64 {
        self.descriptor.size().saturating_sub(self.here)
    }
}

/// The smallest delta to each layer of `new` that begins with one of the `old` images.
///
/// # Errors
/// What the source says. Artifacts and lists that make no sense are passed over.
pub(in crate::container) fn layer_deltas(
    source: &dyn ImageSource,
    old: &[OldImage],
    new: &Image,
) -> Result<HashMap<DiffId, LayerDelta>> {
    let mut found = Found(HashMap::new());
    if old.is_empty() {
        return Ok(found.0);
    }
    let layers = new.layers()?;
    let with_config = |config: &Digest| old.iter().find(|old| old.config == *config);
    for entry in beside::listed(source, &new.digest, &|config| with_config(config).is_some())? {
        let head = match source.manifest_of(&entry).and_then(|raw| Head::parse(&raw)) {
            Ok(head) => head,
            Err(error) => {
                passed_over(error, entry.digest().as_ref())?;
                continue;
            }
        };
        let Some(old) = with_config(&head.source_config).filter(|_| head.target == new.digest) else {
            continue;
        };
        for delta in head.layers.iter().filter(|delta| delta.is_delta()) {
            let to =
                layers.iter().find(|layer| layer.descriptor.digest().to_string() == delta.to.to_string());
            to.iter().for_each(|to| found.add(to.diff_id, &delta.descriptor, old.commit));
        }
    }
    if found.0.is_empty() {
        let listed = index::listed(source, &new.digest).or_else(|error| {
            passed_over(error, index::INDEX_TAG)?;
            Ok::<_, Error>(Vec::new())
        })?;
        for delta in listed.iter().filter(|delta| is_delta(&delta.descriptor)) {
            let old = old.iter().find(|old| old.layers.contains(&delta.from));
            old.iter().for_each(|old| found.add(delta.to, &delta.descriptor, old.commit));
        }
    }
    Ok(found.0)
}

/// An error of something that may as well not be there; one that ends the work is given back.
pub(super) fn passed_over(error: Error, what: &str) -> Result<()> {
    if matches!(error, Error::Cancelled(_)) {
        return Err(error);
    }
    tracing::debug!(what, error = %WithCauses(&error), "passed over");
    Ok(())
}

struct Found(HashMap<DiffId, LayerDelta>);

impl Found {
    fn add(&mut self, to: DiffId, descriptor: &Descriptor, from: CommitId) {
        if self.0.get(&to).is_none_or(|best| descriptor.size() < best.descriptor.size()) {
            self.0.insert(to, LayerDelta { descriptor: descriptor.clone(), from, here: 0 });
        }
    }
}
