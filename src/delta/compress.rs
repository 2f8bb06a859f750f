//! Compresses a part that is ready, as xz.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use lzma_rust2::{MfType, XzOptions, XzWriter};
use ostree_format::delta::DeltaPartEntry;

use super::builder::Built;
use crate::base::Cancel;
use crate::base::io::{COPY_BYTES, Cancellable, Hashing, Spool};

/// The distance over which repetitions are found, at most. The objects of a part stand in the order of their paths, which
/// brings what is alike together: 32 MiB, as libostree has, save 5 % and take 370 MiB of memory.
const MAX_DICTIONARY_BYTES: u64 = 4 << 20;
const MIN_DICTIONARY_BYTES: u64 = 64 << 10;
const PRESET: u32 = 6;
/// A repetition of so many bytes is long enough not to look for a longer one: with 64, as the preset has it, parts take
/// 1 % less and a quarter more time.
const NICE_BYTES: u32 = 32;

/// The memory that compressing a part takes at most.
pub(super) const MAX_MEMORY_BYTES: u64 = encoder_bytes(MAX_DICTIONARY_BYTES);

/// The memory that compressing a part takes.
pub(super) fn memory_bytes(part: &Built) -> u64 {
    encoder_bytes(dictionary_bytes(part))
}

/// Chains of hashes take half of what trees take, and make parts 2 % larger.
const fn encoder_bytes(dictionary_bytes: u64) -> u64 {
    8 * dictionary_bytes + (1 << 20)
}

fn dictionary_bytes(part: &Built) -> u64 {
    part.bytes.clamp(MIN_DICTIONARY_BYTES, MAX_DICTIONARY_BYTES).next_power_of_two()
}

/// A part as a file, and what the superblock says of it.
pub(super) struct Packed {
    pub(super) file: File,
    pub(super) entry: DeltaPartEntry,
}

/// Compresses `part` into a file that `spool` makes.
pub(super) fn compress(part: Built, spool: &Spool<'_>, cancel: &Cancel) -> io::Result<Packed> {
    let dictionary = u32::try_from(dictionary_bytes(&part)).map_err(io::Error::other)?;
    let Built { head, mut payload, tail, objects, unpacked_bytes, .. } = part;
    payload.seek(SeekFrom::Start(0))?;
    let mut plain = Cancellable::new((&head[..]).chain(payload).chain(&tail[..]), cancel);
    let mut options = XzOptions::with_preset(PRESET);
    options.lzma_options.dict_size = dictionary;
    (options.lzma_options.mf, options.lzma_options.nice_len) = (MfType::Hc4, NICE_BYTES);
    let mut out = Hashing::new(BufWriter::with_capacity(COPY_BYTES, spool()?));
    out.write_all(b"x")?;
    let mut xz = XzWriter::new(out, options)?;
    let mut buf = vec![0; COPY_BYTES];
    loop {
        match plain.read(&mut buf)? {
            0 => break,
            n => xz.write_all(&buf[..n])?,
        }
    }
    let out = xz.finish()?;
    let file_bytes = out.bytes();
    let (out, checksum) = out.finish();
    let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(Packed { file, entry: DeltaPartEntry { version: 0, checksum, file_bytes, unpacked_bytes, objects } })
}
