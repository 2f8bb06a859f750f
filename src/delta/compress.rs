//! Compresses a part that is ready, as xz.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use lzma_rust2::{XzOptions, XzWriter};
use ostree_format::delta::DeltaPartEntry;

use super::builder::Built;
use crate::base::Cancel;
use crate::base::io::{COPY_BYTES, Cancellable, Hashing, Spool};

/// The distance over which repetitions are found. The objects of a part stand in the order of their paths, which brings
/// what is alike together: 32 MiB, as libostree has, save 5 % and take 370 MiB of memory.
const DICTIONARY_BYTES: u32 = 4 << 20;
const PRESET: u32 = 6;

/// The memory that compressing one part takes, in bytes: twelve times the dictionary.
pub(super) const MEMORY_BYTES: u64 = 12 * DICTIONARY_BYTES as u64;

/// A part as a file, and what the superblock says of it.
pub(super) struct Packed {
    pub(super) file: File,
    pub(super) entry: DeltaPartEntry,
}

/// Compresses `part` into a file that `spool` makes.
pub(super) fn compress(part: Built, spool: &Spool<'_>, cancel: &Cancel) -> io::Result<Packed> {
    let Built { head, mut payload, tail, objects, unpacked_bytes } = part;
    payload.seek(SeekFrom::Start(0))?;
    let mut plain = Cancellable::new((&head[..]).chain(payload).chain(&tail[..]), cancel);
    let mut options = XzOptions::with_preset(PRESET);
    options.lzma_options.dict_size = DICTIONARY_BYTES;
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
