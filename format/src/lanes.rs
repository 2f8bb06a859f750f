//! SHA-256 of several messages side by side: each has a lane of the processor's vectors.
//!
//! ```text
//!            lane 0   lane 1   …  lane 15
//! state      a b … h  a b … h     a b … h    as 8 vectors, one of all a, one of all b, …
//! block      message  message     message    a lane whose message ends takes the next one
//! ```
//! On an AVX-512 processor at 2.3 GHz: 2.4 GB/s by 16 lanes, 0.93 GB/s by 8 lanes of AVX2; one message after another
//! 1.24 GB/s by SHA instructions, 0.3 GB/s without. Source: FIPS 180-4, 5 and 6.2.

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch};

use crate::checksum::Checksum;

/// Lanes that any processor has.
const MAX_LANES: usize = 16;
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

type Block = [u8; 64];
/// The word with the same place in the state of every lane, for each place.
type States = [[u32; MAX_LANES]; 8];

/// The lanes of this processor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lanes {
    level: Level,
    count: usize,
}

impl Lanes {
    /// Those that there are, if they pay.
    pub(crate) fn detect() -> Option<Self> {
        Self::of_level(Level::new()).filter(|lanes| lanes.count >= MIN_LANES)
    }

    fn of_level(level: Level) -> Option<Self> {
        let count = dispatch!(level, simd => lanes_of(simd));
        (count <= MAX_LANES).then_some(Self { level, count })
    }

    /// The checksum of each message.
    pub(crate) fn checksums(self, messages: &[&[u8]]) -> Vec<Checksum> {
        let mut out = vec![Checksum::EMPTY; messages.len()];
        let mut order: Vec<usize> = (0..messages.len()).collect();
        order.sort_unstable_by_key(|i| messages[*i].len());
        let mut left: usize = messages.iter().map(|message| message.len()).sum();
        // A message that is longer than all others would have its lane for itself in the end.
        while let Some(longest) = order.pop() {
            let len = messages[longest].len();
            if order.len() + 1 >= self.count / 2 && len <= left / (self.count / 2) {
                order.push(longest);
                break;
            }
            left -= len;
            out[longest] = Checksum::of(messages[longest]);
        }
        self.run(messages, order, &mut out);
        out
    }

    /// Hashes the messages that `order` ends with, the last one first.
    fn run(self, messages: &[&[u8]], mut order: Vec<usize>, out: &mut [Checksum]) {
        let mut states: States = [[0; MAX_LANES]; 8];
        let mut lanes: [Option<Lane<'_>>; MAX_LANES] = [const { None }; MAX_LANES];
        loop {
            for (at, lane) in lanes[..self.count].iter_mut().enumerate() {
                if lane.is_none()
                    && let Some(index) = order.pop()
                {
                    *lane = Some(Lane::new(index, messages[index]));
                    states.iter_mut().zip(INITIAL_STATE).for_each(|(words, word)| words[at] = word);
                }
            }
            let Some(blocks) = lanes.iter().flatten().map(|lane| lane.blocks().len()).min() else { return };
            // A lane without a message computes what nobody looks at.
            let Some(any) = lanes.iter().flatten().next() else { return };
            let data: [&[Block]; MAX_LANES] =
                std::array::from_fn(|at| &lanes[at].as_ref().unwrap_or(any).blocks()[..blocks]);
            dispatch!(self.level, simd => compress(simd, &mut states, &data, blocks));
            for (at, slot) in lanes.iter_mut().enumerate() {
                if let Some(lane) = slot
                    && lane.advance(blocks)
                {
                    out[lane.index] = checksum_of(&states, at);
                    *slot = None;
                }
            }
        }
    }
}

/// The message that is under way in a lane.
struct Lane<'a> {
    index: usize,
    /// Its whole blocks that are still to come.
    whole: &'a [Block],
    /// What follows: the rest of the message, a bit, zeros, its length in bits.
    tail: [Block; 2],
    /// The blocks of the tail that are still to come.
    tail_blocks: std::ops::Range<usize>,
}

impl<'a> Lane<'a> {
    fn new(index: usize, message: &'a [u8]) -> Self {
        let (whole, rest) = message.as_chunks();
        let mut tail = [[0; 64]; 2];
        let blocks = if rest.len() + 1 + 8 <= 64 { 1 } else { 2 };
        tail[0][..rest.len()].copy_from_slice(rest);
        tail[0][rest.len()] = 0x80;
        tail[blocks - 1][56..].copy_from_slice(&(message.len() as u64 * 8).to_be_bytes());
        Self { index, whole, tail, tail_blocks: 0..blocks }
    }

    /// The next blocks.
    fn blocks(&self) -> &[Block] {
        if self.whole.is_empty() { &self.tail[self.tail_blocks.clone()] } else { self.whole }
    }

    /// Goes on behind so many of them; tells whether that is the end.
    fn advance(&mut self, blocks: usize) -> bool {
        match self.whole.split_at_checked(blocks) {
            Some((_, rest)) if !self.whole.is_empty() => self.whole = rest,
            _ => self.tail_blocks.start += blocks,
        }
        self.whole.is_empty() && self.tail_blocks.is_empty()
    }
}

fn checksum_of(states: &States, lane: usize) -> Checksum {
    let mut bytes = [0; 32];
    for (bytes, words) in bytes.chunks_mut(4).zip(states) {
        bytes.copy_from_slice(&words[lane].to_be_bytes());
    }
    Checksum::new(bytes)
}

#[inline(always)]
fn lanes_of<S: Simd>(_: S) -> usize {
    S::u32s::LEN
}

#[inline(always)]
fn rotate<V: SimdInt<S> + std::ops::BitOr<Output = V>, S: Simd>(words: V, bits: u32) -> V {
    (words >> bits) | (words << (32 - bits))
}

/// Adds so many blocks of every lane to its state.
#[inline(always)]
#[allow(clippy::many_single_char_names, reason = "they are called so in the standard")]
fn compress<S: Simd>(simd: S, states: &mut States, data: &[&[Block]; MAX_LANES], blocks: usize) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of vector that this processor has.
    fn every_level() -> Vec<Lanes> {
        let level = Level::new();
        #[cfg(target_arch = "x86_64")]
        let others = [level.as_sse4_2().map(Level::Sse4_2), level.as_avx2().map(Level::Avx2)];
        #[cfg(not(target_arch = "x86_64"))]
        let others: [Option<Level>; 0] = [];
        others.into_iter().flatten().chain([level]).filter_map(Lanes::of_level).collect()
    }

    #[test]
    fn lanes_give_what_one_message_gives() {
        let data: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        let all: Vec<usize> = (0..300).chain([1000, 4096, 65_536, 10_000, 199_999]).collect();
        for lens in [&[][..], &[0], &[5; 3], &[64; 16], &[100_000; 17], &[199_999, 0, 1, 2, 3, 4], &all] {
            let messages: Vec<_> = lens.iter().map(|len| &data[data.len() - len..]).collect();
            let expected: Vec<_> = messages.iter().map(|message| Checksum::of(message)).collect();
            for lanes in every_level() {
                assert_eq!(lanes.checksums(&messages), expected, "{lanes:?} {}", lens.len());
                let (order, mut out) = ((0..lens.len()).collect(), vec![Checksum::EMPTY; lens.len()]);
                lanes.run(&messages, order, &mut out);
                assert_eq!(out, expected, "{lanes:?} {}", lens.len());
            }
        }
    }
}
