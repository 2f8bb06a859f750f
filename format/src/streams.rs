//! SHA-256 of many streams, several side by side where that is faster.
//!
//! ```text
//! push ─► lane 0    buffer ▒▒▒▒▒▒░░   ┐
//! push ─► lane 1    buffer ▒▒▒░░░░░   ├─ as many blocks of all as the shortest buffer has ─► the stream that ended,
//! …                                   │                                                      and its checksum
//! push ─► lane 15   buffer ▒▒▒▒▒▒▒▒   ┘
//! long    one after another
//! ```
//! Lanes only pay while most of them are in use: a stream takes the place of one that has ended, and one that is so
//! long that it would be the last for a long time gets no lane. Without lanes (see [`Hasher`]) all are hashed one
//! after another.
//!
//! On an AVX-512 processor whose SHA instructions were not used, with lanes and without, seconds of the processor for a
//! Debian root of 380 MB: `fsck` 0.49 and 1.18; `commit`, whose larger files are hashed while they are copied and get no
//! lanes, 1.24 and 1.65.

use std::io::{self, Read};
use std::ops::Range;

use crate::checksum::Checksum;
use crate::hash::{Hasher, lanes};
use crate::lanes::{Block, Lanes, MAX_LANES, States};

/// Bytes of a lane that are in memory.
const LANE_BYTES: usize = 32 * 1024;
/// What follows a stream: a bit, zeros, its length in bits.
const MAX_PADDING_BYTES: usize = 64 + 8;
/// Bytes that are in memory of a stream without a lane.
const SINGLE_BYTES: usize = 128 * 1024;
/// A longer stream gets no lane: alone in the end, it would need three times as long there.
const LONG_BYTES: u64 = 4 << 20;

/// A stream that has ended, with what was said about it, and its checksum or what went wrong with reading it.
pub type Finished<T, R> = (T, R, io::Result<Checksum>);

/// Streams that are being hashed, each with what it is to the caller. They take memory for the buffers of the lanes
/// (half a megabyte), and none of a stream's length.
#[derive(Debug)]
pub struct Streams<T, R> {
    lanes: Option<Lanes>,
    states: States,
    slots: Vec<Slot<T, R>>,
    /// The buffer for streams that are hashed without a lane.
    buffer: Vec<u8>,
}

impl<T, R: Read> Streams<T, R> {
    /// No streams yet; they will be hashed in the lanes that the processor has.
    pub fn new() -> Self {
        Self::with(lanes())
    }

    /// No streams yet; each will be hashed by itself, and no more than one is held at a time.
    pub fn one_by_one() -> Self {
        Self::with(None)
    }

    fn with(lanes: Option<Lanes>) -> Self {
        let slots = (0..lanes.map_or(0, Lanes::count)).map(|_| Slot::new()).collect();
        Self { lanes, states: States::new(), slots, buffer: Vec::new() }
    }

    /// Adds a stream of about `len` bytes. Where there is no room, hashes until a stream has ended, and returns that;
    /// it may be the one that was added.
    pub fn push(&mut self, tag: T, stream: R, len: u64) -> Option<Finished<T, R>> {
        if self.slots.is_empty() || len > LONG_BYTES {
            return Some(self.hash_alone(tag, stream));
        }
        let free = |slots: &[Slot<T, R>]| slots.iter().position(|slot| slot.stream.is_none());
        let mut finished = None;
        if free(&self.slots).is_none() {
            finished = self.finish_one();
        }
        if let Some(lane) = free(&self.slots) {
            self.states.reset(lane);
            self.slots[lane].begin(tag, stream);
        }
        finished
    }

    /// Hashes until a stream has ended; `None` if there are no more.
    pub fn finish_one(&mut self) -> Option<Finished<T, R>> {
        let lanes = self.lanes?;
        loop {
            for (lane, slot) in self.slots.iter_mut().enumerate() {
                if let Some(result) = slot.refill() {
                    let (tag, stream) = slot.stream.take()?;
                    return Some((tag, stream, result.map(|()| self.states.checksum(lane))));
                }
            }
            let in_use = || self.slots.iter().filter(|slot| slot.stream.is_some());
            let any = in_use().min_by_key(|slot| slot.ready.len())?;
            let count = any.blocks().len();
            let data: [&[Block]; MAX_LANES] = std::array::from_fn(|lane| {
                let slot = self.slots.get(lane).filter(|slot| slot.stream.is_some());
                &slot.unwrap_or(any).blocks()[..count]
            });
            lanes.compress(&mut self.states, &data);
            self.slots.iter_mut().for_each(|slot| slot.advance(count));
        }
    }

    fn hash_alone(&mut self, tag: T, mut stream: R) -> Finished<T, R> {
        self.buffer.resize(SINGLE_BYTES, 0);
        let mut hasher = Hasher::new();
        loop {
            match stream.read(&mut self.buffer) {
                Ok(0) => return (tag, stream, Ok(hasher.finish())),
                Ok(n) => hasher.update(&self.buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (tag, stream, Err(e)),
            }
        }
    }
}

impl<T, R: Read> Default for Streams<T, R> {
    fn default() -> Self {
        Self::new()
    }
}

/// A lane, and the stream in it.
#[derive(Debug)]
struct Slot<T, R> {
    stream: Option<(T, R)>,
    /// Bytes that were read.
    bytes: u64,
    buffer: Box<[u8]>,
    /// What of the buffer is still to be hashed.
    ready: Range<usize>,
    /// Whether that is all, with the padding behind it.
    ended: bool,
}

impl<T, R: Read> Slot<T, R> {
    fn new() -> Self {
        let buffer = vec![0; LANE_BYTES + MAX_PADDING_BYTES].into();
        Self { stream: None, bytes: 0, buffer, ready: 0..0, ended: false }
    }

    fn begin(&mut self, tag: T, stream: R) {
        (self.stream, self.bytes, self.ready, self.ended) = (Some((tag, stream)), 0, 0..0, false);
    }

    /// Reads on if there is not a whole block; tells once everything was hashed, or what went wrong.
    fn refill(&mut self) -> Option<io::Result<()>> {
        let (_, stream) = self.stream.as_mut()?;
        if self.ready.len() >= size_of::<Block>() {
            return None;
        }
        if self.ended {
            return Some(Ok(()));
        }
        self.buffer.copy_within(self.ready.clone(), 0);
        let mut end = self.ready.len();
        while end < LANE_BYTES {
            match stream.read(&mut self.buffer[end..LANE_BYTES]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(n) => end += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Some(Err(e)),
            }
        }
        self.bytes += (end - self.ready.len()) as u64;
        if self.ended {
            end = self.pad(end);
        }
        self.ready = 0..end;
        None
    }

    /// Writes the padding behind what was read; returns where it ends.
    fn pad(&mut self, from: usize) -> usize {
        let end = (from + 1 + 8).next_multiple_of(size_of::<Block>());
        self.buffer[from..end].fill(0);
        self.buffer[from] = 0x80;
        self.buffer[end - 8..end].copy_from_slice(&self.bytes.wrapping_mul(8).to_be_bytes());
        end
    }

    fn blocks(&self) -> &[Block] {
        self.buffer[self.ready.clone()].as_chunks().0
    }

    /// Notes that this many blocks were hashed.
    fn advance(&mut self, blocks: usize) {
        self.ready.start += (blocks * size_of::<Block>()).min(self.ready.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    /// A stream that gives its bytes in pieces of some lengths, and may break.
    #[derive(Debug, Clone)]
    struct Pieces {
        data: Vec<u8>,
        at: usize,
        pieces: Vec<usize>,
        breaks_at: Option<usize>,
    }

    impl Read for Pieces {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.breaks_at.is_some_and(|end| self.at >= end) {
                return Err(io::Error::other("broken"));
            }
            let piece = self.pieces[self.at % self.pieces.len()];
            let n = piece.min(buf.len()).min(self.data.len() - self.at);
            buf[..n].copy_from_slice(&self.data[self.at..self.at + n]);
            self.at += n;
            Ok(n)
        }
    }

    fn pieces() -> impl Strategy<Value = Pieces> {
        let len = prop_oneof![0..300usize, 0..3 * LANE_BYTES, Just(LANE_BYTES), Just(LANE_BYTES - 8)];
        let breaks = prop_oneof![9 => Just(None), 1 => (0..1000usize).prop_map(Some)];
        (len, any::<u32>(), vec(1..70_000usize, 1..4), breaks).prop_map(|(len, seed, pieces, breaks_at)| {
            let byte = |n: usize| ((n as u32).wrapping_add(seed).wrapping_mul(2_654_435_761) >> 11) as u8;
            Pieces { data: (0..len).map(byte).collect(), at: 0, pieces, breaks_at }
        })
    }

    /// Hashes in all lanes of this processor, of every kind, and without.
    fn check(streams: &[Pieces], said: &[u64], takes_out: &[bool]) {
        for lanes in Lanes::every().into_iter().map(Some).chain([None]) {
            let mut hashing = Streams::with(lanes);
            let mut finished = Vec::new();
            for (n, stream) in streams.iter().enumerate() {
                finished.extend(hashing.push(n, stream.clone(), said[n % said.len()]));
                if takes_out[n % takes_out.len()] {
                    finished.extend(hashing.finish_one());
                }
            }
            finished.extend(std::iter::from_fn(|| hashing.finish_one()));
            finished.sort_by_key(|(n, ..)| *n);
            assert_eq!(finished.len(), streams.len());
            for (at, ((n, stream, result), given)) in finished.into_iter().zip(streams).enumerate() {
                assert_eq!((n, &stream.data), (at, &given.data));
                let breaks = given.breaks_at.is_some_and(|end| end <= given.data.len());
                let expected = Checksum::new(Sha256::digest(&given.data).into());
                assert_eq!(
                    result.ok(),
                    (!breaks).then_some(expected),
                    "{lanes:?} {n}: {} bytes",
                    given.data.len()
                );
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_stream_has_its_own_checksum(
            streams in vec(pieces(), 0..60),
            said in vec(prop_oneof![4 => Just(0), 1 => Just(LONG_BYTES + 1)], 1..5),
            takes_out in vec(any::<bool>(), 1..5),
        ) {
            check(&streams, &said, &takes_out);
        }
    }

    /// Every length of the padding, in lanes that all begin and end at other times.
    #[test]
    fn every_length_around_a_block() {
        let of = |len| Pieces { data: vec![7; len], at: 0, pieces: vec![1000], breaks_at: None };
        check(&(0..300).map(of).collect::<Vec<_>>(), &[0], &[false]);
    }
}
