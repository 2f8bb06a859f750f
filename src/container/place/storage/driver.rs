//! How a store keeps the files of layers.

use cap_std::fs::Dir;

use crate::container::image::{Error, Result};

/// The ways in which files of layers can be read in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    /// Each layer's own files in a directory.
    Overlay,
    /// In each layer's directory its own files and those of the layers below.
    Vfs,
}

/// Drivers of containers/storage that need more than a look into a directory.
const OTHERS: [&str; 5] = ["btrfs", "zfs", "aufs", "devicemapper", "windowsfilter"];

impl Driver {
    pub(super) fn named(name: &str) -> Result<Self> {
        match name {
            "overlay" | "overlay2" => Ok(Self::Overlay),
            "vfs" => Ok(Self::Vfs),
            other => Err(unsupported(other)),
        }
    }

    /// The driver whose directories are there.
    pub(super) fn of_store(roots: &[Dir]) -> Result<Self> {
        let has = |name: &str| roots.iter().any(|root| root.is_dir(format!("{name}-images")));
        match [Self::Overlay, Self::Vfs].into_iter().find(|driver| has(driver.name())) {
            Some(driver) => Ok(driver),
            None => match OTHERS.into_iter().find(|other| has(other)) {
                Some(other) => Err(unsupported(other)),
                None => Ok(Self::Overlay),
            },
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Vfs => "vfs",
        }
    }

    /// The directory with the files of a layer.
    pub(super) fn files_of(self, id: &str) -> String {
        match self {
            Self::Overlay => format!("overlay/{id}/diff"),
            Self::Vfs => format!("vfs/dir/{id}"),
        }
    }

    /// The directory that says that a layer's files lie under their digests and not under their names.
    pub(super) fn composefs_of(self, id: &str) -> Option<String> {
        (self == Self::Overlay).then(|| format!("overlay/{id}/composefs-data"))
    }
}

fn unsupported(driver: &str) -> Error {
    let why = "only stores of the drivers overlay and vfs are read in place; 'skopeo copy' takes images out of others";
    Error::Unsupported(format!("podman's store has the driver {driver:?}: {why}"))
}
