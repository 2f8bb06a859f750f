//! A layer object by object: of a zstd:chunked layer in a registry, only what the store lacks is fetched.
//!
//! ```text
//! annotations ► index of objects, or table of contents, by Range ► what the store lacks
//!   by_index  commit ► metadata that is missing ► files that are missing        an index is ours
//!   by_table  every entry of the layer ► those that are missing (`missing`)     a table has every zstd:chunked layer
//! entries that are missing, with the xattrs that they need
//!   pieces    their frames ► neighbours joined ► ranges of the blob
//!   fetch     ranges ► bytes, in order, several requests under way (`asking` counts them)
//!   stream    bytes ► frames ► tar stream of these entries     read and verified as that of a whole layer
//! seen      a layer that is looked into without being pulled, in the same way
//! files     layers of files: the whole tar stream, of which what is here is not fetched
//! of_base   layers of files on which a commit lies: those that it wants
//! unpacked  layers that lie somewhere as files, in podman's store: objects that are missing, or all of it
//! ```
//! Index and table are claims, as the layer is: the commit is verified by its signature or the manifest's promise, every
//! object by its own checksum, and in the end the whole of the commit has to be there. So a wrong one costs time and
//! nothing else: then the layer is fetched as a whole. So it is where that is cheaper, and where the source knows no
//! parts of blobs.

mod asking;
mod building;
mod by_index;
mod by_table;
mod fetch;
mod files;
mod missing;
mod of_base;
mod pieces;
mod seen;
mod stream;
mod unpacked;

use std::io::{self, Read};
use std::ops::Range;

use self::asking::Asking;
use self::by_index::by_index;
use self::by_table::by_table;
use self::fetch::fetch;
use self::missing::{Entry, List, Wrong};
use self::pieces::pieces;
use self::stream::PartStream;
use super::take::Taking;
use crate::base::{Ctx, ErrorKind, Event, Item, Kind, WithCauses};
use crate::container::blob::chunked::{IndexPlace, TablePlace};
use crate::container::blob::read_objects;
use crate::container::delta::LayerDelta;
use crate::container::image::{Error, ImageLayer, Result};
use crate::container::store::{Fetched, Way, WhyWhole};
use crate::tar::{Clones, StreamHolds};

pub(in crate::container) use self::files::Here;
pub(super) use self::files::read_files;
pub(super) use self::missing::{Listed, Wanted};
pub(super) use self::of_base::read_wanted;
pub(in crate::container) use self::seen::SeenLayer;

/// Layers of no more bytes are fetched as they are: asking for a table takes as long.
const MIN_LAYER_BYTES: u64 = 64 * 1024;

/// What an attempt to do with less than the layer came to.
enum Attempt<T> {
    Read(T, Fetched, Listed),
    /// The layer as a whole, or the delta that there is, takes less; the bytes that were fetched before that was known.
    Whole(WhyWhole, u64),
}

/// Lets `consume` read the objects of a layer that the store lacks, or all that the layer holds, or what a delta makes,
/// whatever is the cheapest, or the only way. It is asked again if a table of contents or a delta turns out to be wrong.
/// Also says what was fetched, and which content objects the table lists if it was used. `clones` gets content that lies
/// somewhere as files.
pub(super) fn read_missing<T>(
    layer: &ImageLayer,
    wanted: Wanted<'_>,
    taking: &Taking<'_>,
    clones: &Clones<'_>,
    ctx: &Ctx,
    consume: &mut dyn FnMut(&mut dyn Read, StreamHolds) -> Result<T>,
) -> Result<(T, Fetched, Option<Listed>)> {
    if let Some(unpacked) = taking.source.unpacked(&layer.descriptor)? {
        return unpacked::read_missing(&*unpacked, layer, wanted, taking, clones, ctx, consume);
    }
    let digest = layer.descriptor.digest().to_string();
    let mut delta = taking.delta(layer)?;
    let why = loop {
        let attempted = attempt(layer, wanted, taking, delta.as_ref(), ctx, consume)?;
        let (why, before) = match attempted {
            Attempt::Read(value, fetched, listed) => {
                tracing::debug!(layer = digest, bytes = fetched.bytes, "objects fetched");
                return Ok((value, fetched, Some(listed)));
            }
            Attempt::Whole(why, before) => (why, before),
        };
        let Some(delta) = delta.take() else { break why };
        let read = &mut |stream: &mut dyn Read| consume(stream, StreamHolds::Everything);
        if let Some((value, fetched)) = taking.deltas.read(&delta, layer, before, ctx, read)? {
            return Ok((value, fetched, None));
        }
    };
    tracing::debug!(layer = digest, %why, "layer is fetched as a whole");
    chosen(&digest, Way::Whole(why), ctx);
    let value = read_objects(taking.source, &layer.descriptor, ctx, |stream| {
        consume(stream, StreamHolds::Everything)
    })?;
    Ok((value, Fetched { bytes: layer.descriptor.size(), way: Way::Whole(why) }, None))
}

fn attempt<T>(
    layer: &ImageLayer,
    wanted: Wanted<'_>,
    taking: &Taking<'_>,
    delta: Option<&LayerDelta>,
    ctx: &Ctx,
    consume: &mut dyn FnMut(&mut dyn Read, StreamHolds) -> Result<T>,
) -> Result<Attempt<T>> {
    let mut asking = Asking::new(taking.source, &layer.descriptor, ctx);
    asking.limit = delta.map_or(u64::MAX, LayerDelta::to_fetch);
    let size = layer.descriptor.size();
    let List { entries, listed } = match list(wanted, taking, &asking) {
        Ok(list) => list,
        Err(wrong) => {
            return other_way(wrong, layer, &asking).map(|(why, before)| Attempt::Whole(why, before));
        }
    };
    let pieces = pieces(entries.iter().flat_map(Entry::frames));
    let (before, ahead) = (asking.bytes(), pieces.iter().map(|piece| piece.end - piece.start).sum::<u64>());
    if missing::is_most(before + ahead, size) || ahead >= asking.limit {
        return Ok(Attempt::Whole(WhyWhole::MostIsMissing, before));
    }
    tracing::debug!(layer = %layer.descriptor.digest(), before, ahead, requests = pieces.len(), "to be fetched");
    let item = begin_parts(layer, before + ahead, ctx);
    let asking = asking.reporting(&item);
    let read =
        stream_of(&asking, &entries, &pieces, &mut |stream| consume(stream, StreamHolds::WhatIsMissing));
    let fetched = Fetched { bytes: asking.bytes(), way: Way::Objects };
    match read {
        Ok(value) => {
            item.done();
            Ok(Attempt::Read(value, fetched, listed))
        }
        Err(error) => not_final(error, layer).map(|()| Attempt::Whole(WhyWhole::WrongTable, 0)),
    }
}

/// Lets `consume` read the tar stream of `entries`, whose frames lie in `pieces`.
fn stream_of<T>(
    asking: &Asking<'_>,
    entries: &[Entry],
    pieces: &[Range<u64>],
    consume: &mut dyn FnMut(&mut dyn Read) -> Result<T>,
) -> Result<T> {
    fetch(asking, pieces, |fetched| {
        let mut stream = PartStream::new(entries, fetched).map_err(|error| asking.failed(error))?;
        let value = consume(&mut stream);
        stream.take_failure().map_or(value, |failure| Err(asking.failed(failure)))
    })
}

/// What the store lacks, by the index or the table of the layer.
fn list(wanted: Wanted<'_>, taking: &Taking<'_>, asking: &Asking<'_>) -> Result<List, Wrong> {
    let (index, table) = (IndexPlace::of(asking.layer), TablePlace::of(asking.layer));
    if index.is_none() && table.is_none() {
        return Err(Wrong::Whole(WhyWhole::NoTable));
    }
    if let Some(why) = taking.whole {
        return Err(Wrong::Whole(why));
    }
    if asking.layer.size() <= MIN_LAYER_BYTES {
        return Err(Wrong::Whole(WhyWhole::Small));
    }
    match (index, table) {
        (Some(index), _) => by_index(&index, wanted, taking.txn, asking),
        (None, Some(table)) => by_table(&table, wanted, taking.txn, asking),
        (None, None) => Err(Wrong::Whole(WhyWhole::NoTable)),
    }
}

/// Reports the way in which a layer will come.
pub(super) fn chosen(layer: &str, way: Way, ctx: &Ctx) {
    ctx.progress.event(Event::Chosen { name: layer, way: way.word(), why: &way.to_string() });
}

/// Reports that so many bytes of a layer are fetched as parts of it.
fn begin_parts<'a>(layer: &ImageLayer, bytes: u64, ctx: &'a Ctx) -> Item<'a> {
    let digest = layer.descriptor.digest();
    chosen(digest.as_ref(), Way::Objects, ctx);
    let item = Item::start(ctx, digest.to_string(), Some(bytes));
    // What is not fetched is done, for whoever counts the bytes of the whole image.
    ctx.bytes_done(layer.descriptor.size().saturating_sub(bytes));
    item
}

/// Why a layer is not fetched by its table, and the bytes that were fetched in vain; the error if another way is not likely
/// to help against it.
fn other_way(wrong: Wrong, layer: &ImageLayer, asking: &Asking<'_>) -> Result<(WhyWhole, u64)> {
    let (error, why) = match wrong {
        Wrong::Whole(why) => return Ok((why, asking.bytes())),
        Wrong::Error(error) => (error, WhyWhole::NoParts),
        Wrong::Table(why) => {
            (Error::Image(format!("the table of contents is wrong: {why}")), WhyWhole::WrongTable)
        }
    };
    not_final(error, layer).map(|()| (why, 0))
}

/// Passes over an error against which fetching the whole layer is likely to help.
fn not_final(error: Error, layer: &ImageLayer) -> Result<()> {
    if is_final(&error) {
        return Err(error);
    }
    tracing::debug!(layer = %layer.descriptor.digest(), error = %WithCauses(&error), "its parts cannot be fetched one by one");
    Ok(())
}

/// Whether an error has to do with neither the table of contents nor the requests for parts.
fn is_final(error: &Error) -> bool {
    match error {
        Error::BlobNotFound(_) => true,
        Error::Source { source, .. } => is_final(source),
        #[cfg(feature = "net")]
        Error::Net(error) => {
            use crate::net::Error::{Protocol, Status};
            !matches!(error, Status { .. } | Protocol { .. })
        }
        error => !matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Missing | ErrorKind::Refused),
    }
}

/// An error of what a blob holds.
fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
