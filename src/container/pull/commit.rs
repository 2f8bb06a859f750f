//! Pulls the commit out of an image.
//!
//! ```text
//! manifest ► config ► plan ► layers (see `take`) ► commit
//!                     │                            └ plain layers on top of it: merge commit
//!                     └ without those that an earlier pull brought (see `pulled_layers`, `resume`)
//! ```
//! Everything is verified: manifest, configuration, blobs and tar streams by their digests, the commit by
//! its signature before anything is written, every object by its checksum, and that none is missing.
//! Nothing becomes visible before all of it is there.

use ostree_format::{CommitId, RefSpec};

use super::merge::merge;
use super::pulled_layers::PulledLayers;
use super::resume::Resuming;
use super::take::{Taken, Taking, take};
use crate::base::Ctx;
use crate::container::image::{Digest, Error, Image, LayerPlan, Result};
use crate::container::store::{Layers, Origin, write_merge_commit};
use crate::container::trust::{Admitted, Verdict};
use crate::store::{Begin, Txn, Voucher, check_new_ref, in_resumed};
use crate::tar::Var;

/// Who vouches for the commit in an image.
#[derive(Clone, Copy, Default)]
pub enum Vouching<'a> {
    /// Nobody said: the pull stops before it begins.
    #[default]
    Undecided,
    /// Somebody who has to accept the commit, and vouches for nothing else: an image with plain layers is refused.
    By(&'a dyn Voucher),
    /// Nobody: any commit is taken.
    Nobody,
}

/// How an image is pulled.
#[derive(Clone, Default)]
pub struct PullOptions<'a> {
    /// Who vouches for the commit. Nobody has to, where a policy said that the image is signed.
    pub vouching: Vouching<'a>,
    /// The ref that shall name the commit.
    pub name: Option<RefSpec>,
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

/// Pulls the commit out of an image into `store`; of an image with plain layers, a commit of all layers together.
///
/// Layers of the commit that an earlier pull brought into the same store are not fetched, as long as their
/// objects are there: the store's cache tells ([`Txn::cached`]). What was finished when a pull fails is left to the
/// next one, unless it is refused: see [`give_up`](crate::store::give_up).
///
/// # Errors
/// [`Error::NoSignaturePolicy`] if nothing says who vouches for the commit; an error of the kind
/// [`Refused`](crate::base::ErrorKind::Refused) if that is refused; [`Error::UnsignedLayers`];
/// whatever is damaged or missing is named.
pub fn pull(image: &Admitted<'_>, store: &dyn Begin, options: &PullOptions<'_>, ctx: &Ctx) -> Result<Pulled> {
    options.vouching.decided(image)?;
    options.name.as_ref().map_or(Ok(()), check_new_ref)?;
    in_resumed(store, ctx, |txn| pull_into(txn, image, options, ctx))
}

fn pull_into(txn: &dyn Txn, source: &Admitted<'_>, options: &PullOptions<'_>, ctx: &Ctx) -> Result<Pulled> {
    let image = source.image()?;
    let plan = image.plan()?;
    let before = PulledLayers::read(txn);
    let reusable = before.reusable(&plan, txn)?;
    let mut taken = take_image(source, &plan, txn, options, &reusable, ctx)?;
    let commit = match (taken.base, plan.plain_layers()) {
        (Some(base), 0) => base,
        (base, _) => {
            let root = merge(source, txn, &mut taken, ctx)?;
            write_merge_commit(txn, image, base, root)?
        }
    };
    if let Some(base) = taken.base {
        before.note(&plan, base, txn);
    }
    if let Some(name) = &options.name {
        txn.set_ref(name, Some(commit))?;
    }
    let (fetched, reused): (Vec<_>, Vec<_>) =
        taken.layers.iter().partition(|layer| layer.origin == Origin::Fetched);
    Ok(Pulled {
        commit,
        manifest: image.digest,
        fetched: fetched.len(),
        fetched_bytes: fetched.iter().map(|layer| layer.layer.descriptor.size()).sum(),
        reused: reused.len(),
    })
}

impl<'a> Vouching<'a> {
    /// Who decides about the commit of `image`, if anybody has to.
    pub(in crate::container) fn decided(self, image: &Admitted<'_>) -> Result<Option<&'a dyn Voucher>> {
        match (self, image.verdict()) {
            (Self::By(voucher), _) => Ok(Some(voucher)),
            (Self::Nobody, _) | (Self::Undecided, Verdict::Signed) => Ok(None),
            (Self::Undecided, Verdict::Nothing) => Err(Error::NoSignaturePolicy),
        }
    }
}

/// Takes in all layers of an image, apart from those that are known or were finished by an interrupted pull.
pub(in crate::container) fn take_image(
    source: &Admitted<'_>,
    plan: &LayerPlan,
    txn: &dyn Txn,
    options: &PullOptions<'_>,
    layers: &dyn Layers,
    ctx: &Ctx,
) -> Result<Taken> {
    let (image, voucher) = (source.image()?, options.vouching.decided(source)?);
    if voucher.is_some() {
        only_of_commit(image, plan)?;
    }
    let bytes = image.manifest.layers().iter().map(|layer| layer.size()).sum();
    ctx.phase("Pulling image", None, Some(bytes));
    let layers = &Resuming::new(layers, txn);
    take(plan, &Taking { source, txn, voucher, layers, var: options.var }, ctx)
}

/// A signed commit vouches for no other layers.
pub(in crate::container) fn only_of_commit(image: &Image, plan: &LayerPlan) -> Result<()> {
    match plan.commit_layer().is_some() && plan.plain_layers() == 0 {
        true => Ok(()),
        false => Err(Error::UnsignedLayers { image: image.digest, layers: plan.plain_layers() }),
    }
}
