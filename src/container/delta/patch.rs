//! A new file as a frame of zstd whose dictionary is an old one.

use std::io;

use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, ErrorCode, get_error_name};

use super::record::MAX_PATCH_WINDOW_LOG;

const MIB: u64 = 1024 * 1024;
/// What is compressed without the old file first, to know what that is worth: quickly.
const QUICK_LEVEL: i32 = 1;
/// The bytes that a record with a frame takes besides it, about.
const RECORD_BYTES: usize = 64;

/// The most bytes of both files together for which a patch is tried: beyond them a frame cannot refer to all of the
/// old file, and memory would not be bounded.
pub(super) const MAX_PATCH_BYTES: u64 = 128 * MIB;

/// The frame from which `old` makes `new`; `None` if it is not worth it.
pub(super) fn frame(old: &[u8], new: &[u8], level: i32) -> io::Result<Option<Vec<u8>>> {
    let mut compressor = Compressor::new(level)?;
    compressor.set_parameter(CParameter::WindowLog(window_log(old.len() + new.len())))?;
    compressor.set_parameter(CParameter::EnableLongDistanceMatching(true))?;
    compressor.context_mut().ref_prefix(old).map_err(failed)?;
    let mut frame = compressor.compress(new)?;
    frame.shrink_to_fit();
    let alone = zstd::bulk::compress(new, QUICK_LEVEL)?.len();
    Ok((frame.len() + RECORD_BYTES < alone).then_some(frame))
}

fn failed(code: ErrorCode) -> io::Error {
    io::Error::other(get_error_name(code))
}

/// The memory that making a frame takes, in bytes, roughly.
pub(super) fn memory(old: u64, new: u64, level: i32) -> u64 {
    let tables = if level < 16 { 48 * MIB } else { 88 * MIB };
    old + 2 * new + tables.min(10 * (old + new))
}

/// The smallest window, as a power of two, that holds so many bytes.
fn window_log(bytes: usize) -> u32 {
    bytes.next_power_of_two().trailing_zeros().clamp(10, MAX_PATCH_WINDOW_LOG)
}
