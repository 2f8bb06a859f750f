//! Writes the layers of an image.
//!
//! ```text
//! layer ─ known? ─┬─ no ──► compress ► blob
//!                 └─ yes ─► its digest
//! ```
//! Large layers come one after another, each compressed on all cores. Small ones come several at once, each
//! on one core: so they also fill the time in which a registry answers, and take little memory.

use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::{Ctx, Item, Pool, Silent, with_pool};
use crate::container::blob::{KnownLayers, Scratch, WrittenLayer, write_layer_with};
use crate::container::image::{Compression, Error, ImageDest, Result};

/// Content of a layer for which one thread will do.
const SMALL_BYTES: u64 = 1024 * 1024;

/// Writes the tar stream of a layer.
pub(in crate::container) type Produce<'a> = dyn Fn(&mut dyn Write, &Ctx) -> Result<()> + Sync + 'a;

/// A layer to be written.
pub(in crate::container) struct Layer<'a> {
    pub(in crate::container) produce: Box<Produce<'a>>,
    /// About how large it is.
    pub(in crate::container) bytes: u64,
}

/// A layer of the image.
pub(in crate::container) struct Placed {
    pub(in crate::container) layer: WrittenLayer,
    /// How it came there.
    pub(in crate::container) origin: Origin,
}

/// How a layer came to where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::container) enum Origin {
    /// It was there already.
    Known,
    /// It was compressed and written.
    Written,
}

/// Writes those of `layers` that are not known.
pub(in crate::container) fn write_layers(
    dest: &dyn ImageDest,
    compression: Compression,
    layers: &[Layer<'_>],
    known: &KnownLayers,
    ctx: &Ctx,
) -> Result<Vec<Placed>> {
    let scratch = &Scratch::default();
    let mut placed: Vec<Option<Placed>> = layers.iter().map(|_| None).collect();
    for (slot, layer) in placed.iter_mut().zip(layers).filter(|(_, layer)| layer.bytes > SMALL_BYTES) {
        *slot = Some(place(dest, compression, layer, known, scratch, ctx)?);
    }
    let pool_ctx = Ctx { jobs: ctx.requests.min(dest.parallel_blobs()), ..ctx.clone() };
    let one_thread = Ctx { jobs: NonZeroUsize::MIN, ..ctx.clone() };
    let slots = Mutex::new(&mut placed);
    with_pool(&pool_ctx, u64::MAX, |pool: &Pool<'_, Error>| {
        for (number, layer) in layers.iter().enumerate().filter(|(_, layer)| layer.bytes <= SMALL_BYTES) {
            let (slots, scratch, ctx) = (&slots, scratch, &one_thread);
            pool.submit(layer.bytes, move || {
                let done = place(dest, compression, layer, known, scratch, ctx)?;
                slots.lock().unwrap_or_else(PoisonError::into_inner)[number] = Some(done);
                Ok(())
            })?;
        }
        pool.wait()
    })?;
    placed.into_iter().map(|layer| layer.ok_or_else(|| Error::Image("a layer was left out".into()))).collect()
}

fn place(
    dest: &dyn ImageDest,
    compression: Compression,
    layer: &Layer<'_>,
    known: &KnownLayers,
    scratch: &Scratch,
    ctx: &Ctx,
) -> Result<Placed> {
    if !known.is_empty() {
        let silent = Ctx { progress: Arc::new(Silent), ..ctx.clone() };
        if let Some(layer) = known.find(dest, |out| (layer.produce)(out, &silent))? {
            ctx.object_done(layer.tar_bytes);
            Item::reused(ctx, layer.digest.to_string(), layer.size_bytes);
            return Ok(Placed { layer, origin: Origin::Known });
        }
    }
    let ((), layer) = write_layer_with(dest, compression, scratch, ctx, |out| (layer.produce)(out, ctx))?;
    Ok(Placed { layer, origin: Origin::Written })
}
