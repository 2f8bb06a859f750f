//! A new file as a frame of zstd whose dictionary is an old one.

use std::io;

use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, ErrorCode, get_error_name};

use super::record::MAX_PATCH_WINDOW_LOG;

const MIB: u64 = 1024 * 1024;
/// What is compressed without the old file first, to know what that is worth: not as well as the stream would do it.
const QUICK_LEVEL: i32 = 6;
/// The least work that tells whether something is compressed already.
const LEAST_LEVEL: i32 = 1;
/// The bytes that a record with a frame takes besides it, about.
const RECORD_BYTES: u64 = 64;

/// A new file by itself: its bytes, and those that it takes when it is compressed quickly.
#[derive(Clone, Copy)]
pub(super) struct Alone {
    raw: u64,
    compressed: u64,
}

impl Alone {
    /// Looks at a file; exactly enough to tell whether it is compressed already.
    pub(super) fn of(new: &[u8]) -> io::Result<Self> {
        Self::at_level(new, LEAST_LEVEL)
    }

    /// Compresses a file without an old one. The bytes are counted, not kept.
    fn at_level(new: &[u8], level: i32) -> io::Result<Self> {
        let mut counted = Counted(0);
        zstd::stream::copy_encode(new, &mut counted, level)?;
        Ok(Self { raw: new.len() as u64, compressed: counted.0 })
    }

    fn saved(self) -> u64 {
        self.raw.saturating_sub(self.compressed)
    }

    /// Whether it is compressed already. What two such files have in common are short pieces, far between.
    pub(super) fn is_compressed(self) -> bool {
        self.saved() < self.raw / 16
    }

    /// Whether a frame of so many bytes is worth it. In the stream the file would take some five percent less, where it can
    /// be made smaller at all.
    fn is_worth(self, frame: u64) -> bool {
        frame + RECORD_BYTES < self.compressed.min(self.raw) - self.compressed.min(self.saved()) / 16
    }
}

/// What zstd takes for finding what is alike, as powers of two: 24 MiB together, where high levels would take 80. Patches
/// are a few thousandths larger by that.
const CHAIN_LOG: u32 = 22;
const HASH_LOG: u32 = 21;

/// How files that are compressed already are searched for the pieces that they have in common, by zstd's matcher for long
/// distances, with 32 MiB at most for its table. Below [`HIGH_LEVEL`] the other matcher would find hardly more in ten times
/// the time, and looking at twice as many places 0.3 % more in three times. Of two initramfs a tenth is found alike.
const SHORTEST_OF_COMPRESSED: u32 = 12;
const STEP_LOG_OF_COMPRESSED: u32 = 3;
const MAX_TABLE_LOG_OF_COMPRESSED: u32 = 22;
const LEVEL_OF_COMPRESSED: i32 = 2;
/// From this level on everything is looked for, whatever it takes.
const HIGH_LEVEL: i32 = 16;

/// The most bytes of both files together for which a patch is tried: beyond them a frame cannot refer to all of the
/// old file, and memory would not be bounded.
pub(super) const MAX_PATCH_BYTES: u64 = 128 * MIB;

/// The frame from which `old` makes `new`, which is so large alone; `None` if it is not worth it.
pub(super) fn frame(old: &[u8], new: &[u8], alone: Alone, level: i32) -> io::Result<Option<Vec<u8>>> {
    let alone = if alone.is_compressed() { alone } else { Alone::at_level(new, QUICK_LEVEL)? };
    let is_quick = alone.is_compressed() && level < HIGH_LEVEL;
    let mut compressor = Compressor::new(if is_quick { LEVEL_OF_COMPRESSED } else { level })?;
    let window_log = window_log(old.len() + new.len());
    compressor.set_parameter(CParameter::WindowLog(window_log))?;
    compressor.set_parameter(CParameter::EnableLongDistanceMatching(true))?;
    if alone.is_compressed() {
        compressor.set_parameter(CParameter::LdmMinMatch(SHORTEST_OF_COMPRESSED))?;
        compressor.set_parameter(CParameter::LdmHashRateLog(STEP_LOG_OF_COMPRESSED))?;
        let table_log = (window_log - STEP_LOG_OF_COMPRESSED).min(MAX_TABLE_LOG_OF_COMPRESSED);
        compressor.set_parameter(CParameter::LdmHashLog(table_log))?;
    }
    if !is_quick {
        compressor.set_parameter(CParameter::ChainLog(CHAIN_LOG))?;
        compressor.set_parameter(CParameter::HashLog(HASH_LOG))?;
    }
    compressor.context_mut().ref_prefix(old).map_err(failed)?;
    let mut frame = compressor.compress(new)?;
    frame.shrink_to_fit();
    Ok(alone.is_worth(frame.len() as u64).then_some(frame))
}

/// Counts what is written.
struct Counted(u64);

impl io::Write for Counted {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0 += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failed(code: ErrorCode) -> io::Error {
    io::Error::other(get_error_name(code))
}

/// The memory that making a frame takes, in bytes, roughly.
pub(super) fn memory(old: u64, new: u64) -> u64 {
    old + 2 * new + (32 * MIB).min(10 * (old + new))
}

/// The smallest window, as a power of two, that holds so many bytes.
fn window_log(bytes: usize) -> u32 {
    bytes.next_power_of_two().trailing_zeros().clamp(10, MAX_PATCH_WINDOW_LOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that nothing makes smaller.
    fn noise(seed: u64, n: usize) -> Vec<u8> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(n).collect()
    }

    /// As two compressed archives of nearly the same files have something in common: one piece of ten.
    #[test]
    fn pieces_of_compressed_files_are_found() {
        let (old, mut new) = (noise(1, 2_000_000), noise(2, 2_000_000));
        for at in (0..new.len()).step_by(1000) {
            let from = at * 7 % (old.len() - 100);
            new[at..at + 100].copy_from_slice(&old[from..from + 100]);
        }
        let alone = Alone::of(&new).unwrap();
        assert!(alone.is_compressed());
        let frame = frame(&old, &new, alone, 12).unwrap().unwrap();
        assert!(frame.len() < new.len() / 100 * 96, "{}", frame.len());
        let (mut decoder, mut read) = (zstd::Decoder::with_ref_prefix(&frame[..], &old).unwrap(), Vec::new());
        decoder.window_log_max(MAX_PATCH_WINDOW_LOG).unwrap();
        io::Read::read_to_end(&mut decoder, &mut read).unwrap();
        assert!(read == new);
        assert!(super::frame(&noise(3, 2_000_000), &new, alone, 12).unwrap().is_none());
    }
}
