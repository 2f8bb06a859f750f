//! The images that were asked for: documents in memory, digests of layers, and who makes more.
//!
//! ```text
//! commit ─► known? ─┬─ yes ─► documents
//!                   └─ no ──► a maker builds it once, whoever else asks for it waits for the same
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use crossbeam_channel::Sender;
use ostree_format::CommitId;
use tokio::sync::{OnceCell, oneshot};

use super::makers::Job;
use crate::container::image::Digest;
use crate::serve::shelf::Maker;

/// Images whose documents are kept, at most.
const MAX_IMAGES: usize = 64;

/// An image of a commit, but for its layers.
#[derive(Debug)]
pub(in crate::serve) struct ServedImage {
    pub(super) commit: CommitId,
    pub(super) manifest: Bytes,
    /// The digest of the manifest.
    pub(super) digest: Digest,
    pub(super) config: Bytes,
    pub(super) config_digest: Digest,
    /// In the order of the manifest, which is that of the recipes.
    pub(super) layers: Vec<ServedLayer>,
}

/// A layer that can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::serve) struct ServedLayer {
    /// The number of its recipe.
    pub(super) number: usize,
    pub(super) digest: Digest,
    pub(super) size_bytes: u64,
}

/// The images that were asked for.
#[derive(Debug)]
pub(in crate::serve) struct Images {
    jobs: Sender<Job>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    images: HashMap<CommitId, Entry>,
    /// Counts every use.
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    image: Arc<OnceCell<Arc<ServedImage>>>,
    used: u64,
}

impl Images {
    pub(in crate::serve) fn new(jobs: Sender<Job>) -> Self {
        Self { jobs, known: Mutex::default() }
    }

    /// The image of a commit. An error is a text for whoever runs the server.
    pub(super) async fn of(&self, commit: &CommitId) -> Result<Arc<ServedImage>, String> {
        let cell = self.lock().cell(commit);
        let image = cell.get_or_try_init(|| async {
            let (reply, image) = oneshot::channel();
            self.send(Job::Describe { commit: *commit, reply })?;
            image.await.map_err(|_| ENDING.to_owned())?
        });
        Ok(Arc::clone(image.await?))
    }

    /// The image with this manifest, if it was asked for lately.
    pub(super) fn with_manifest(&self, digest: &Digest) -> Option<Arc<ServedImage>> {
        self.lock().find(|image| (image.digest == *digest).then_some(())).map(|(image, ())| image)
    }

    /// The image with this blob, if it was asked for lately, and the layer that it is; without one it is the
    /// configuration.
    pub(super) fn with_blob(&self, digest: &Digest) -> Option<(Arc<ServedImage>, Option<ServedLayer>)> {
        self.lock().find(|image| match image.config_digest == *digest {
            true => Some(None),
            false => image.layers.iter().find(|layer| layer.digest == *digest).map(|layer| Some(*layer)),
        })
    }

    /// Has a layer written again into `maker`.
    pub(super) fn make_again(&self, commit: CommitId, layer: ServedLayer, maker: Maker) {
        // If nobody takes it, the maker tells those who wait.
        let _ = self.send(Job::Layer { commit, layer, maker });
    }

    fn send(&self, job: Job) -> Result<(), String> {
        self.jobs.send(job).map_err(|_| ENDING.to_owned())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const ENDING: &str = "the server is ending";

impl Known {
    fn cell(&mut self, commit: &CommitId) -> Arc<OnceCell<Arc<ServedImage>>> {
        self.uses += 1;
        if !self.images.contains_key(commit) && self.images.len() >= MAX_IMAGES {
            let oldest = self.images.iter().min_by_key(|(_, entry)| entry.used).map(|(commit, _)| *commit);
            oldest.and_then(|oldest| self.images.remove(&oldest));
        }
        let entry = self.images.entry(*commit).or_insert_with(|| Entry { image: Arc::default(), used: 0 });
        entry.used = self.uses;
        Arc::clone(&entry.image)
    }

    fn find<T>(&mut self, wanted: impl Fn(&ServedImage) -> Option<T>) -> Option<(Arc<ServedImage>, T)> {
        self.uses += 1;
        self.images.values_mut().find_map(|entry| {
            let image = entry.image.get()?;
            let found = wanted(image)?;
            entry.used = self.uses;
            Some((Arc::clone(image), found))
        })
    }
}
