//! What is missing of a layer, by its table of contents, which any zstd:chunked layer has.

use super::asking::Asking;
use super::missing::{List, Missing, Wanted, Wrong};
use crate::base::io::Cancellable;
use crate::container::blob::chunked::{TablePlace, Wants};
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
    asking.check(place.bytes.end - place.bytes.start)?;
    let part = asking.source.blob_part(asking.layer, place.bytes.clone())?;
    let part = part.ok_or(Wrong::Whole(WhyWhole::NoParts))?;
    let mut missing = Missing::new(wanted, txn, place.bytes.start, asking.layer.size());
    let mut wrong = None;
    let cancel = &asking.ctx.cancel;
    let read = place.read(Cancellable::new(part, cancel), &mut |row| match missing
        .row(row)
        .and_then(|wants| asking.check(missing.bytes).map(|()| wants))
    {
        Ok(wants) => wants,
        Err(error) => {
            wrong = Some(error);
            Wants::NoMore
        }
    });
    cancel.check().map_err(Error::from)?;
    match (wrong, read) {
        (Some(error), _) => Err(error),
        (None, Ok(Wants::NoMore)) => Err(Wrong::Whole(WhyWhole::MostIsMissing)),
        (None, Ok(Wants::More)) => {
            asking.count(place.bytes.end - place.bytes.start);
            missing.finish()
        }
        (None, Err(error)) => Err(match asking.failed(error) {
            // No file is read here: what is not the network's fault is the table's.
            Error::Io { .. } => Wrong::Table("it cannot be read"),
            error => Wrong::Error(error),
        }),
    }
}
