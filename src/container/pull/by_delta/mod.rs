//! A layer by a delta that begins with what the store has.
//!
//! ```text
//! pulled_images   which images were pulled ► deltas that begin with one of them, looked for once in each pull
//! delta ─ apply ─┬► tar stream ► diffid                            nothing of it is ever on the disk
//!    old_files ──┘      └► objects, files: read and verified as those of a fetched layer
//! ```
//! It is chosen where it has fewer bytes than what would be fetched otherwise. A delta is a claim as everything else is:
//! one that lies, or whose old files are damaged, costs time, and then the layer comes in another way. One delta is
//! applied at a time: what it refers back to takes memory.

mod old_files;
mod pulled_images;

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::old_files::CommitFiles;
pub(super) use self::pulled_images::PulledImages;
use super::objectwise::chosen;
use crate::base::{Ctx, ErrorKind, Item, Kind};
use crate::container::blob::{Reported, read_made};
use crate::container::delta::{ApplyLimits, LayerDelta, apply, layer_deltas};
use crate::container::image::{DiffId, Error, Image, ImageLayer, ImageSource, Result};
use crate::container::store::{Fetched, Way};
use crate::store::Txn;

/// Layers of no more bytes are fetched as they are: asking for deltas takes as long.
const MIN_LAYER_BYTES: u64 = 64 * 1024;

/// What a delta to a layer of so many bytes may make, and read of old files: hardly a layer is compressed so well.
const fn limits(layer_bytes: u64) -> ApplyLimits {
    ApplyLimits { max_bytes: layer_bytes.saturating_mul(100).saturating_add(64 << 20) }
}

/// The deltas to the layers of an image that is pulled.
pub(in crate::container) struct Deltas<'a> {
    source: &'a dyn ImageSource,
    image: &'a Image,
    txn: &'a dyn Txn,
    /// The deltas that there are, once they were looked for.
    found: Mutex<Option<Arc<HashMap<DiffId, LayerDelta>>>>,
    applying: Mutex<()>,
}

impl<'a> Deltas<'a> {
    /// The deltas to the layers of `image` in `source`; nothing is asked for yet.
    pub(super) fn new(source: &'a dyn ImageSource, image: &'a Image, txn: &'a dyn Txn) -> Self {
        Self { source, image, txn, found: Mutex::new(None), applying: Mutex::new(()) }
    }

    /// The delta to a layer, if there is one with fewer bytes than the layer.
    ///
    /// # Errors
    /// What ends the pull: the work was told to stop, or the network is gone.
    pub(super) fn of(&self, layer: &ImageLayer) -> Result<Option<LayerDelta>> {
        let size = layer.descriptor.size();
        if size <= MIN_LAYER_BYTES {
            return Ok(None);
        }
        let found = self.found()?.get(&layer.diff_id).cloned();
        Ok(found.filter(|delta| delta.descriptor.size() < size))
    }

    fn found(&self) -> Result<Arc<HashMap<DiffId, LayerDelta>>> {
        let mut found = lock(&self.found);
        if let Some(found) = &*found {
            return Ok(Arc::clone(found));
        }
        let old = PulledImages::read(self.txn).usable(self.txn)?;
        let deltas = match layer_deltas(self.source, &old, self.image) {
            Ok(deltas) => deltas,
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "deltas cannot be looked for");
                HashMap::new()
            }
        };
        Ok(Arc::clone(found.insert(Arc::new(deltas))))
    }

    /// Lets `consume` read the layer that `delta` makes; `None` if it makes another one, or none. So many bytes of the layer
    /// were fetched `before` that was known to be the best way.
    ///
    /// # Errors
    /// As [`Deltas::of`]; and if there is no room.
    pub(super) fn read<T>(
        &self,
        delta: &LayerDelta,
        layer: &ImageLayer,
        before: u64,
        ctx: &Ctx,
        consume: &mut dyn FnMut(&mut dyn Read) -> Result<T>,
    ) -> Result<Option<(T, Fetched)>> {
        let _one = lock(&self.applying);
        let (digest, bytes) = (layer.descriptor.digest().to_string(), delta.descriptor.size() + before);
        chosen(&digest, Way::Delta, ctx);
        match self.try_read(delta, layer, ctx, consume) {
            Ok(value) => {
                // What is not fetched is done, for who counts the bytes of the whole image.
                ctx.bytes_done(layer.descriptor.size().saturating_sub(bytes));
                Ok(Some((value, Fetched { bytes, way: Way::Delta })))
            }
            Err(error) if is_final(&error) => Err(error),
            Err(error) => {
                ctx.note(&format!(
                    "layer {digest}: the delta {} is of no use: {error}",
                    delta.descriptor.digest()
                ));
                tracing::debug!(layer = digest, %error, "the delta is of no use");
                Ok(None)
            }
        }
    }

    fn try_read<T>(
        &self,
        delta: &LayerDelta,
        layer: &ImageLayer,
        ctx: &Ctx,
        consume: &mut dyn FnMut(&mut dyn Read) -> Result<T>,
    ) -> Result<T> {
        let bytes = delta.descriptor.size();
        let item = Item::start(ctx, layer.descriptor.digest().to_string(), Some(bytes));
        let limits = limits(layer.descriptor.size());
        let (source, txn, reported) = (self.source, self.txn, &item);
        let make = move |out: &mut dyn std::io::Write| {
            let old = CommitFiles::open(txn, &delta.from, limits.max_bytes)?;
            let inner = source.blob(&delta.descriptor)?.take(bytes);
            apply(Reported { inner, ctx, item: reported }, &old, out, &limits, ctx).map(drop)
        };
        let value = read_made(layer, ctx, make, consume)?;
        item.done();
        Ok(value)
    }
}

/// Whether an error has nothing to do with the delta, so that another way is of no use either.
fn is_final(error: &Error) -> bool {
    match error {
        Error::Source { source, .. } => is_final(source),
        #[cfg(feature = "net")]
        Error::Net(error) => {
            use crate::net::Error::{Denied, NotJson, Protocol, Status};
            !matches!(error, Status { .. } | Protocol { .. } | Denied { .. } | NotJson { .. })
        }
        error => matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Exhausted),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
