//! Which packages two images have, or two commits.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::container::build::chunks::database::installed::{Packages, Part, add};

/// The packages that differ, by the databases of dpkg, rpm, apk and pacman in two images or commits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PackagesDiff {
    /// Packages that only the newer image has.
    pub added: Vec<Package>,
    /// Packages that only the older image has.
    pub removed: Vec<Package>,
    /// Packages that both have, in different versions.
    pub changed: Vec<ChangedPackage>,
}

/// A package of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Package {
    /// The name.
    pub name: String,
    /// The version, as the database has it; several with commas, where it is there in several.
    pub version: String,
}

/// A package of both images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedPackage {
    /// The name.
    pub name: String,
    /// The version in the older image.
    pub from: String,
    /// The version in the newer image.
    pub to: String,
}

/// The components that the layers of two images name in their annotation `ostree.components`: names without versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Components {
    /// Components that only the newer image has.
    pub added: BTreeSet<String>,
    /// Components that only the older image has.
    pub removed: BTreeSet<String>,
    /// Components that both have, in layers that differ: some of them changed.
    pub in_changed_layers: BTreeSet<String>,
}

impl Components {
    /// Whether no layer that differs names any.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.in_changed_layers.is_empty()
    }
}

/// The databases of an image, as far as they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found(pub(super) BTreeMap<Part, Packages>);

impl Found {
    /// Adds what a file of a database, or the name of a directory, says.
    pub(super) fn add(&mut self, part: Part, content: &[u8]) {
        add(part, content, self.0.entry(part).or_default());
    }

    /// All packages.
    fn packages(self) -> Packages {
        let mut all = Packages::new();
        for (name, versions) in self.0.into_values().flatten() {
            all.entry(name).or_default().extend(versions);
        }
        all
    }
}

impl PackagesDiff {
    /// What differs, if one of the two has a database.
    pub(super) fn known(old: Found, new: Found) -> Option<Self> {
        (!old.0.is_empty() || !new.0.is_empty()).then(|| Self::between(old, new))
    }

    fn between(old: Found, new: Found) -> Self {
        let (old, new) = (&old.packages(), &new.packages());
        let version = |versions: &BTreeSet<String>| versions.iter().cloned().collect::<Vec<_>>().join(", ");
        let only = |a: &Packages, b: &Packages| {
            let only = a.iter().filter(|(name, _)| !b.contains_key(*name));
            only.map(|(name, versions)| Package { name: name.clone(), version: version(versions) }).collect()
        };
        let both = old.iter().filter_map(|(name, from)| Some((name, from, new.get(name)?)));
        let changed = both.filter(|(_, from, to)| from != to).map(|(name, from, to)| ChangedPackage {
            name: name.clone(),
            from: version(from),
            to: version(to),
        });
        Self { added: only(new, old), removed: only(old, new), changed: changed.collect() }
    }
}
