//! Pulls the commit out of an image.
//!
//! ```text
//! manifest ► config ► plan ► layers (see `take`) ► commit
//!                     │                            └ plain layers on top of it: merge commit
//!                     └ without those that an earlier pull brought (see `pulled_layers`, `resume`)
//! ```
//! An image on a base goes another way: see `on_base`. See [the module](super) for what is verified.

use ostree_format::CommitId;

use super::by_delta::PulledImages;
use super::merge::{Arrange, merge};
use super::on_base::take_on_base;
use super::options::PullOptions;
use super::pulled_layers::PulledLayers;
use super::take::take;
use crate::base::Ctx;
use crate::container::convert::Arranged;
use crate::container::image::{Digest, Image, Result};
use crate::container::store::{LayerCounts, PulledLayer, TakenLayer, write_merge_commit};
use crate::container::trust::Admitted;
use crate::store::{Begin, Txn, check_new_ref, in_resumed};

/// The result of pulling a commit out of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The commit, which is in the transaction with everything that belongs to it.
    pub commit: CommitId,
    /// The digest of the image's manifest.
    pub manifest: Digest,
    /// The number of layers that were fetched.
    pub fetched: usize,
    /// The bytes that were fetched of them, compressed.
    pub fetched_bytes: u64,
    /// The number of layers that were there already.
    pub reused: usize,
    /// Every layer, lowest first, and what was fetched for it.
    pub layers: Vec<PulledLayer>,
    /// What became of the files of an image without a commit: see [`container::convert`](crate::container::convert).
    pub arranged: Option<Arranged>,
}

/// Pulls the commit out of an image into `store`; of an image with plain layers on top of it, a commit of all layers
/// together. An image that was never ostree's becomes a commit as [`convert`](super::convert()) makes it.
///
/// Layers of the commit that an earlier pull brought into the same store are not fetched, as long as their objects are
/// there: the store's cache tells ([`Hints::cached`](crate::store::Hints::cached)). What was finished when a pull fails
/// is left to the next one, unless it is refused: see [`give_up`](crate::store::give_up).
///
/// # Errors
/// [`NoSignaturePolicy`](crate::container::image::Error::NoSignaturePolicy) if nothing says who vouches for the commit;
/// an error of the kind [`Refused`](crate::base::ErrorKind::Refused) if that is refused;
/// [`UnsignedLayers`](crate::container::image::Error::UnsignedLayers); whatever is damaged or missing is named.
pub fn pull(image: &Admitted<'_>, store: &dyn Begin, options: &PullOptions<'_>, ctx: &Ctx) -> Result<Pulled> {
    options.vouching.decided(image)?;
    options.name.as_ref().map_or(Ok(()), check_new_ref)?;
    in_resumed(store, ctx, |txn| pull_into(txn, image, options, ctx))
}

fn pull_into(txn: &dyn Txn, source: &Admitted<'_>, options: &PullOptions<'_>, ctx: &Ctx) -> Result<Pulled> {
    let image = &source.image()?.without_server();
    let (commit, layers, arranged) = match image.on_base()? {
        Some(on_base) => {
            let layers = take_on_base(txn, source, &on_base, options.vouching, ctx)?;
            (on_base.commit, layers, None)
        }
        None => take_commit(txn, source, image, options, ctx)?,
    };
    PulledImages::read(txn).note(source.image()?, commit, txn)?;
    if let Some(name) = &options.name {
        txn.set_ref(name, Some(commit))?;
    }
    let LayerCounts { fetched, fetched_bytes, reused } = LayerCounts::of(&layers);
    Ok(Pulled { commit, manifest: image.digest, fetched, fetched_bytes, reused, layers, arranged })
}

/// Takes the layers in and lays plain ones over the commit: gives the commit of all of them, what was fetched for each, and what
/// became of the files of an image without a commit.
fn take_commit(
    txn: &dyn Txn,
    source: &Admitted<'_>,
    image: &Image,
    options: &PullOptions<'_>,
    ctx: &Ctx,
) -> Result<(CommitId, Vec<PulledLayer>, Option<Arranged>)> {
    let plan = image.plan()?;
    let before = PulledLayers::read(txn);
    let reusable = before.reusable(&plan, txn)?;
    let mut taken = take(source, &plan, txn, options, &reusable, ctx)?;
    let (commit, arranged) = match (taken.base, plan.plain_layers()) {
        (Some(base), 0) => (base, None),
        (base, _) => {
            let merged = merge(source, txn, &mut taken, Arrange::Yes, ctx)?;
            let boot = merged.arranged.as_ref().map(Arranged::metadata).unwrap_or_default();
            (write_merge_commit(txn, image, base, merged.root, boot)?, merged.arranged)
        }
    };
    if let Some(base) = taken.base {
        before.note(&plan, base, txn);
    }
    Ok((commit, taken.layers.iter().map(TakenLayer::report).collect::<Result<_>>()?, arranged))
}
