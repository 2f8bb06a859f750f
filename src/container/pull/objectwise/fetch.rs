//! Fetches ranges of a blob: several requests at a time, their bytes in order, in bounded memory.
//!
//! ```text
//! ranges ─► groups ─► hand out ─┬─ jobs ───► requests, each a thread ─┐
//!                               └─ order ──► receivers ◄──────────────┘ ─► use_it
//! ```
//! Short ranges beside each other are one request, where the source gives several parts at once.

use std::io::{self, Read};
use std::ops::Range;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::asking::Asking;
use super::invalid;
use crate::base::io::Cancellable;
use crate::base::{join, spawn, spawn_up_to};
use crate::container::image::Result;

/// The requests for one layer, for each layer that may be under way.
const REQUESTS_PER_LAYER: usize = 4;

/// The ranges of one request, at most, and the bytes of all of them.
const GROUP_RANGES: usize = 64;
const GROUP_BYTES: u64 = 256 * 1024;

/// A range that was fetched.
pub(super) struct Piece {
    /// Where it begins in the blob.
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
}

type Pieces = Receiver<io::Result<Piece>>;

/// The ranges that were fetched, in order.
pub(super) struct Fetching {
    groups: Receiver<Pieces>,
    group: Option<Pieces>,
}

impl Fetching {
    /// Waits for the next range; `None` behind the last one.
    pub(super) fn next(&mut self) -> Option<io::Result<Piece>> {
        loop {
            if let Some(piece) = self.group.as_ref().and_then(|group| group.recv().ok()) {
                return Some(piece);
            }
            self.group = Some(self.groups.recv().ok()?);
        }
    }
}

struct Job<'r> {
    ranges: &'r [Range<u64>],
    done: Sender<io::Result<Piece>>,
}

/// Lets `use_it` have the bytes of `ranges`, while further ones are fetched.
pub(super) fn fetch<T>(
    asking: &Asking<'_>,
    ranges: &[Range<u64>],
    use_it: impl FnOnce(Fetching) -> Result<T>,
) -> Result<T> {
    let requests = (REQUESTS_PER_LAYER * asking.ctx.requests.get()).min(ranges.len()).max(1);
    thread::scope(|scope| {
        let (jobs, todo) = bounded::<Job<'_>>(0);
        // What is fetched waits here: so many groups, and those under way.
        let (order, groups) = bounded(requests);
        let request = move || {
            for Job { ranges, done } in todo {
                // Nobody waits for it any more after an error.
                let give = |piece| drop(done.send(piece));
                if let Err(error) = fetch_group(asking, ranges, &mut |piece| give(Ok(piece))) {
                    give(Err(error));
                }
            }
        };
        spawn_up_to(scope, requests, request).map_err(|error| asking.failed(error))?;
        let hand_out = spawn(scope, move || {
            for ranges in in_groups(ranges) {
                let (done, pieces) = bounded(ranges.len());
                if order.send(pieces).is_err() || jobs.send(Job { ranges, done }).is_err() {
                    return;
                }
            }
        });
        let hand_out = hand_out.map_err(|error| asking.failed(error))?;
        let used = use_it(Fetching { groups, group: None });
        join(hand_out);
        used
    })
}

/// Cuts `ranges` into what one request asks for.
fn in_groups(ranges: &[Range<u64>]) -> impl Iterator<Item = &[Range<u64>]> {
    let mut rest = ranges;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |range: &&Range<u64>| {
            bytes += range.end - range.start;
            bytes <= GROUP_BYTES
        };
        let count = rest.iter().take(GROUP_RANGES).take_while(fits).count().max(1);
        let (group, later) = rest.split_at_checked(count)?;
        rest = later;
        Some(group)
    })
}

/// Fetches ranges, by one request where that is possible.
fn fetch_group(asking: &Asking<'_>, ranges: &[Range<u64>], give: &mut dyn FnMut(Piece)) -> io::Result<()> {
    if ranges.len() > 1 {
        asking.ctx.cancel.check().map_err(io::Error::other)?;
        let parts = asking.source.blob_parts(asking.layer, ranges).map_err(io::Error::other)?;
        if let Some(parts) = parts {
            for (range, bytes) in ranges.iter().zip(parts) {
                asking.count(bytes.len() as u64);
                give(Piece { start: range.start, bytes });
            }
            return Ok(());
        }
    }
    for range in ranges {
        let piece = fetch_one(asking, range.clone())?;
        give(piece.ok_or_else(|| invalid("the source gives no parts of blobs any more"))?);
    }
    Ok(())
}

/// Fetches one range; `None` if the source gives no parts of blobs.
pub(super) fn fetch_one(asking: &Asking<'_>, range: Range<u64>) -> io::Result<Option<Piece>> {
    let cancel = &asking.ctx.cancel;
    cancel.check().map_err(io::Error::other)?;
    let (start, length) = (range.start, range.end - range.start);
    let Some(part) = asking.source.blob_part(asking.layer, range).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    Cancellable::new(part.take(length), cancel).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(invalid("a part of the blob is shorter than was asked for"));
    }
    asking.count(length);
    Ok(Some(Piece { start, bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_all_ranges_in_order() {
        let lengths = [10, 20, GROUP_BYTES, 5, GROUP_BYTES - 5, 1, 3 * GROUP_BYTES];
        let many = std::iter::repeat_n(7, 3 * GROUP_RANGES);
        let (mut at, mut ranges) = (0, Vec::new());
        for length in lengths.into_iter().chain(many) {
            ranges.push(at..at + length);
            at += length + 1;
        }
        let groups: Vec<_> = in_groups(&ranges).collect();
        assert_eq!(groups.concat(), ranges);
        let counts: Vec<_> = groups.iter().map(|group| group.len()).collect();
        assert_eq!(counts, [2, 1, 2, 1, 1, GROUP_RANGES, GROUP_RANGES, GROUP_RANGES]);
    }
}
