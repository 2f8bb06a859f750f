//! A new file as a frame of zstd whose dictionary is an old one.

use std::io;

use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, ErrorCode, get_error_name};

use super::record::MAX_PATCH_WINDOW_LOG;

const MIB: u64 = 1024 * 1024;
/// What is compressed without the old file first, to know what that is worth: not as well as the stream would do it.
const QUICK_LEVEL: i32 = 6;
/// The bytes that a record with a frame takes besides it, about.
const RECORD_BYTES: u64 = 64;

/// Whether a frame of so many bytes is worth it, for a file that takes `alone` bytes without the old one. In the stream it
/// would take some five percent less.
const fn is_worth(frame: u64, alone: u64) -> bool {
    frame + RECORD_BYTES < alone - alone / 16
}

/// What zstd takes for finding what is alike, as powers of two: 24 MiB together, where high levels would take 80. Patches
/// are a few thousandths larger by that.
const CHAIN_LOG: u32 = 22;
const HASH_LOG: u32 = 21;

/// The most bytes of both files together for which a patch is tried: beyond them a frame cannot refer to all of the
/// old file, and memory would not be bounded.
pub(super) const MAX_PATCH_BYTES: u64 = 128 * MIB;

/// The frame from which `old` makes `new`; `None` if it is not worth it.
pub(super) fn frame(old: &[u8], new: &[u8], level: i32) -> io::Result<Option<Vec<u8>>> {
    let alone = bytes_alone(new)?;
    let mut compressor = Compressor::new(level)?;
    compressor.set_parameter(CParameter::WindowLog(window_log(old.len() + new.len())))?;
    compressor.set_parameter(CParameter::EnableLongDistanceMatching(true))?;
    compressor.set_parameter(CParameter::ChainLog(CHAIN_LOG))?;
    compressor.set_parameter(CParameter::HashLog(HASH_LOG))?;
    compressor.context_mut().ref_prefix(old).map_err(failed)?;
    let mut frame = compressor.compress(new)?;
    frame.shrink_to_fit();
    Ok(is_worth(frame.len() as u64, alone).then_some(frame))
}

/// The bytes that `new` takes without an old file, compressed quickly. They are counted, not kept.
fn bytes_alone(new: &[u8]) -> io::Result<u64> {
    let mut counted = Counted(0);
    zstd::stream::copy_encode(new, &mut counted, QUICK_LEVEL)?;
    Ok(counted.0)
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
