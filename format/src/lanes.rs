//! SHA-256 of several messages side by side: each has a lane of the processor's vectors.
//!
//! ```text
//!            lane 0   lane 1   …  lane 15
//! state      a b … h  a b … h     a b … h    as 8 vectors, one of all a, one of all b, …
//! block      message  message     message
//! ```
//! On an AVX-512 processor at 2.3 GHz: 2.35 GB/s by 16 lanes, 1.12 GB/s by 8 lanes of AVX2; one message after another
//! 1.44 GB/s by SHA instructions, 0.37 GB/s without. Source: FIPS 180-4, 5 and 6.2.

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch};

use crate::checksum::Checksum;

/// Lanes that any processor has.
pub(crate) const MAX_LANES: usize = 16;
/// Fewer do not pay.
const MIN_LANES: usize = 8;

/// The first words of the fractional parts of the cube roots of the first primes.
#[rustfmt::skip]
const ROUND_CONSTANTS: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// The state of a lane that has seen nothing.
const INITIAL_STATE: [u32; 8] =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// A block: the bytes that SHA-256 takes at once.
pub(crate) type Block = [u8; 64];

/// The lanes of this processor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lanes {
    level: Level,
    count: usize,
}

impl Lanes {
    /// Finds the lanes that this processor has; `None` if they are too few to be worth it.
    pub(crate) fn detect() -> Option<Self> {
        Self::of_level(Level::new()).filter(|lanes| lanes.count >= MIN_LANES)
    }

    fn of_level(level: Level) -> Option<Self> {
        let count = dispatch!(level, simd => lanes_of(simd));
        (count <= MAX_LANES).then_some(Self { level, count })
    }

    /// The number of lanes.
    pub(crate) fn count(self) -> usize {
        self.count
    }

    /// Adds the blocks of each lane to its state. All have to give equally many: a lane that is not in use gives those
    /// of any other.
    pub(crate) fn compress(self, states: &mut States, data: &[&[Block]; MAX_LANES]) {
        let blocks = data.iter().map(|blocks| blocks.len()).min().unwrap_or(0);
        dispatch!(self.level, simd => compress(simd, &mut states.0, data, blocks));
    }

    /// Every kind of vector that this processor has.
    #[cfg(test)]
    pub(crate) fn every() -> Vec<Self> {
        let level = Level::new();
        #[cfg(target_arch = "x86_64")]
        let others = [level.as_sse4_2().map(Level::Sse4_2), level.as_avx2().map(Level::Avx2)];
        #[cfg(not(target_arch = "x86_64"))]
        let others: [Option<Level>; 0] = [];
        others.into_iter().flatten().chain([level]).filter_map(Self::of_level).collect()
    }
}

/// The states of all lanes: the word with the same place in the state of every lane, for each place.
#[derive(Debug)]
pub(crate) struct States([[u32; MAX_LANES]; 8]);

impl States {
    /// The states of lanes that have hashed nothing yet.
    pub(crate) fn new() -> Self {
        Self(INITIAL_STATE.map(|word| [word; MAX_LANES]))
    }

    /// A lane begins anew.
    pub(crate) fn reset(&mut self, lane: usize) {
        self.0.iter_mut().zip(INITIAL_STATE).for_each(|(words, word)| words[lane] = word);
    }

    /// The checksum of what a lane has hashed.
    pub(crate) fn checksum(&self, lane: usize) -> Checksum {
        let mut bytes = [0; 32];
        for (bytes, words) in bytes.chunks_mut(4).zip(&self.0) {
            bytes.copy_from_slice(&words[lane].to_be_bytes());
        }
        Checksum::new(bytes)
    }
}

#[inline(always)]
fn lanes_of<S: Simd>(_: S) -> usize {
    S::u32s::LEN
}

#[inline(always)]
fn rotate<V: SimdInt<S> + std::ops::BitOr<Output = V>, S: Simd>(words: V, bits: u32) -> V {
    (words >> bits) | (words << (32 - bits))
}

/// Adds a number of blocks of every lane to its state.
#[inline(always)]
#[allow(clippy::many_single_char_names, reason = "they are called so in the standard")]
fn compress<S: Simd>(
    simd: S,
    states: &mut [[u32; MAX_LANES]; 8],
    data: &[&[Block]; MAX_LANES],
    blocks: usize,
) {
    let lanes = S::u32s::LEN;
    let load = |words: &[u32; MAX_LANES]| S::u32s::from_slice(simd, &words[..lanes]);
    let mut state = std::array::from_fn::<_, 8, _>(|i| load(&states[i]));
    for block in 0..blocks {
        let mut words = [[0; MAX_LANES]; 16];
        for (lane, blocks) in data[..lanes].iter().enumerate() {
            for (words, bytes) in words.iter_mut().zip(blocks[block].as_chunks().0) {
                words[lane] = u32::from_be_bytes(*bytes);
            }
        }
        let mut w = std::array::from_fn::<_, 16, _>(|i| load(&words[i]));
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        for round in (0..64).step_by(16) {
            for i in 0..16 {
                if round > 0 {
                    let (w15, w2) = (w[(i + 1) % 16], w[(i + 14) % 16]);
                    let s0 = rotate(w15, 7) ^ rotate(w15, 18) ^ (w15 >> 3);
                    let s1 = rotate(w2, 17) ^ rotate(w2, 19) ^ (w2 >> 10);
                    w[i] = w[i] + s0 + w[(i + 9) % 16] + s1;
                }
                let s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
                let choice = g ^ (e & (f ^ g));
                let t1 = h + s1 + choice + S::u32s::splat(simd, ROUND_CONSTANTS[round + i]) + w[i];
                let s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
                let majority = (a & b) | (c & (a | b));
                (h, g, f, e) = (g, f, e, d + t1);
                (d, c, b, a) = (c, b, a, t1 + s0 + majority);
            }
        }
        for (sum, word) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *sum += word;
        }
    }
    for (words, state) in states.iter_mut().zip(state) {
        state.store_slice(&mut words[..lanes]);
    }
}
