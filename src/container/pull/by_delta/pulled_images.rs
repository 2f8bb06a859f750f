//! The images that earlier pulls brought: a hint, so that deltas which begin with them are found.
//!
//! ```text
//! COMMIT CONFIGURATION LAYER …     the commit with all files of an image, the digest of its configuration, and the diffids
//!                                  of its layers
//! ```
//! What a delta makes out of the commit's files has to have the diffid that the new image promises. Images of the image
//! store are known without.

use ostree_format::{Checksum, CommitId};

use crate::container::delta::OldImage;
use crate::container::image::{DiffId, Digest, Image, Result};
use crate::container::pull::hint::{OfPull, Pulls, is_marked_complete};
use crate::container::store;
use crate::store::Txn;

/// What the store remembers of pulls.
pub(in crate::container) struct PulledImages(Pulls<OldImage>);

impl PulledImages {
    /// What the store remembers; nothing, if the file is not exactly as one is written.
    pub(in crate::container) fn read(txn: &dyn Txn) -> Self {
        Self(Pulls::read(txn))
    }

    /// The images whose files are here: those of the file, and those of the image store.
    ///
    /// # Errors
    /// If refs cannot be read.
    pub(in crate::container::pull) fn usable(self, txn: &dyn Txn) -> Result<Vec<OldImage>> {
        let mut usable = self.0.0;
        for name in store::list(txn)? {
            // What cannot be read is of no use here.
            let stored = store::query(txn, &name).ok().flatten();
            usable.extend(stored.and_then(|stored| old_image(&stored.image, stored.commit).ok()));
        }
        usable.retain(|image| is_marked_complete(txn, &image.commit));
        Ok(usable)
    }

    /// Notes that `image` was pulled, and that `commit` has its files.
    ///
    /// # Errors
    /// [`Error::Image`](crate::container::image::Error::Image) if the documents of the image contradict themselves.
    pub(in crate::container) fn note(&self, image: &Image, commit: CommitId, txn: &dyn Txn) -> Result<()> {
        let new = old_image(image, commit)?;
        let config = new.config;
        self.0.remember(new, |other| other.config == config, txn);
        Ok(())
    }
}

fn old_image(image: &Image, commit: CommitId) -> Result<OldImage> {
    let config = Digest::of_descriptor(image.manifest.config())?;
    Ok(OldImage { commit, config, layers: image.layers()?.iter().map(|layer| layer.diff_id).collect() })
}

impl OfPull for OldImage {
    const FILE: &'static str = "ostree-rs-images";

    fn commit(&self) -> CommitId {
        self.commit
    }

    fn of_line(line: &[Checksum]) -> Option<Self> {
        let [commit, config, layers @ ..] = line else { return None };
        let layers = layers.iter().copied().map(DiffId::new).collect();
        Some(Self { commit: CommitId::new(*commit), config: Digest::new(*config), layers })
    }

    fn line(&self) -> impl Iterator<Item = Checksum> {
        let layers = self.layers.iter().map(|layer| *layer.checksum());
        [*self.commit.checksum(), *self.config.checksum()].into_iter().chain(layers)
    }
}
