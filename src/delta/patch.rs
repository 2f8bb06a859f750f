//! Patches as bsdiff's, of the parts in which two files are alike.
//!
//! ```text
//! [ 24 bytes: a, b, c ][ a differences ][ b new bytes ]  …     numbers of 63 bits and a sign, low byte first
//!
//! new  │ 2 MiB │ 2 MiB │ …   each piece is compared with all of an old file of at most 16 MiB, of a larger one with
//! old     │  16 MiB   │      what lies around the place where blocks of it were found, or the piece before left off
//! ```
//! Source: libostree bsdiff/bsdiff.c.

use std::io::{self, Read, Write};

use super::copies::Copied;
use super::differences::{self, Table};
use super::old::OldContent;

/// Bytes of the new file that are compared at once.
const PIECE_BYTES: u64 = 2 << 20;
/// Bytes of the old file that a piece is compared with.
pub(super) const WINDOW_BYTES: u64 = 16 << 20;
/// Bytes of the window that lie before the place where the piece is expected.
const BEFORE_BYTES: u64 = 6 << 20;
/// Bytes that are written at once.
const BUFFER_BYTES: usize = 32 * 1024;
/// A patch is worth it if it takes at least this share of the new file from the old one: one in so many bytes.
const WORTH: u64 = 16;

/// Bytes of the new file that are like bytes of the old one.
#[derive(Debug, Clone, Copy)]
struct Alike {
    new: u64,
    old: u64,
    bytes: u64,
}

/// How a file is made of an old one.
#[derive(Debug)]
pub(super) struct Patch {
    /// In order; the first one begins at the start of both files.
    parts: Vec<Alike>,
    new_bytes: u64,
}

impl Patch {
    /// The memory that [`Self::find`] takes at most.
    pub(super) fn memory_bytes(old_bytes: u64, new_bytes: u64) -> u64 {
        let window = WINDOW_BYTES.min(old_bytes);
        window + Table::max_bytes(window) + PIECE_BYTES.min(new_bytes)
    }

    /// Compares an old file with the new one of `new_bytes`, of which the blocks in `found` stand in the old one; `None`
    /// if they have too little in common.
    pub(super) fn find(
        old: &OldContent,
        new: &mut dyn Read,
        new_bytes: u64,
        found: &[Copied],
    ) -> io::Result<Option<Self>> {
        let mut patch = Self { parts: Vec::new(), new_bytes };
        let mut piece = vec![0; size(PIECE_BYTES.min(new_bytes))?];
        let mut window = vec![0; size(WINDOW_BYTES.min(old.len()))?];
        let (mut at, mut table) = (0, None);
        while at < new_bytes {
            let len = piece.len().min(size(new_bytes - at)?);
            new.read_exact(&mut piece[..len])?;
            let latest = old.len() - window.len() as u64;
            let start = patch.expected(at, len as u64, found).saturating_sub(BEFORE_BYTES).min(latest);
            if table.as_ref().is_none_or(|(of, _)| *of != start) {
                // The one before has to be gone from memory.
                drop(table.take());
                old.read_exact_at(&mut window, start)?;
            }
            let (_, table) = table.get_or_insert_with(|| (start, Table::new(&window)));
            for part in differences::parts(table, &window, &piece[..len]) {
                let (new, old) = (at + part.new as u64, start + part.old as u64);
                patch.add(Alike { new, old, bytes: part.bytes as u64 });
            }
            at += len as u64;
        }
        let alike: u64 = patch.parts.iter().map(|part| part.bytes).sum();
        if alike < new_bytes.div_ceil(WORTH) {
            return Ok(None);
        }
        if patch.parts.first().is_none_or(|first| (first.new, first.old) != (0, 0)) {
            patch.parts.insert(0, Alike { new: 0, old: 0, bytes: 0 });
        }
        Ok(Some(patch))
    }

    /// The place in the old file where the `len` bytes at `at` of the new one probably are.
    fn expected(&self, at: u64, len: u64, found: &[Copied]) -> u64 {
        let next = found.partition_point(|copied| copied.new + copied.bytes <= at);
        match (found.get(next).filter(|copied| copied.new < at + len), self.parts.last()) {
            (Some(copied), _) => (copied.old + at).saturating_sub(copied.new),
            (None, Some(last)) => last.old + (at - last.new),
            (None, None) => 0,
        }
    }

    /// Adds a part, which may go on where the one before it ends.
    fn add(&mut self, part: Alike) {
        match self.parts.last_mut() {
            Some(last) if (last.new + last.bytes, last.old + last.bytes) == (part.new, part.old) => {
                last.bytes += part.bytes;
            }
            _ => self.parts.push(part),
        }
    }

    /// The size of the patch as it is written.
    pub(super) fn bytes(&self) -> u64 {
        24 * self.parts.len() as u64 + self.new_bytes
    }

    /// Writes the patch; `new` stands at its start.
    pub(super) fn write(&self, old: &OldContent, new: &mut dyn Read, out: &mut dyn Write) -> io::Result<()> {
        for (number, part) in self.parts.iter().enumerate() {
            let (end, old_end) = (part.new + part.bytes, part.old + part.bytes);
            let next = self.parts.get(number + 1);
            let (next, next_old) = next.map_or((self.new_bytes, old_end), |next| (next.new, next.old));
            put(part.bytes.cast_signed(), out)?;
            put((next - end).cast_signed(), out)?;
            put(next_old.cast_signed() - old_end.cast_signed(), out)?;
            put_differences(part, old, new, out)?;
            if io::copy(&mut (&mut *new).take(next - end), out)? != next - end {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}

fn put_differences(
    part: &Alike,
    old: &OldContent,
    new: &mut dyn Read,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (mut bytes, mut before) = ([0; BUFFER_BYTES], [0; BUFFER_BYTES]);
    let mut done = 0;
    while done < part.bytes {
        let len = bytes.len().min(size(part.bytes - done)?);
        let (bytes, before) = (&mut bytes[..len], &mut before[..len]);
        new.read_exact(bytes)?;
        old.read_exact_at(before, part.old + done)?;
        bytes.iter_mut().zip(before).for_each(|(new, old)| *new = new.wrapping_sub(*old));
        out.write_all(bytes)?;
        done += len as u64;
    }
    Ok(())
}

fn put(number: i64, out: &mut dyn Write) -> io::Result<()> {
    let sign = u64::from(number < 0) << 63;
    out.write_all(&(number.unsigned_abs() | sign).to_le_bytes())
}

fn size(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::copies::copies;

    /// Does to `old` what a patch says.
    fn applied(patch: &[u8], old: &[u8]) -> Vec<u8> {
        let (mut at, mut old_at, mut new) = (0, 0_i64, Vec::new());
        let number = |at: usize| {
            let number = u64::from_le_bytes(patch[at..at + 8].try_into().unwrap());
            let size = (number & (u64::MAX >> 1)).cast_signed();
            if number >> 63 == 1 { -size } else { size }
        };
        while at < patch.len() {
            let [differences, bytes, skip] = [0, 8, 16].map(|n| number(at + n));
            at += 24;
            for _ in 0..differences {
                new.push(patch[at].wrapping_add(old[old_at as usize]));
                (at, old_at) = (at + 1, old_at + 1);
            }
            new.extend_from_slice(&patch[at..at + bytes as usize]);
            (at, old_at) = (at + bytes as usize, old_at + skip);
        }
        new
    }

    #[test]
    fn large_files_are_compared_piece_by_piece() {
        let noise = |from: u32, words: u32| -> Vec<u8> {
            (from..from + words)
                .flat_map(|n| (n ^ n << 13).wrapping_mul(2_654_435_761).to_le_bytes())
                .collect()
        };
        let old = noise(0, 3_000_000);
        let mut new = [&old[8_000_000..], &noise(5_000_000, 500_000), &old[..8_000_000]].concat();
        new.iter_mut().step_by(5000).for_each(|byte| *byte = byte.wrapping_add(1));
        let found = copies(&mut &old[..], &mut &new[..]).unwrap();
        let content = OldContent::Memory(old.clone());
        let patch = Patch::find(&content, &mut &new[..], new.len() as u64, &found).unwrap().unwrap();
        let mut bytes = Vec::new();
        patch.write(&content, &mut &new[..], &mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, patch.bytes());
        assert!(applied(&bytes, &old) == new);
        let alike: u64 = patch.parts.iter().map(|part| part.bytes).sum();
        assert!(alike > 10_500_000, "{alike} of {}", old.len());
        let other = noise(9_000_000, 1_000_000);
        assert!(Patch::find(&content, &mut &other[..], other.len() as u64, &[]).unwrap().is_none());
    }
}
