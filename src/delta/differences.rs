//! A new file as parts of an old one, with differences added to them: what version 1 of the format has for files that
//! are alike.
//!
//! ```text
//! old   blocks of 32 bytes, every 8 bytes one ─► table by hash
//! new   each 32 bytes looked up ─► exact match ─► made longer to both sides as long as most bytes agree
//!
//! [ part ──────────────── ][ data ][ part ─────────── ][ part ─── …
//!   old[i] + difference[i]           old[j] + …
//! ```
//! What agrees there has the difference 0, which compresses to nothing: in programs that were built again only some
//! addresses differ. Colin Percival's idea of bsdiff, whose sorted suffixes take sixteen times the memory of the file.

/// Bytes that have to agree for a match to begin.
const BLOCK: usize = 32;
/// Every so many bytes of the old file a block is in the table.
pub(crate) const STEP: usize = 8;
/// The distance of blocks in a large old file, whose table would else take twice its memory.
const LARGE_STEP: usize = 16;
/// The size from which on an old file is large.
const LARGE_BYTES: u64 = 4 << 20;
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A part of the new file that the old one helps to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alike {
    pub(crate) new: usize,
    pub(crate) old: usize,
    pub(crate) bytes: usize,
}

/// The parts of `new` that are like parts of `old`, in order and not overlapping; what is between them is not. The
/// table is that of `old`, made once for several pieces of a new file.
pub(crate) fn parts(table: &Table, old: &[u8], new: &[u8]) -> Vec<Alike> {
    let mut parts: Vec<Alike> = Vec::new();
    let mut at = 0;
    while at + BLOCK <= new.len() {
        let expected = parts.last().map(|last| last.old + (at - last.new).min(old.len()));
        let found =
            expected.filter(|from| agree(old, *from, new, at)).or_else(|| table.find(old, &new[at..]));
        let Some(from) = found else {
            at += 1;
            continue;
        };
        let bytes = old[from..].iter().zip(&new[at..]).take_while(|(a, b)| a == b).count();
        add(&mut parts, Alike { new: at, old: from, bytes }, old, new);
        at += bytes;
    }
    let end = Alike { new: new.len(), old: old.len(), bytes: 0 };
    if let Some(last) = parts.last_mut() {
        last.bytes += forward(last, &end, old, new);
    }
    parts
}

/// Adds an exact match behind the parts that there are: the same shift goes on, another one begins a part, and both are
/// made longer into what lies between.
fn add(parts: &mut Vec<Alike>, mut found: Alike, old: &[u8], new: &[u8]) {
    let Some(last) = parts.last_mut() else {
        let back = backward(&found, 0, old, new);
        (found.new, found.old, found.bytes) = (found.new - back, found.old - back, found.bytes + back);
        return parts.push(found);
    };
    if found.new.wrapping_sub(found.old) == last.new.wrapping_sub(last.old) {
        last.bytes = found.new + found.bytes - last.new;
        return;
    }
    last.bytes += forward(last, &found, old, new);
    let back = backward(&found, last.new + last.bytes, old, new);
    (found.new, found.old, found.bytes) = (found.new - back, found.old - back, found.bytes + back);
    parts.push(found);
}

/// How many bytes behind `last`, and before `next`, agree more often than not.
fn forward(last: &Alike, next: &Alike, old: &[u8], new: &[u8]) -> usize {
    let (from, to) = (last.new + last.bytes, last.old + last.bytes);
    longest(new[from..next.new].iter().zip(&old[to.min(old.len())..]))
}

/// How many bytes before `found`, down to `start`, agree more often than not.
fn backward(found: &Alike, start: usize, old: &[u8], new: &[u8]) -> usize {
    longest(new[start..found.new].iter().rev().zip(old[..found.old].iter().rev()))
}

fn longest<'a>(pairs: impl Iterator<Item = (&'a u8, &'a u8)>) -> usize {
    let (mut score, mut best, mut length) = (0i64, 0i64, 0);
    for (number, (a, b)) in pairs.enumerate() {
        score += if a == b { 1 } else { -1 };
        if score > best {
            (best, length) = (score, number + 1);
        }
        // What has gone so far astray does not come back.
        if score < best - 64 {
            break;
        }
    }
    length
}

fn agree(old: &[u8], from: usize, new: &[u8], at: usize) -> bool {
    old.get(from..from + BLOCK).is_some_and(|block| block == &new[at..at + BLOCK])
}

/// Bits of a slot for the number of a block; above them are bits of its hash, so that most other blocks need no look at
/// the old file.
const NUMBER_BITS: u32 = 24;
const MAX_BLOCKS: usize = (1 << NUMBER_BITS) - 1;

/// Blocks of the old file by their hashes.
pub(crate) struct Table {
    /// One more than the number of a block, and a part of its hash; 0 if there is none.
    slots: Vec<u32>,
    shift: u32,
    step: usize,
}

impl Table {
    /// The blocks of `old`.
    pub(crate) fn new(old: &[u8]) -> Self {
        Self::with_step(old, if old.len() as u64 > LARGE_BYTES { LARGE_STEP } else { STEP })
    }

    /// The memory that the table of an old file takes at most.
    pub(crate) fn max_bytes(old_bytes: u64) -> u64 {
        if old_bytes > LARGE_BYTES { old_bytes } else { 2 * old_bytes }
    }

    /// The blocks of `old` that begin at multiples of `step` bytes.
    pub(crate) fn with_step(old: &[u8], step: usize) -> Self {
        let blocks = old.len().saturating_sub(BLOCK) / step + 1;
        let bits = (2 * blocks).next_power_of_two().trailing_zeros().clamp(4, 26);
        let mut table = Self { slots: vec![0; 1 << bits], shift: 64 - bits, step };
        // The first block of equal ones stays: of a long run that is its start.
        for (number, block) in (1u32..).zip(old.windows(BLOCK).step_by(step).take(MAX_BLOCKS)) {
            let (slot, tag) = table.slot(block);
            if table.slots[slot] == 0 {
                table.slots[slot] = tag | number;
            }
        }
        table
    }

    fn find(&self, old: &[u8], new: &[u8]) -> Option<usize> {
        let (slot, tag) = self.slot(new);
        let number = (self.slots[slot] ^ tag).checked_sub(1)? as usize;
        let from = (number < MAX_BLOCKS).then(|| number * self.step)?;
        agree(old, from, new, 0).then_some(from)
    }

    /// The slot of the block that `bytes` begin with, and the part of its hash that is kept there.
    fn slot(&self, bytes: &[u8]) -> (usize, u32) {
        let mut hash = 0u64;
        for word in bytes[..BLOCK].chunks_exact(8) {
            let word = word.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
            hash = (hash ^ word).wrapping_mul(FACTOR).rotate_left(29);
        }
        hash = hash.wrapping_mul(FACTOR);
        ((hash >> self.shift) as usize, (hash as u32) >> NUMBER_BITS << NUMBER_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &[u8], new: &[u8]) -> usize {
        let parts = parts(&Table::with_step(old, STEP), old, new);
        let mut end = 0;
        for part in &parts {
            assert!(part.new >= end && part.bytes > 0, "{parts:?}");
            assert!(part.old + part.bytes <= old.len(), "{parts:?}");
            end = part.new + part.bytes;
        }
        assert!(end <= new.len());
        parts.iter().map(|part| part.bytes).sum()
    }

    #[test]
    fn parts_lie_within_both_files() {
        let old: Vec<u8> = (0..10_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let mut changed = old.clone();
        changed.iter_mut().step_by(100).for_each(|byte| *byte = byte.wrapping_add(1));
        // The first byte differs, and nothing before it agrees.
        assert_eq!(check(&old, &changed), changed.len() - 1);
        let moved = [&old[20_000..], b"something else", &old[..20_000]].concat();
        assert!(check(&old, &moved) >= moved.len() - 64);
        assert_eq!(check(&old, b""), 0);
        assert_eq!(check(b"", &old), 0);
        assert_eq!(check(&old[..31], &old), 0);
        assert!(check(&[0; 500], &[0; 40_000]) > 0);
    }
}
