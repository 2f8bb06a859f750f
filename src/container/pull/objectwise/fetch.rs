//! Fetches ranges of a blob: several requests at a time, their bytes in order, in bounded memory.
//!
//! ```text
//! ranges ─► hand out ─┬─ jobs ───► requests, each a thread ─┐
//!                     └─ order ──► receivers ◄──────────────┘ ─► use_it
//! ```

use std::io::{self, Read};
use std::ops::Range;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::asking::Asking;
use super::invalid;
use crate::base::io::Cancellable;
use crate::base::join;

/// The requests for one layer, for each layer that may be under way.
const REQUESTS_PER_LAYER: usize = 4;

/// A range that was fetched.
pub(super) struct Piece {
    /// Where it begins in the blob.
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
}

/// The ranges, in order; the channel ends behind the last one.
pub(super) type Fetching = Receiver<Receiver<io::Result<Piece>>>;

struct Job {
    range: Range<u64>,
    done: Sender<io::Result<Piece>>,
}

/// Lets `use_it` have the bytes of `ranges`, while further ones are fetched.
pub(super) fn fetch<T>(asking: &Asking<'_>, ranges: &[Range<u64>], use_it: impl FnOnce(Fetching) -> T) -> T {
    let requests = (REQUESTS_PER_LAYER * asking.ctx.requests.get()).min(ranges.len()).max(1);
    thread::scope(|scope| {
        let (jobs, todo) = bounded::<Job>(0);
        // What is fetched waits here: so many pieces, and those under way.
        let (order, fetched) = bounded(requests);
        for _ in 0..requests {
            let todo = todo.clone();
            scope.spawn(move || {
                for Job { range, done } in todo {
                    let piece = fetch_one(asking, range).and_then(|piece| {
                        piece.ok_or_else(|| invalid("the source gives no parts of blobs any more"))
                    });
                    // Nobody waits for it any more after an error.
                    let _ = done.send(piece);
                }
            });
        }
        drop(todo);
        let hand_out = scope.spawn(move || {
            for range in ranges {
                let (done, result) = bounded(1);
                if order.send(result).is_err() || jobs.send(Job { range: range.clone(), done }).is_err() {
                    return;
                }
            }
        });
        let used = use_it(fetched);
        join(hand_out);
        used
    })
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
