//! Patches as bsdiff's, of the parts in which two files are alike.
//!
//! ```text
//! [ 24 bytes: a, b, c ][ a differences ][ b new bytes ]  …     numbers of 63 bits and a sign, low byte first
//! ```
//! Source: libostree bsdiff/bsdiff.c.

use super::differences::{Alike, parts};

/// A patch is worth it if it takes at least this share of the new file from the old one: one in so many bytes.
const WORTH: usize = 16;

/// What makes `new` of `old`; `None` if they have too little in common.
pub(super) fn patch(old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    let mut parts = parts(old, new);
    let alike: usize = parts.iter().map(|part| part.bytes).sum();
    if alike < new.len().div_ceil(WORTH) {
        return None;
    }
    // A patch begins at the start of both files.
    if parts.first().is_none_or(|first| (first.new, first.old) != (0, 0)) {
        parts.insert(0, Alike { new: 0, old: 0, bytes: 0 });
    }
    let mut out = Vec::with_capacity(new.len() + 24 * parts.len());
    for (number, part) in parts.iter().enumerate() {
        let (end, old_end) = (part.new + part.bytes, part.old + part.bytes);
        let (next, next_old) =
            parts.get(number + 1).map_or((new.len(), old_end), |next| (next.new, next.old));
        put(part.bytes as i64, &mut out);
        put((next - end) as i64, &mut out);
        put(next_old as i64 - old_end as i64, &mut out);
        let pairs = new[part.new..end].iter().zip(&old[part.old..old_end]);
        out.extend(pairs.map(|(new, old)| new.wrapping_sub(*old)));
        out.extend_from_slice(&new[end..next]);
    }
    Some(out)
}

fn put(number: i64, out: &mut Vec<u8>) {
    let sign = u64::from(number < 0) << 63;
    out.extend_from_slice(&(number.unsigned_abs() | sign).to_le_bytes());
}
