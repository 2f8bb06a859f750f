//! A layer of a base: where it is zstd:chunked, only the files that may be wanted objects are fetched.
//!
//! ```text
//! table of contents ► rows at paths where an object is missing ► their frames ► stream of these entries, as objects
//! ```
//! Each of them is compared with the checksum that is wanted, so a table that lies makes objects missing and nothing else:
//! whoever misses some in the end reads the layer as a whole.

use std::io::Read;

use ostree_format::FileId;

use super::asking::Asking;
use super::building::Building;
use super::by_table::rows;
use super::missing::{Entry, MAX_ENTRIES, Wrong, is_most};
use super::pieces::pieces;
use super::{MIN_LAYER_BYTES, begin_parts, not_final, other_way, stream_of};
use crate::base::Ctx;
use crate::container::blob::chunked::{Row, TablePlace, Wants};
use crate::container::image::{ImageLayer, ImageSource, Result};
use crate::container::store::{Fetched, Way, WhyWhole};
use crate::tar::{EntryRole, WantedFiles, role_of};

/// Lets `consume` read those files of a layer that are `wanted` and still missing, if less than the layer has to be fetched
/// for them. Else says why not.
///
/// # Errors
/// What ends the pull; what `consume` gives.
pub(in crate::container::pull) fn read_wanted(
    source: &dyn ImageSource,
    layer: &ImageLayer,
    wanted: &WantedFiles,
    is_missing: &dyn Fn(&FileId) -> bool,
    ctx: &Ctx,
    consume: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
) -> Result<Result<Fetched, WhyWhole>> {
    let size = layer.descriptor.size();
    let Some(table) = TablePlace::of(&layer.descriptor) else { return Ok(Err(WhyWhole::Files)) };
    if size <= MIN_LAYER_BYTES {
        return Ok(Err(WhyWhole::Small));
    }
    let asking = Asking::new(source, &layer.descriptor, ctx);
    let entries = match entries(&table, wanted, is_missing, &asking) {
        Ok(entries) => entries,
        Err(wrong) => return other_way(wrong, layer, &asking).map(|(why, _)| Err(why)),
    };
    let pieces = pieces(entries.iter().flat_map(Entry::frames));
    let (before, ahead) = (asking.bytes(), pieces.iter().map(|piece| piece.end - piece.start).sum::<u64>());
    if is_most(before + ahead, size) {
        return Ok(Err(WhyWhole::MostIsMissing));
    }
    tracing::debug!(layer = %layer.descriptor.digest(), before, ahead, requests = pieces.len(), "to be fetched");
    let item = begin_parts(layer, before + ahead, ctx);
    let reporting = asking.reporting(&item);
    let read = stream_of(&reporting, &entries, &pieces, consume);
    let fetched = Fetched { bytes: reporting.bytes(), way: Way::Objects };
    match read {
        Ok(()) => {
            item.done();
            Ok(Ok(fetched))
        }
        Err(error) => not_final(error, layer).map(|()| Err(WhyWhole::WrongTable)),
    }
}

/// The entries of the table at whose paths an object is missing.
fn entries(
    table: &TablePlace,
    wanted: &WantedFiles,
    is_missing: &dyn Fn(&FileId) -> bool,
    asking: &Asking<'_>,
) -> Result<Vec<Entry>, Wrong> {
    let (mut entries, mut building) = (Vec::new(), None::<Building>);
    let (mut bytes, mut count, end, size) = (0, 0, table.bytes.start, asking.layer.size());
    let mut take = |building: &mut Option<Building>| {
        let entry = building.take().map(|building| building.finish(end)).transpose()?;
        for frame in entry.iter().flat_map(Entry::frames) {
            bytes += frame.place.end - frame.place.start;
            count += 1;
        }
        count += 1;
        entries.extend(entry);
        Ok::<_, Wrong>(if count > MAX_ENTRIES || is_most(bytes, size) { Wants::NoMore } else { Wants::More })
    };
    rows(table, asking, &mut |row| {
        if row.kind == "chunk" {
            if let Some(building) = &mut building {
                building.piece(&row)?;
            }
            return Ok(Wants::More);
        }
        let wants = if building.is_some() { take(&mut building)? } else { Wants::More };
        building = match candidate(&row, wanted).filter(is_missing) {
            Some(id) => Building::of_file(row, id)?,
            None => None,
        };
        Ok(wants)
    })?;
    if building.is_some() && matches!(take(&mut building)?, Wants::NoMore) {
        return Err(Wrong::Whole(WhyWhole::MostIsMissing));
    }
    // In the order in which their frames lie, which a table need not have.
    entries.sort_by_key(|entry| entry.frames().first().map_or(0, |frame| frame.place.start));
    Ok(entries)
}

/// The object that the file of a row may be.
fn candidate(row: &Row, wanted: &WantedFiles) -> Option<FileId> {
    let path = row.name.trim_start_matches("./").trim_start_matches('/');
    wanted.at(path).copied().or_else(|| match role_of(&row.name)? {
        EntryRole::File(id) => Some(id).filter(|id| wanted.contains(id)),
        _ => None,
    })
}
