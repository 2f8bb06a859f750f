//! Which bytes of a large file stand in an old one: found by blocks that end where the content says so.
//!
//! ```text
//! old  ├──────┼───┼─────────┼────┤   a block ends where a rolling sum has 13 bits of a kind: 8 KiB on the average
//! new  ├──┼──────┼───┼─────────┼────┤   blocks of one checksum are copied, wherever they stand
//! ```
//! Both files are read as streams; a block takes some 50 bytes of memory.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read};

use ostree_format::Checksum;

use crate::base::io::COPY_BYTES;

const MIN_BYTES: usize = 2 * 1024;
const MAX_BYTES: usize = 64 * 1024;
/// The bits of the sum that end a block: the high ones, which depend on the last 64 bytes.
const END_MASK: u64 = 0x1fff << 51;
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Bytes of the new file that stand in the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copied {
    pub(super) new: u64,
    pub(super) old: u64,
    pub(super) bytes: u64,
}

/// What of `new` stands in `old`, in the order of `new`.
pub(super) fn copies(old: &mut dyn Read, new: &mut dyn Read) -> io::Result<Vec<Copied>> {
    let mut known = HashMap::new();
    blocks(old, |at, block| {
        known.entry((Checksum::of(block), block.len())).or_insert(at);
    })?;
    let mut copies: Vec<Copied> = Vec::new();
    blocks(new, |at, block| {
        let Some(old) = known.get(&(Checksum::of(block), block.len())) else { return };
        let copied = Copied { new: at, old: *old, bytes: block.len() as u64 };
        match copies.last_mut() {
            Some(last) if last.new + last.bytes == at && last.old + last.bytes == *old => {
                last.bytes += copied.bytes
            }
            _ => copies.push(copied),
        }
    })?;
    Ok(copies)
}

/// Splits a stream into blocks.
fn blocks(from: &mut dyn Read, mut each: impl FnMut(u64, &[u8])) -> io::Result<()> {
    let mut buf = Vec::with_capacity(MAX_BYTES + COPY_BYTES);
    let (mut at, mut is_end) = (0, false);
    loop {
        while !is_end && buf.len() < MAX_BYTES {
            let filled = buf.len();
            buf.resize(filled + COPY_BYTES, 0);
            let read = match from.read(&mut buf[filled..]) {
                Err(e) if e.kind() == ErrorKind::Interrupted => None,
                other => Some(other?),
            };
            buf.truncate(filled + read.unwrap_or(0));
            is_end = read == Some(0);
        }
        let mut start = 0;
        while start < buf.len() && (is_end || buf.len() - start >= MAX_BYTES) {
            let len = block_bytes(&buf[start..]);
            each(at, &buf[start..start + len]);
            (start, at) = (start + len, at + len as u64);
        }
        buf.drain(..start);
        if is_end && buf.is_empty() {
            return Ok(());
        }
    }
}

/// The length of the block that `bytes` begin with.
fn block_bytes(bytes: &[u8]) -> usize {
    let most = bytes.len().min(MAX_BYTES);
    let mut sum = 0u64;
    for (number, byte) in bytes[..most].iter().enumerate().skip(MIN_BYTES - 64) {
        sum = (sum << 1).wrapping_add(u64::from(*byte).wrapping_add(1).wrapping_mul(FACTOR));
        if number >= MIN_BYTES && sum & END_MASK == 0 {
            return number + 1;
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moved_content_is_found() {
        let noise: Vec<u8> =
            (0..40_000u32).flat_map(|n| *Checksum::of(&n.to_le_bytes()).as_bytes()).collect();
        let new = [b"in front", &noise[300_000..], b"between", &noise[..300_000]].concat();
        let copies = copies(&mut &noise[..], &mut &new[..]).unwrap();
        let (mut end, mut bytes) = (0, 0);
        for copied in &copies {
            assert!(copied.new >= end);
            let part = |of: &[u8], at: u64| of[at as usize..(at + copied.bytes) as usize].to_vec();
            assert_eq!(part(&new, copied.new), part(&noise, copied.old));
            (end, bytes) = (copied.new + copied.bytes, bytes + copied.bytes);
        }
        assert!(bytes as usize > new.len() - 4 * MAX_BYTES, "{bytes} of {}", new.len());
    }
}
