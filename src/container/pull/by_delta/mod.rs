//! A layer by a delta that begins with what the store has.
//!
//! ```text
//! pulled_images   which images were pulled ► deltas that begin with one of them, looked for once in each pull
//! kept            what an earlier pull, which was killed, fetched of a delta
//! delta ─ apply ─┬► tar stream ► diffid                            which is never on the disk
//!    old_files ──┘      └► objects, files: read and verified as those of a fetched layer
//! ```
//! It is chosen where it has fewer bytes than what would be fetched otherwise. A delta is a claim as everything else is:
//! one that lies, or whose old files are damaged, costs time, and then the layer comes in another way. One delta is
//! applied at a time: what it refers back to takes memory.

mod kept;
mod old_files;
mod pulled_images;

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::kept::KeptDelta;
use self::old_files::CommitFiles;
pub(super) use self::pulled_images::PulledImages;
use super::objectwise::chosen;
use crate::base::{Ctx, ErrorKind, Item, Kind, WithCauses};
use crate::container::blob::{Reported, read_made};
use crate::container::delta::{ApplyLimits, LayerDelta, apply, layer_deltas};
use crate::container::image::{DiffId, Error, Image, ImageLayer, ImageSource, Result};
use crate::container::store::{Fetched, Way};
use crate::store::{Hints, Txn};

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
        let found = found.map(|delta| LayerDelta { here: self.kept(&delta).begun(), ..delta });
        Ok(found.filter(|delta| delta.to_fetch() < size))
    }

    /// The file for what comes of a delta.
    fn kept(&self, delta: &LayerDelta) -> KeptDelta {
        KeptDelta::find(&delta.descriptor, self.txn.hints().and_then(Hints::partial_files).as_ref())
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
                tracing::debug!(error = %WithCauses(&error), "deltas cannot be looked for");
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
        let (digest, size) = (layer.descriptor.digest().to_string(), delta.descriptor.size());
        let mut kept = self.kept(delta);
        chosen(&digest, Way::Delta, ctx);
        loop {
            match self.try_read(delta, &kept, layer, ctx, consume) {
                Ok(value) => {
                    kept.remove();
                    // What is not fetched is done, for whoever counts the bytes of the whole image.
                    ctx.bytes_done(layer.descriptor.size().saturating_sub(size + before));
                    let bytes = size - kept.begun() + before;
                    return Ok(Some((value, Fetched { bytes, way: Way::Delta })));
                }
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => {
                    let why = WithCauses(&error);
                    tracing::debug!(layer = digest, kept = kept.begun(), error = %why, "the delta is of no use");
                    // What was kept may be damaged.
                    if !kept.forget() {
                        let delta = delta.descriptor.digest();
                        ctx.note(&format!("layer {digest}: the delta {delta} is of no use: {why}"));
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn try_read<T>(
        &self,
        delta: &LayerDelta,
        kept: &KeptDelta,
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
            let inner = kept.open(&delta.descriptor, source)?;
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
