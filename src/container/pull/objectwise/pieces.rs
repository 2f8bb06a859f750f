//! Which ranges of a blob are asked for: frames, with the gaps between neighbours where these are small.

use std::ops::Range;

use crate::container::blob::chunked::Frame;

/// The bytes of one request: a run of frames that is longer is cut between two of them.
const PIECE_BYTES: u64 = 1024 * 1024;
/// A gap of more bytes costs more than another request, of which several are under way.
const MAX_GAP_BYTES: u64 = 64 * 1024;
/// A gap of so many bytes costs less than the headers of another request and of its answer. Between the frames of small
/// files, where most of what lies there are headers of tar, all gaps are of this kind.
const MIN_GAP_BYTES: u64 = 512;
/// All other gaps together may be one part in so many of what is wanted, or [`FREE_GAP_BYTES`].
const GAP_PART: u64 = 24;
/// What gaps may cost where little is wanted.
const FREE_GAP_BYTES: u64 = 16 * 1024;

/// The ranges that hold `frames`, in their order. Each frame lies in one of them.
pub(super) fn pieces<'a>(frames: impl Iterator<Item = &'a Frame> + Clone) -> Vec<Range<u64>> {
    let places = || frames.clone().map(|frame| &frame.place);
    let gaps = places().zip(places().skip(1)).filter_map(|(a, b)| gap(a, b));
    let mut gaps: Vec<_> = gaps.filter(|gap| *gap > MIN_GAP_BYTES).collect();
    let wanted: u64 = places().map(|place| place.end - place.start).sum();
    let widest = widest(&mut gaps, FREE_GAP_BYTES.max(wanted / GAP_PART)).max(MIN_GAP_BYTES);
    let mut pieces: Vec<Range<u64>> = Vec::new();
    for place in places() {
        match pieces.last_mut() {
            Some(last)
                if gap(last, place).is_some_and(|gap| gap <= widest)
                    && place.end - last.start <= PIECE_BYTES =>
            {
                last.end = place.end;
            }
            _ => pieces.push(place.clone()),
        }
    }
    pieces
}

/// The bytes between two frames, if they are neighbours.
fn gap(before: &Range<u64>, after: &Range<u64>) -> Option<u64> {
    after.start.checked_sub(before.end).filter(|gap| *gap <= MAX_GAP_BYTES)
}

/// The widest gap for which all that are no wider take at most `room` bytes.
fn widest(gaps: &mut [u64], room: u64) -> u64 {
    gaps.sort_unstable();
    let (mut widest, mut sum) = (0, 0);
    for same in gaps.chunk_by(|a, b| a == b) {
        sum += same.iter().sum::<u64>();
        if sum > room {
            break;
        }
        widest = same[0];
    }
    widest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_gaps_are_joined_first() {
        assert_eq!(widest(&mut [5, 1, 1, 2], 4), 2);
        assert_eq!(widest(&mut [5, 1, 1, 2], 3), 1);
        assert_eq!(widest(&mut [5, 1, 1, 2], 100), 5);
        assert_eq!(widest(&mut [3, 0, 3], 5), 0);
        assert_eq!((gap(&(0..5), &(7..9)), gap(&(7..9), &(0..5))), (Some(2), None));
    }

    #[test]
    fn small_files_beside_each_other_are_one_request() {
        let frames = |gap: u64| -> Vec<Frame> {
            (0..1000).map(|n| Frame { place: n * (300 + gap)..n * (300 + gap) + 300, bytes: 900 }).collect()
        };
        let joined = pieces(frames(250).iter());
        assert_eq!((joined.len(), joined[0].clone()), (1, 0..999 * 550 + 300));
        assert!(pieces(frames(MIN_GAP_BYTES + 1).iter()).len() > 900);
    }
}
