//! What is missing of a layer, by its table of contents, which any zstd:chunked layer has.

use super::asking::Asking;
use super::missing::{List, Missing, Wanted, Wrong};
use crate::base::io::Cancellable;
use crate::container::blob::chunked::{Row, TablePlace, Wants};
use crate::container::image::Error;
use crate::container::store::WhyWhole;
use crate::store::Txn;

/// Looks for what the store lacks.
pub(super) fn by_table(
    place: &TablePlace,
    wanted: Wanted<'_>,
    txn: &dyn Txn,
    asking: &Asking<'_>,
) -> Result<List, Wrong> {
    let mut missing = Missing::new(wanted, txn, place.bytes.start, asking.layer.size());
    rows(place, asking, &mut |row| {
        let wants = missing.row(row)?;
        asking.check(missing.bytes)?;
        Ok(wants)
    })?;
    missing.finish()
}

/// Fetches a table and gives each of its rows to `take`, which has to want all of them: or else so much is missing that the
/// layer may as well be fetched.
pub(super) fn rows(
    place: &TablePlace,
    asking: &Asking<'_>,
    take: &mut dyn FnMut(Row) -> Result<Wants, Wrong>,
) -> Result<(), Wrong> {
    asking.check(place.bytes.end - place.bytes.start)?;
    let part = asking.source.blob_part(asking.layer, place.bytes.clone())?;
    let part = part.ok_or(Wrong::Whole(WhyWhole::NoParts))?;
    let (mut wrong, cancel) = (None, &asking.ctx.cancel);
    let read = place.read(Cancellable::new(part, cancel), &mut |row| {
        take(row).unwrap_or_else(|error| {
            wrong = Some(error);
            Wants::NoMore
        })
    });
    cancel.check().map_err(Error::from)?;
    match (wrong, read) {
        (Some(error), _) => Err(error),
        (None, Ok(Wants::NoMore)) => Err(Wrong::Whole(WhyWhole::MostIsMissing)),
        (None, Ok(Wants::More)) => {
            asking.count(place.bytes.end - place.bytes.start);
            Ok(())
        }
        (None, Err(error)) => Err(match asking.failed(error) {
            // No file is read here: what is not the network's fault is the table's.
            Error::Io { .. } => Wrong::Table("it cannot be read"),
            error => Wrong::Error(error),
        }),
    }
}
