//! Writes the layers of an image.
//!
//! ```text
//! layer ─ known? ─┬─ no ──► compress ► blob
//!                 └─ yes ─► its digest
//! ```
//! Large layers come one after another, each compressed on all cores. Small ones come several at once, each
//! on one core: so they also fill the time in which a registry answers, and take little memory.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use super::plan::LayerRecipe;
use crate::base::{Ctx, Item, Pool, Silent, with_pool};
use crate::container::blob::{KnownLayers, Scratch, WrittenLayer, write_layer_with};
use crate::container::image::{COMPONENTS, Compression, Error, ImageDest, Result};

/// Content of a layer for which one thread will do.
const SMALL_BYTES: u64 = 1024 * 1024;

/// A layer of the image.
pub(in crate::container) struct PlacedLayer {
    pub(in crate::container) layer: WrittenLayer,
    /// How it came there.
    pub(in crate::container) origin: Origin,
}

/// How a layer came to where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::container) enum Origin {
    /// The layer was there already.
    Known,
    /// The layer was compressed and written.
    Written,
}

/// Writes those of `layers` that are not known.
pub(in crate::container) fn write_layers(
    dest: &dyn ImageDest,
    compression: Compression,
    layers: &[LayerRecipe<'_>],
    known: &KnownLayers,
    ctx: &Ctx,
) -> Result<Vec<PlacedLayer>> {
    let scratch = &Scratch::default();
    let mut placed: Vec<Option<PlacedLayer>> = layers.iter().map(|_| None).collect();
    for (slot, layer) in placed.iter_mut().zip(layers).filter(|(_, layer)| !is_small(layer)) {
        *slot = Some(place(dest, compression, layer, known, scratch, ctx)?);
    }
    let pool_ctx = Ctx { jobs: ctx.requests.min(dest.parallel_blobs()), ..ctx.clone() };
    let one_thread = Ctx { jobs: NonZeroUsize::MIN, ..ctx.clone() };
    let slots = Mutex::new(&mut placed);
    with_pool(&pool_ctx, u64::MAX, |pool: &Pool<'_, Error>| {
        for (number, layer) in layers.iter().enumerate().filter(|(_, layer)| is_small(layer)) {
            let (slots, scratch, ctx) = (&slots, scratch, &one_thread);
            pool.submit(layer.size_bytes.unwrap_or_default(), move || {
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
    recipe: &LayerRecipe<'_>,
    known: &KnownLayers,
    scratch: &Scratch,
    ctx: &Ctx,
) -> Result<PlacedLayer> {
    let annotate = |mut layer: WrittenLayer| {
        let names = recipe.components.clone().map(|names| (COMPONENTS.to_owned(), names));
        layer.annotations.extend(names);
        layer
    };
    if !known.is_empty() {
        let silent = Ctx { progress: Arc::new(Silent), ..ctx.clone() };
        if let Some(layer) = known.find(dest, |out| recipe.write_stream(out, &silent))? {
            ctx.object_done(layer.tar_bytes);
            tracing::debug!(layer = %layer.digest, why = "the image made before has it", "layer reused");
            Item::reused(ctx, layer.digest.to_string(), layer.size_bytes);
            return Ok(PlacedLayer { layer: annotate(layer), origin: Origin::Known });
        }
    }
    let ((), layer) = write_layer_with(dest, compression, scratch, ctx, |out| recipe.write_stream(out, ctx))?;
    Ok(PlacedLayer { layer: annotate(layer), origin: Origin::Written })
}

/// Whether one thread will do for a layer.
fn is_small(recipe: &LayerRecipe<'_>) -> bool {
    recipe.size_bytes.is_some_and(|bytes| bytes <= SMALL_BYTES)
}
