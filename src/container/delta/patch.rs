//! A new file as a frame of zstd whose dictionary is an old one.

use std::io::{self, Write};

use zstd::stream::raw::{CParameter, Encoder};
use zstd::stream::zio;

use super::record::MAX_PATCH_WINDOW_LOG;

/// What is compressed without the old file first, to know what that is worth: quickly.
const QUICK_LEVEL: i32 = 1;
/// The bytes that a record with a frame takes besides it, about.
const RECORD_BYTES: usize = 64;

/// The most bytes of both files together for which a patch is tried: beyond them a frame cannot refer to all of the
/// old file, and memory would not be bounded.
pub(super) const MAX_PATCH_BYTES: u64 = 128 * 1024 * 1024;

/// The frame from which `old` makes `new`; `None` if it is not worth it.
pub(super) fn frame(old: &[u8], new: &[u8], level: i32) -> io::Result<Option<Vec<u8>>> {
    let mut encoder = Encoder::with_ref_prefix(level, old)?;
    encoder.set_pledged_src_size(Some(new.len() as u64))?;
    encoder.set_parameter(CParameter::WindowLog(window_log(old.len() + new.len())))?;
    encoder.set_parameter(CParameter::EnableLongDistanceMatching(true))?;
    let mut writer = zio::Writer::new(Vec::new(), encoder);
    writer.write_all(new)?;
    writer.finish()?;
    let (frame, _) = writer.into_inner();
    let alone = zstd::bulk::compress(new, QUICK_LEVEL)?.len();
    Ok((frame.len() + RECORD_BYTES < alone).then_some(frame))
}

/// The memory that making a frame takes, in bytes, roughly.
pub(super) fn memory(old: u64, new: u64) -> u64 {
    const TABLES: u64 = 48 * 1024 * 1024;
    let files = old + 2 * new;
    files + TABLES.min(10 * files)
}

/// The smallest window, as a power of two, that holds so many bytes.
fn window_log(bytes: usize) -> u32 {
    bytes.next_power_of_two().trailing_zeros().clamp(10, MAX_PATCH_WINDOW_LOG)
}
