//! Which layers two images share.

use std::collections::{BTreeSet, HashSet};

use oci_spec::image::Descriptor;

use super::packages::Components;
use crate::container::image::COMPONENTS;

/// The layers of two images, by their digests.
#[derive(Debug, Clone, Default)]
pub struct LayersDiff {
    /// The layers of the newer image that the older one has, too.
    pub shared: Vec<Descriptor>,
    /// The layers that only the newer image has.
    pub added: Vec<Descriptor>,
    /// The layers that only the older image has.
    pub removed: Vec<Descriptor>,
}

impl LayersDiff {
    /// Compares the layers of two images.
    pub fn between<'a>(
        old: impl IntoIterator<Item = &'a Descriptor>,
        new: impl IntoIterator<Item = &'a Descriptor>,
    ) -> Self {
        let (old, new): (Vec<_>, Vec<_>) = (old.into_iter().collect(), new.into_iter().collect());
        let digests = |layers: &[&Descriptor]| -> HashSet<String> {
            layers.iter().map(|layer| layer.digest().to_string()).collect()
        };
        let (of_old, of_new) = (digests(&old), digests(&new));
        let is_in = |layer: &Descriptor, set: &HashSet<String>| set.contains(&layer.digest().to_string());
        let (shared, added) = new.iter().copied().cloned().partition(|layer| is_in(layer, &of_old));
        let removed = old.into_iter().filter(|layer| !is_in(layer, &of_new)).cloned().collect();
        Self { shared, added, removed }
    }

    /// The bytes of layers, compressed.
    pub fn bytes(layers: &[Descriptor]) -> u64 {
        layers.iter().map(Descriptor::size).sum()
    }

    /// Whether a layer is in both images.
    pub(super) fn is_shared(&self, layer: &Descriptor) -> bool {
        self.shared.iter().any(|shared| shared.digest() == layer.digest())
    }

    /// What the annotations of layers say about the components in them.
    pub(super) fn components(&self) -> Components {
        let names = |layers: &[Descriptor]| -> BTreeSet<String> {
            let of = |layer: &Descriptor| layer.annotations().as_ref()?.get(COMPONENTS).cloned();
            let lists = layers.iter().filter_map(of);
            lists.flat_map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>()).collect()
        };
        let (shared, added, removed) = (names(&self.shared), names(&self.added), names(&self.removed));
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
            a.iter().filter(|name| !b.contains(*name) && !shared.contains(*name)).cloned().collect()
        };
        Components {
            added: only(&added, &removed),
            removed: only(&removed, &added),
            in_changed_layers: added.intersection(&removed).cloned().collect(),
        }
    }
}
