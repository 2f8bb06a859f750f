//! Writes the layers of an image, several at once.
//!
//! ```text
//! layer ─ known? ─┬─ no ──► compress ► blob
//!                 └─ yes ─► its digest
//! ```
//! Each layer is compressed on all cores already; several at once fill the time in which a registry answers.
//! Only small ones: those under way hold so many bytes at most.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use super::compress::{Compression, WrittenLayer, write_layer};
use super::error::{Error, Result};
use super::image::ImageDest;
use super::known::KnownLayers;
use crate::base::{Ctx, Pool, Silent, with_pool};

/// Content of layers that are written at once; a larger layer is written alone.
const MAX_BYTES: u64 = 12 * 1024 * 1024;

/// Writes the tar stream of a layer.
pub(super) type Produce<'a> = dyn Fn(&mut dyn Write, &Ctx) -> Result<()> + Sync + 'a;

/// A layer to be written.
pub(super) struct Layer<'a> {
    pub(super) produce: Box<Produce<'a>>,
    /// About how large it is.
    pub(super) bytes: u64,
}

/// A layer of the image.
pub(super) struct Placed {
    pub(super) layer: WrittenLayer,
    /// How it came there.
    pub(super) origin: Origin,
}

/// How a layer came to where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was there already.
    Known,
    /// It was compressed and written.
    Written,
}

/// Writes those of `layers` that are not known.
pub(super) fn write_layers(
    dest: &dyn ImageDest,
    compression: Compression,
    layers: &[Layer<'_>],
    known: &KnownLayers,
    ctx: &Ctx,
) -> Result<Vec<Placed>> {
    let placed: Mutex<Vec<Option<Placed>>> = Mutex::new(layers.iter().map(|_| None).collect());
    let jobs = ctx.jobs.get().max(2).min(dest.parallel_blobs()).max(1);
    let pool_ctx = Ctx { jobs: jobs.try_into().unwrap_or(ctx.jobs), ..ctx.clone() };
    with_pool(&pool_ctx, MAX_BYTES, |pool: &Pool<'_, Error>| {
        for (number, layer) in layers.iter().enumerate() {
            let placed = &placed;
            pool.submit(layer.bytes.min(MAX_BYTES), move || {
                let done = place(dest, compression, layer, known, ctx)?;
                placed.lock().unwrap_or_else(PoisonError::into_inner)[number] = Some(done);
                Ok(())
            })?;
        }
        pool.wait()
    })?;
    let placed = placed.into_inner().unwrap_or_else(PoisonError::into_inner);
    placed.into_iter().map(|layer| layer.ok_or_else(|| Error::Image("a layer was left out".into()))).collect()
}

fn place(
    dest: &dyn ImageDest,
    compression: Compression,
    layer: &Layer<'_>,
    known: &KnownLayers,
    ctx: &Ctx,
) -> Result<Placed> {
    if !known.is_empty() {
        let silent = Ctx { progress: std::sync::Arc::new(Silent), ..ctx.clone() };
        if let Some(layer) = known.find(dest, |out| (layer.produce)(out, &silent))? {
            ctx.object_done(layer.tar_bytes);
            return Ok(Placed { layer, origin: Origin::Known });
        }
    }
    let ((), layer) = write_layer(dest, compression, ctx, |out| (layer.produce)(out, ctx))?;
    Ok(Placed { layer, origin: Origin::Written })
}
