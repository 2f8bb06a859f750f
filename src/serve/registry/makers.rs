//! The threads that make images: what each layer's digest is, and layers again by their recipes.
//!
//! ```text
//! Describe ─► BuildPlan ─► every layer, once ─► digests, documents      layers stay on the shelf if there is room
//! Layer ────► its recipe ─► the shelf                                   the same bytes as before, which is checked
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use crossbeam_channel::Receiver;
use ostree_format::CommitId;
use tokio::sync::oneshot;

use super::images::{ServedImage, ServedLayer};
use crate::base::{Ctx, WithCauses};
use crate::container::blob::write_layer;
use crate::container::build::{BuildOptions, BuildPlan};
use crate::container::image::{Digest, Error, Result};
use crate::repo::Repo;
use crate::serve::shelf::{Maker, Shelf};

mod dest;

use dest::{Again, Fresh};

/// Plans that are kept: those of images whose layers are asked for.
const MAX_PLANS: usize = 8;

/// What a maker is asked to do.
#[derive(Debug)]
pub(in crate::serve) enum Job {
    /// Find out what the documents of an image say.
    Describe { commit: CommitId, reply: oneshot::Sender<Result<Arc<ServedImage>, String>> },
    /// Write a layer again.
    Layer { commit: CommitId, layer: ServedLayer, maker: Maker },
}

/// What the makers share.
pub(in crate::serve) struct Workshop<'r> {
    repo: &'r Repo,
    shelf: Arc<Shelf>,
    options: BuildOptions,
    ctx: Ctx,
    plans: Mutex<VecDeque<(CommitId, Arc<BuildPlan<'r>>)>>,
}

impl<'r> Workshop<'r> {
    pub(in crate::serve) fn new(repo: &'r Repo, shelf: Arc<Shelf>, options: BuildOptions, ctx: Ctx) -> Self {
        Self { repo, shelf, options, ctx, plans: Mutex::default() }
    }

    /// The plan of a commit's image.
    fn plan(&self, commit: &CommitId) -> Result<Arc<BuildPlan<'r>>> {
        let plans = || self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, plan)) = plans().iter().find(|(known, _)| known == commit) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(BuildPlan::new(self.repo, commit, &self.options, &self.ctx)?);
        let mut plans = plans();
        plans.truncate(MAX_PLANS - 1);
        plans.push_front((*commit, Arc::clone(&plan)));
        Ok(plan)
    }

    fn describe(&self, commit: &CommitId) -> Result<ServedImage> {
        let dest = Fresh::new(&self.shelf);
        self.plan(commit)?.write(&dest, &self.ctx)?;
        let image = dest.finish()?;
        let layers = image.manifest.layers().iter().enumerate().map(|(number, layer)| {
            Ok(ServedLayer { number, digest: Digest::of_descriptor(layer)?, size_bytes: layer.size() })
        });
        Ok(ServedImage {
            commit: *commit,
            layers: layers.collect::<Result<_>>()?,
            manifest: Bytes::from(image.bytes),
            digest: image.digest,
            config: Bytes::from(image.config),
            config_digest: Digest::of_descriptor(image.manifest.config())?,
        })
    }

    fn make_again(&self, commit: &CommitId, layer: &ServedLayer, maker: Maker) -> Result<()> {
        let plan = self.plan(commit)?;
        let recipe = plan.layers().get(layer.number);
        let recipe = recipe.ok_or_else(|| Error::Image("the image has fewer layers by now".into()))?;
        let dest = Again::new(layer.digest, maker);
        write_layer(&dest, self.options.compression, &self.ctx, |out| recipe.write_stream(out, &self.ctx))?;
        Ok(())
    }
}

/// Does what is asked for until nobody can ask any more.
pub(in crate::serve) fn work(jobs: &Receiver<Job>, workshop: &Workshop<'_>) {
    for job in jobs {
        match job {
            Job::Describe { commit, reply } => {
                let image =
                    workshop.describe(&commit).map(Arc::new).map_err(|error| WithCauses(&error).to_string());
                // Whoever asked may be gone.
                let _ = reply.send(image);
            }
            Job::Layer { commit, layer, maker } => {
                if let Err(error) = workshop.make_again(&commit, &layer, maker) {
                    tracing::warn!(layer = %layer.digest, error = %WithCauses(&error), "layer cannot be made again");
                }
            }
        }
    }
}
