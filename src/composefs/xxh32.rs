//! xxHash, 32 bit, by its specification: the kernel asks by it whether an inode may have an xattr of some name.

const PRIMES: [u32; 5] = [0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D, 0x27D4_EB2F, 0x1656_67B1];

/// The hash of `data`.
pub(super) fn xxh32(data: &[u8], seed: u32) -> u32 {
    let [p1, p2, p3, p4, p5] = PRIMES;
    let stripes = data.chunks_exact(16);
    let rest = stripes.remainder();
    let start = match data.len() < 16 {
        true => seed.wrapping_add(p5),
        false => {
            let first =
                [seed.wrapping_add(p1).wrapping_add(p2), seed.wrapping_add(p2), seed, seed.wrapping_sub(p1)];
            let lanes = stripes.fold(first, |mut lanes, stripe| {
                for (lane, word) in lanes.iter_mut().zip(stripe.chunks_exact(4)) {
                    *lane = lane.wrapping_add(le(word).wrapping_mul(p2)).rotate_left(13).wrapping_mul(p1);
                }
                lanes
            });
            let turned = lanes.into_iter().zip([1, 7, 12, 18]).map(|(lane, bits)| lane.rotate_left(bits));
            turned.fold(0, u32::wrapping_add)
        }
    };
    // The length counts modulo 2^32, in the specification too.
    #[expect(clippy::cast_possible_truncation, reason = "see above")]
    let mut hash = start.wrapping_add(data.len() as u32);
    let words = rest.chunks_exact(4);
    let bytes = words.remainder();
    for word in words {
        hash = hash.wrapping_add(le(word).wrapping_mul(p3)).rotate_left(17).wrapping_mul(p4);
    }
    for &byte in bytes {
        hash = hash.wrapping_add(u32::from(byte).wrapping_mul(p5)).rotate_left(11).wrapping_mul(p1);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(p2);
    hash = (hash ^ (hash >> 13)).wrapping_mul(p3);
    hash ^ (hash >> 16)
}

/// Four bytes as a number.
fn le(word: &[u8]) -> u32 {
    word.iter().rev().fold(0, |number, &byte| (number << 8) | u32::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the `xxhsum` program (`printf … | xxhsum -H32`), and the sanity check of its library.
    #[test]
    fn known_values() {
        assert_eq!(xxh32(b"", 0), 0x02CC_5D05);
        assert_eq!(xxh32(b"a", 0), 0x550D_7456);
        assert_eq!(xxh32(b"abc", 0), 0x32D1_53FF);
        assert_eq!(xxh32(b"Nobody inspects the spammish repetition", 0), 0xE229_3B2F);
    }
}
