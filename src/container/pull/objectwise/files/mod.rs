//! A layer of files, as any program makes it zstd:chunked: what the store has the content of is not fetched.
//!
//! ```text
//! table of contents ► each file's digest ► `here`: which object holds just that? its name is known, it is read and hashed
//!
//! blob  ├ headers ┼ a file that is missing ┼ headers ┼ a file that is here ┼ headers ┼ … ┤
//!                fetched, frame by frame             │    the object       │ fetched
//!                                                    └──────► tar stream ◄─┘ ► diffid
//! ```
//! What comes out is the whole tar stream of the layer, which has to have the diffid that the configuration promises: so
//! nothing that the table says is believed, and the layer becomes what it becomes when all of it is fetched. No record is
//! kept for it. A table that lies costs time, and then the layer is fetched as a whole.

mod here;
mod regions;

use std::io::{self, Read, Write};

pub(in crate::container) use self::here::Here;
use self::regions::{PieceReader, Region, TableFile, ranges, read_table, regions};
use super::asking::Asking;
use super::fetch::fetch;
use super::missing::{Wrong, is_most};
use super::{MIN_LAYER_BYTES, begin_parts, chosen, not_final, other_way, unpacked};
use crate::base::Ctx;
use crate::container::blob::chunked::TablePlace;
use crate::container::blob::{MAX_ZSTD_WINDOW_LOG, read_layer, read_made};
use crate::container::delta::LayerDelta;
use crate::container::image::{ImageLayer, Result};
use crate::container::pull::take::Taking;
use crate::container::store::{Fetched, Way, WhyWhole};
use crate::store::{self, Txn};
use crate::tar::Clones;

/// What an attempt to do with less than the layer, or the delta that there is, came to: why there is another way, and the
/// bytes that were fetched before that was known.
type Attempt<T> = Result<(T, Fetched), (WhyWhole, u64)>;

/// Lets `consume` read the tar stream of a layer, of which only what the store lacks is fetched, or what a delta makes, or
/// all of it, whatever is the cheapest, or the only way. It is asked again if a table of contents or a delta turns out to
/// be wrong. `clones` gets content that lies somewhere as files.
///
/// # Errors
/// As [`read_layer`].
pub(in crate::container::pull) fn read_files<T>(
    layer: &ImageLayer,
    taking: &Taking<'_>,
    clones: &Clones<'_>,
    ctx: &Ctx,
    consume: &mut dyn FnMut(&mut dyn Read) -> Result<T>,
) -> Result<(T, Fetched)> {
    if let Some(unpacked) = taking.source.unpacked(&layer.descriptor)? {
        return unpacked::read_files(&*unpacked, layer, clones, ctx, consume);
    }
    let mut delta = taking.delta(layer)?;
    let why = loop {
        let (why, before) = match attempt(layer, taking, delta.as_ref(), ctx, consume)? {
            Ok(read) => return Ok(read),
            Err(other_way) => other_way,
        };
        let Some(delta) = delta.take() else { break why };
        if let Some(read) = taking.deltas.read(&delta, layer, before, ctx, consume)? {
            return Ok(read);
        }
    };
    let digest = layer.descriptor.digest().to_string();
    tracing::debug!(layer = digest, %why, "layer is fetched as a whole");
    if why != WhyWhole::Files {
        chosen(&digest, Way::Whole(why), ctx);
    }
    let value = read_layer(taking.source, &layer.descriptor, &layer.diff_id, ctx, consume)?;
    Ok((value, Fetched { bytes: layer.descriptor.size(), way: Way::Whole(why) }))
}

fn attempt<T>(
    layer: &ImageLayer,
    taking: &Taking<'_>,
    delta: Option<&LayerDelta>,
    ctx: &Ctx,
    consume: &mut dyn FnMut(&mut dyn Read) -> Result<T>,
) -> Result<Attempt<T>> {
    let size = layer.descriptor.size();
    let table = match (TablePlace::of(&layer.descriptor), taking.whole) {
        (None, _) => return Ok(Err((WhyWhole::Files, 0))),
        (_, Some(why)) => return Ok(Err((why, 0))),
        (_, None) if size <= MIN_LAYER_BYTES => return Ok(Err((WhyWhole::Small, 0))),
        (Some(table), None) => table,
    };
    let mut asking = Asking::new(taking.source, &layer.descriptor, ctx);
    asking.limit = delta.map_or(u64::MAX, LayerDelta::to_fetch);
    let regions = match plan(&table, &asking, taking, ctx) {
        Ok(regions) => regions,
        Err(wrong) => return other_way(wrong, layer, &asking).map(Err),
    };
    let (before, ahead) = (asking.bytes(), to_fetch(&regions));
    if is_most(before + ahead, size) || ahead >= asking.limit {
        return Ok(Err((WhyWhole::MostIsMissing, before)));
    }
    tracing::debug!(layer = %layer.descriptor.digest(), before, ahead, parts = regions.len(), "to be fetched");
    match put_together(layer, &regions, &asking, taking.txn, consume) {
        Ok(value) => Ok(Ok((value, Fetched { bytes: before + ahead, way: Way::Objects }))),
        Err(error) => not_final(error, layer).map(|()| Err((WhyWhole::WrongTable, 0))),
    }
}

/// Lets `consume` read the layer, made of its parts.
fn put_together<T>(
    layer: &ImageLayer,
    regions: &[Region],
    asking: &Asking<'_>,
    txn: &dyn Txn,
    consume: &mut dyn FnMut(&mut dyn Read) -> Result<T>,
) -> Result<T> {
    let ctx = asking.ctx;
    let item = begin_parts(layer, asking.bytes() + to_fetch(regions), ctx);
    let (reporting, ranges) = (asking.reporting(&item), ranges(regions));
    let make = |out: &mut dyn Write| {
        fetch(&reporting, &ranges, |fetched| {
            let mut pieces = PieceReader::new(fetched);
            regions.iter().try_for_each(|region| write(region, &mut pieces, &reporting, txn, out))
        })
    };
    let value = read_made(layer, ctx, make, consume)?;
    item.done();
    Ok(value)
}

/// The bytes of the parts that are fetched.
fn to_fetch(regions: &[Region]) -> u64 {
    ranges(regions).iter().map(|range| range.end - range.start).sum()
}

/// The parts of the blob, each fetched or made of an object.
fn plan(
    table: &TablePlace,
    asking: &Asking<'_>,
    taking: &Taking<'_>,
    ctx: &Ctx,
) -> Result<Vec<Region>, Wrong> {
    let files = read_table(table, asking)?;
    let size = asking.layer.size();
    let here = taking.here.names(taking.txn, ctx)?;
    let bytes = |file: &TableFile| file.place.end - file.place.start;
    let hoped: u64 = files.iter().filter(|file| here.knows(file)).map(bytes).sum();
    if is_most(size.saturating_sub(hoped), size) {
        return Err(Wrong::Whole(WhyWhole::MostIsMissing));
    }
    let found = here.find(&files, taking.txn, ctx)?;
    Ok(regions(&files, &found, table))
}

/// Writes the part of the tar stream that a region stands for.
fn write(
    region: &Region,
    pieces: &mut PieceReader,
    asking: &Asking<'_>,
    txn: &dyn Txn,
    out: &mut dyn Write,
) -> Result<()> {
    let failed = |error: io::Error| asking.failed(error);
    match region {
        Region::Fetched(place) => {
            let mut frames = pieces.part(place.end - place.start);
            let mut decoder = zstd::Decoder::with_buffer(&mut frames).map_err(failed)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW_LOG).map_err(failed)?;
            io::copy(&mut decoder, out).map(drop).map_err(failed)
        }
        Region::Here { id, bytes } => {
            let file = txn.open_file(id)?.ok_or(store::Error::NotFound((*id).into()))?;
            io::copy(&mut file.take(*bytes), out).map(drop).map_err(failed)
        }
    }
}
