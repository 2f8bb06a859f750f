//! Pulls the commit out of an image.
//!
//! ```text
//! manifest ► config ► plan ► layer 0: commit ► signature ► metadata, content
//!                            chunks, several at once: content, and nothing that the commit does not name
//! ```
//! Everything is verified: manifest, configuration, blobs and tar streams by their digests, the commit by
//! its signature before anything is written, every object by its checksum, and that none is missing.
//! Nothing becomes visible before the caller commits the transaction; after an error it is to be dropped.

use std::collections::{BTreeSet, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use oci_spec::image::Arch;
use ostree_format::{CommitId, FileId, ObjectName};

use super::decompress::read_layer;
use super::digest::Digest;
use super::error::{Error, Result};
use super::image::ImageSource;
use super::plan::{Image, LayerPlan, PlannedLayer};
use crate::base::{Ctx, Event, Pool, Progress, with_pool};
use crate::store::{Completeness, Txn};
use crate::tar::{self, ContentErrorKind, ImportOptions, VerifyCommit, import_commit_layer, import_objects};

/// Layers that are read at the same time, at most: each needs a few megabytes.
const MAX_PARALLEL_LAYERS: usize = 3;

/// How the commit's signature is checked.
#[derive(Clone, Copy, Default)]
pub enum Signatures<'a> {
    /// Nobody said: the pull stops before it begins.
    #[default]
    Undecided,
    /// This has to accept the commit.
    Verify(&'a VerifyCommit<'a>),
    /// Any commit is taken.
    Unverified,
}

/// How an image is pulled.
#[derive(Clone, Default)]
pub struct PullOptions<'a> {
    /// Who vouches for the commit.
    pub signatures: Signatures<'a>,
    /// Which of several images to take; otherwise the one for the machines that this program was compiled
    /// for.
    pub architecture: Option<Arch>,
}

/// What was pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulled {
    /// The commit, which is in the transaction with everything that belongs to it.
    pub commit: CommitId,
    /// The digest of the image's manifest.
    pub manifest: Digest,
}

/// Pulls the commit out of an image into `txn`. No ref is set.
///
/// # Errors
/// [`Error::NoSignaturePolicy`] if `options` do not say how to check the signature; [`Error::Tar`] with
/// [`tar::Error::Refused`] if it is not accepted; [`Error::Unsupported`] for an image without a commit or
/// with derived layers; whatever is damaged or missing is named.
pub fn pull(source: &dyn ImageSource, txn: &dyn Txn, options: &PullOptions<'_>, ctx: &Ctx) -> Result<Pulled> {
    let verify = match options.signatures {
        Signatures::Undecided => return Err(Error::NoSignaturePolicy),
        Signatures::Verify(verify) => Some(verify),
        Signatures::Unverified => None,
    };
    let image = Image::fetch(source, &options.architecture.clone().unwrap_or_default())?;
    let plan = image.plan()?;
    if let Some(layer) = plan.derived.first() {
        let why = format!(
            "image {} has {} layers on top of its commit, the first is {}: derived images cannot be pulled yet",
            image.digest,
            plan.derived.len(),
            layer.descriptor.digest()
        );
        return Err(Error::Unsupported(why));
    }
    let bytes = image.manifest.layers().iter().map(|l| l.size()).sum();
    ctx.phase("Pulling image", None, Some(bytes));
    let commit = pull_commit(source, txn, &plan, verify, ctx)?;
    Ok(Pulled { commit, manifest: image.digest })
}

fn pull_commit(
    source: &dyn ImageSource,
    txn: &dyn Txn,
    plan: &LayerPlan,
    verify: Option<&VerifyCommit<'_>>,
    ctx: &Ctx,
) -> Result<CommitId> {
    let import = ImportOptions { verify };
    let (layer, objects) = (&plan.ostree, objects_only(ctx));
    let imported = read_layer(source, &layer.descriptor, &layer.diff_id, ctx, |stream| {
        import_commit_layer(stream, txn, &import, &objects).map_err(Error::from)
    })?;
    let commit = imported.commit;
    if let Some(promised) = plan.commit
        && promised != commit
    {
        return Err(Error::Image(format!("the labels promise commit {promised}, the image holds {commit}")));
    }
    let found = pull_chunks(source, txn, &plan.chunks, &imported.elsewhere, ctx)?;
    let mut missing = Vec::new();
    for id in imported.elsewhere.difference(&found) {
        if !txn.contains(&(*id).into())? {
            missing.push(*id);
        }
    }
    if let Some(first) = missing.iter().min() {
        let kind = ContentErrorKind::Incomplete(ObjectName::from(*first), missing.len());
        return Err(tar::Error::Content(kind).into());
    }
    if !imported.elsewhere.is_empty() {
        txn.set_partial(&commit, Completeness::Complete)?;
    }
    Ok(commit)
}

/// Imports the chunks, several at once; returns the objects that were in them.
fn pull_chunks(
    source: &dyn ImageSource,
    txn: &dyn Txn,
    chunks: &[PlannedLayer],
    expected: &HashSet<FileId>,
    ctx: &Ctx,
) -> Result<HashSet<FileId>> {
    let parallel = ctx.jobs.get().min(MAX_PARALLEL_LAYERS).min(chunks.len()).max(1);
    let layer_ctx = with_jobs(ctx, ctx.jobs.get().div_ceil(parallel));
    let objects_ctx = objects_only(&layer_ctx);
    let found = Mutex::new(HashSet::new());
    // Weighed by number: so many are under way, and none waits.
    with_pool(&with_jobs(ctx, parallel), parallel as u64, |pool: &Pool<'_, Error>| {
        for layer in chunks {
            let (found, ctx, objects_ctx) = (&found, &layer_ctx, &objects_ctx);
            pool.submit(1, move || {
                let objects: BTreeSet<FileId> =
                    read_layer(source, &layer.descriptor, &layer.diff_id, ctx, |stream| {
                        import_objects(stream, txn, Some(expected), objects_ctx).map_err(Error::from)
                    })?;
                found.lock().unwrap_or_else(PoisonError::into_inner).extend(objects);
                Ok(())
            })?;
        }
        pool.wait()
    })?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn with_jobs(ctx: &Ctx, jobs: usize) -> Ctx {
    Ctx { jobs: NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MIN), ..ctx.clone() }
}

/// Reports objects without their bytes: those of the blobs are counted, which are known beforehand.
struct ObjectsOnly(Arc<dyn Progress>);

impl Progress for ObjectsOnly {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Done { objects: 0, .. } => {}
            Event::Done { objects, .. } => self.0.event(Event::Done { objects, bytes: 0 }),
            other => self.0.event(other),
        }
    }
}

fn objects_only(ctx: &Ctx) -> Ctx {
    Ctx { progress: Arc::new(ObjectsOnly(Arc::clone(&ctx.progress))), ..ctx.clone() }
}
