//! A layer object by object: of a zstd:chunked layer in a registry, only what the store lacks is fetched.
//!
//! ```text
//! annotations ► table of contents, by Range ► rows
//!   missing   rows ► entries of objects that the store lacks, with the xattrs that they need
//!   pieces    their frames ► neighbours joined ► ranges of the blob
//!   fetch     ranges ► bytes, in order, several requests under way
//!   stream    bytes ► frames ► tar stream of these entries     read and verified as that of a whole layer
//! ```
//! The table is a claim, as the layer is: the commit is verified by its signature or the manifest's promise, every
//! object by its own checksum, and in the end the whole of the commit has to be there. So a wrong table costs time and
//! nothing else: then the layer is fetched as a whole. So it is where that is cheaper, and where the source knows no
//! parts of blobs.

mod fetch;
mod missing;
mod pieces;
mod stream;

use std::io::{self, Read};

use self::fetch::fetch;
use self::missing::{Missing, Wrong};
use self::pieces::pieces;
use self::stream::PartStream;
use super::take::Taking;
use crate::base::io::Cancellable;
use crate::base::{Ctx, ErrorKind, Event, Item, Kind};
use crate::container::blob::chunked::{TablePlace, Wants};
use crate::container::blob::read_objects;
use crate::container::image::{Error, ImageLayer, Result};
use crate::container::store::{Fetched, Way, WhyWhole};
use crate::tar::StreamHolds;

pub(super) use self::missing::{Listed, Wanted};

/// Layers of no more bytes are fetched as they are: asking for a table takes as long.
const MIN_LAYER_BYTES: u64 = 64 * 1024;

/// What an attempt to do with less than the layer came to.
enum Attempt<T> {
    Read(T, Fetched, Listed),
    Whole(WhyWhole),
}

/// Lets `consume` read the objects of a layer that the store lacks, or all that the layer holds, where that is cheaper
/// or the only way. It is asked twice if the table of contents turns out to be wrong. Also says what was fetched, and
/// which content objects the table lists if it was used.
pub(super) fn read_missing<T>(
    layer: &ImageLayer,
    wanted: Wanted<'_>,
    taking: &Taking<'_>,
    ctx: &Ctx,
    consume: &mut dyn FnMut(&mut dyn Read, StreamHolds) -> Result<T>,
) -> Result<(T, Fetched, Option<Listed>)> {
    let digest = layer.descriptor.digest().to_string();
    let why = match attempt(layer, wanted, taking, ctx, consume)? {
        Attempt::Read(value, fetched, listed) => {
            tracing::debug!(layer = digest, bytes = fetched.bytes, "objects fetched");
            return Ok((value, fetched, Some(listed)));
        }
        Attempt::Whole(why) => why,
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
    ctx: &Ctx,
    consume: &mut dyn FnMut(&mut dyn Read, StreamHolds) -> Result<T>,
) -> Result<Attempt<T>> {
    let (descriptor, whole) = (&layer.descriptor, |why| Ok(Attempt::Whole(why)));
    let Some(table) = TablePlace::of(descriptor) else { return whole(WhyWhole::NoTable) };
    if let Some(why) = taking.whole {
        return whole(why);
    }
    let size = descriptor.size();
    if size <= MIN_LAYER_BYTES {
        return whole(WhyWhole::Small);
    }
    let parts = match taking.source.blob_part(descriptor, table.bytes.clone()) {
        Ok(Some(part)) => part,
        Ok(None) => return whole(WhyWhole::NoParts),
        Err(error) => return give_up(error, layer, WhyWhole::NoParts),
    };
    let table_bytes = table.bytes.end - table.bytes.start;
    let mut missing = Missing::new(wanted, taking.txn, table.bytes.start, size);
    let mut wrong: Option<Wrong> = None;
    let read = table.read(Cancellable::new(parts, &ctx.cancel), &mut |row| match missing.row(row) {
        Ok(wants) => wants,
        Err(error) => {
            wrong = Some(error);
            Wants::NoMore
        }
    });
    ctx.cancel.check()?;
    let read = read.map_err(Error::io("read", descriptor.digest().to_string()));
    let list = match (wrong, read) {
        (Some(error), _) => Err(error),
        (None, Ok(Wants::NoMore)) => return whole(WhyWhole::MostIsMissing),
        (None, Ok(Wants::More)) => missing.finish(),
        // No file is read here: what is not the network's fault is the table's.
        (None, Err(Error::Io { .. })) => Err(Wrong::Table("it cannot be read")),
        (None, Err(error)) => return give_up(error, layer, WhyWhole::WrongTable),
    };
    let list = match list {
        Ok(list) => list,
        Err(Wrong::Store(error)) => return Err(error.into()),
        Err(Wrong::Table(why)) => return give_up(damaged(why), layer, WhyWhole::WrongTable),
    };
    let pieces = pieces(&list.entries);
    let bytes = table_bytes + pieces.iter().map(|piece| piece.end - piece.start).sum::<u64>();
    if missing::is_most(bytes, size) {
        return whole(WhyWhole::MostIsMissing);
    }
    chosen(descriptor.digest().as_ref(), Way::Objects, ctx);
    let item = Item::start(ctx, descriptor.digest().to_string(), Some(bytes));
    item.advance(table_bytes);
    // What is not fetched is done, for who counts the bytes of the whole image.
    ctx.bytes_done(size - bytes.min(size) + table_bytes);
    let read = fetch(taking.source, descriptor, &pieces, &item, ctx, |fetched| {
        let read = |error| Error::io("read", descriptor.digest().to_string())(error);
        let mut stream = PartStream::new(&list.entries, fetched).map_err(read)?;
        let value = consume(&mut stream, StreamHolds::WhatIsMissing);
        match stream.take_failure() {
            Some(failure) => Err(read(failure)),
            None => value,
        }
    });
    match read {
        Ok(value) => {
            item.done();
            Ok(Attempt::Read(value, Fetched { bytes, way: Way::Objects }, list.listed))
        }
        Err(error) => give_up(error, layer, WhyWhole::WrongTable),
    }
}

fn chosen(layer: &str, way: Way, ctx: &Ctx) {
    ctx.progress.event(Event::Chosen { name: layer, way: way.word(), why: &way.to_string() });
}

/// The whole layer, if that is likely to help against `error`.
fn give_up<T>(error: Error, layer: &ImageLayer, why: WhyWhole) -> Result<Attempt<T>> {
    if is_final(&error) {
        return Err(error);
    }
    tracing::debug!(layer = %layer.descriptor.digest(), %error, "its objects cannot be fetched one by one");
    Ok(Attempt::Whole(why))
}

/// Whether an error has to do with neither the table of contents nor the requests for parts.
fn is_final(error: &Error) -> bool {
    match error {
        Error::BlobNotFound(_) => true,
        #[cfg(feature = "net")]
        Error::Net(error) => {
            use crate::net::Error::{Protocol, Status};
            !matches!(error, Status { .. } | Protocol { .. })
        }
        error => !matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Missing | ErrorKind::Refused),
    }
}

fn damaged(why: &'static str) -> Error {
    Error::Image(format!("the table of contents is wrong: {why}"))
}

/// An error of what a blob holds.
fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
