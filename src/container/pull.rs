//! Pulls the commit out of an image.
//!
//! ```text
//! manifest ► config ► plan ► layers (see `import`) ► commit
//!                     │                            └ plain layers on top of it: merge commit
//!                     └ without those that an earlier pull brought (see `pulled_layers`, `resume`)
//! ```
//! Everything is verified: manifest, configuration, blobs and tar streams by their digests, the commit by
//! its signature before anything is written, every object by its checksum, and that none is missing.
//! Nothing becomes visible before the caller commits the transaction; after an error it is to be dropped.

use oci_spec::image::Arch;
use ostree_format::CommitId;

use super::digest::Digest;
use super::error::{Error, Result};
use super::image::ImageSource;
use super::import::{Layers, Taken, Taking, take};
use super::merge::merge;
use super::plan::{Image, LayerPlan};
use super::pulled_layers::{PulledLayers, Reusable};
use super::resume::Resuming;
use super::store::write_merge_commit;
use crate::base::Ctx;
use crate::store::Txn;
use crate::tar::{Var, VerifyCommit};

/// How the commit's signature is checked.
#[derive(Clone, Copy, Default)]
pub enum Signatures<'a> {
    /// Nobody said: the pull stops before it begins.
    #[default]
    Undecided,
    /// This has to accept the commit. It vouches for nothing else: an image with plain layers is refused.
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
    /// What happens to `var` of plain layers.
    pub var: Var,
}

/// What was pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulled {
    /// The commit, which is in the transaction with everything that belongs to it.
    pub commit: CommitId,
    /// The digest of the image's manifest.
    pub manifest: Digest,
    /// Layers that were fetched.
    pub fetched: usize,
    /// Their bytes, compressed.
    pub fetched_bytes: u64,
    /// Layers that were there.
    pub reused: usize,
}

/// Pulls the commit out of an image into `txn`; of an image with plain layers, a commit of all layers
/// together. No ref is set.
///
/// Layers of the commit that an earlier pull brought into the same store are not fetched, as long as their
/// objects are there: the store's cache tells ([`Txn::cached`]).
///
/// # Errors
/// [`Error::NoSignaturePolicy`] if `options` do not say how to check the signature; [`Error::Tar`] with
/// [`tar::Error::Refused`](crate::tar::Error::Refused) if it is not accepted; [`Error::UnsignedLayers`];
/// whatever is damaged or missing is named.
pub fn pull(source: &dyn ImageSource, txn: &dyn Txn, options: &PullOptions<'_>, ctx: &Ctx) -> Result<Pulled> {
    options.signatures.decided()?;
    let image = Image::fetch(source, &options.architecture.clone().unwrap_or_default())?;
    let plan = image.plan()?;
    let before = PulledLayers::read(txn);
    let reusable = before.reusable(&plan, txn);
    let attempt = |layers: &Reusable| take_image(&image, &plan, source, txn, options, layers, ctx);
    let mut taken = match attempt(&reusable) {
        Err(error) if reusable.may_have_caused(&error, &plan) => attempt(&Reusable::default())?,
        taken => taken?,
    };
    let commit = match (taken.base, &plan.derived[..]) {
        (Some(base), []) => base,
        (base, _) => {
            let root = merge(source, txn, &mut taken, ctx)?;
            write_merge_commit(txn, &image, base, root)?
        }
    };
    if let Some(base) = taken.base {
        before.note(&plan, base, txn);
    }
    let (fetched, reused): (Vec<_>, Vec<_>) = taken.layers.iter().partition(|layer| layer.fetched);
    Ok(Pulled {
        commit,
        manifest: image.digest,
        fetched: fetched.len(),
        fetched_bytes: fetched.iter().map(|layer| layer.layer.descriptor.size()).sum(),
        reused: reused.len(),
    })
}

impl<'a> Signatures<'a> {
    /// Who decides, if anybody has to.
    pub(super) fn decided(self) -> Result<Option<&'a VerifyCommit<'a>>> {
        match self {
            Signatures::Undecided => Err(Error::NoSignaturePolicy),
            Signatures::Verify(verify) => Ok(Some(verify)),
            Signatures::Unverified => Ok(None),
        }
    }
}

/// Takes in all layers of an image, apart from those that are known or were finished by an interrupted pull.
pub(super) fn take_image(
    image: &Image,
    plan: &LayerPlan,
    source: &dyn ImageSource,
    txn: &dyn Txn,
    options: &PullOptions<'_>,
    layers: &dyn Layers,
    ctx: &Ctx,
) -> Result<Taken> {
    let verify = options.signatures.decided()?;
    if verify.is_some() {
        only_of_commit(image, plan)?;
    }
    let attempt = |layers: &dyn Layers| {
        let mut bytes = 0;
        for layer in image.layers()? {
            if layers.known(&layer)?.is_none() {
                bytes += layer.descriptor.size();
            }
        }
        ctx.phase("Pulling image", None, Some(bytes));
        take(plan, &Taking { source, txn, verify, layers, var: options.var }, ctx)
    };
    let resuming = Resuming::new(layers, txn, image, plan, options.var);
    match attempt(&resuming) {
        Err(error) if resuming.may_have_caused(&error) => attempt(&resuming.anew()),
        taken => taken,
    }
}

/// A signed commit vouches for no other layers.
pub(super) fn only_of_commit(image: &Image, plan: &LayerPlan) -> Result<()> {
    match plan.ostree.is_some() && plan.derived.is_empty() {
        true => Ok(()),
        false => Err(Error::UnsignedLayers { image: image.digest, layers: plan.derived.len() }),
    }
}
