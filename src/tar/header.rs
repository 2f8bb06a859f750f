//! The header block of an entry: its fields, as every format of tar has them.

use super::entry::EntryKind;
use super::error::{Error, FormatErrorKind as Kind, Result};
use super::number;
use super::reader::BLOCK_BYTES;

/// GNU tar's types: a directory with the names in it, a name for the whole archive, a file with holes.
const DUMPDIR: u8 = b'D';
const VOLUME_LABEL: u8 = b'V';
const GNU_SPARSE: u8 = b'S';

pub(super) fn is_dumpdir(header: &tar::Header) -> bool {
    header.as_bytes()[156] == DUMPDIR
}

pub(super) fn is_gnu_sparse(header: &tar::Header) -> bool {
    header.as_bytes()[156] == GNU_SPARSE
}

pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    &bytes[..end]
}

/// The sum of all bytes, the checksum itself taken as spaces. Some old programs summed signed bytes.
pub(super) fn verify_checksum(block: &[u8; BLOCK_BYTES], at: u64) -> Result<()> {
    // The sum, and how many bytes are negative where they are signed: by 256 less than the others think.
    let sums = |bytes: &[u8]| {
        bytes.iter().fold((0, 0), |(sum, negative), b| (sum + i32::from(*b), negative + i32::from(*b >> 7)))
    };
    let ((all, negative), (own, own_negative)) = (sums(block), sums(&block[148..156]));
    let unsigned = all - own + 8 * i32::from(b' ');
    let signed = unsigned - 256 * (negative - own_negative);
    match number::signed(&block[148..156]) {
        Some(sum) if sum == unsigned.into() || sum == signed.into() => Ok(()),
        _ => Err(Error::format(at, Kind::Checksum)),
    }
}

pub(super) fn header_size(header: &tar::Header, at: u64) -> Result<u64> {
    number::unsigned(&header.as_old().size).ok_or_else(|| Error::format(at, Kind::Number("size")))
}

pub(super) fn number_in(field: &[u8], name: &'static str, at: u64) -> Result<u32> {
    let number = number::unsigned(field).and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| Error::format(at, Kind::Number(name)))
}

/// A user or group, by the extended header or else the field of the header block. Some systems count from the end of
/// 32 bits: their `nobody` is -2.
pub(super) fn owner(pax: Option<i64>, field: &[u8], name: &'static str, at: u64) -> Result<u32> {
    let wrong = || Error::format(at, Kind::Number(name));
    let id = pax.map(i128::from).or_else(|| number::signed(field)).ok_or_else(wrong)?;
    i32::try_from(id).map(i32::cast_unsigned).or_else(|_| u32::try_from(id)).map_err(|_| wrong())
}

/// The path in the header block: ustar splits a long one in two. Not every program that does so writes the version
/// of ustar behind its magic.
pub(super) fn header_path(header: &tar::Header) -> Vec<u8> {
    let name = until_nul(&header.as_old().name);
    let bytes = header.as_bytes();
    let prefix = match (&bytes[257..263], &bytes[508..]) {
        // star keeps times behind a shorter prefix.
        (b"ustar\0", b"tar\0") => until_nul(&bytes[345..476]),
        (b"ustar\0", _) => until_nul(&bytes[345..500]),
        _ => &[],
    };
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

pub(super) fn entry_kind(header: &tar::Header, path: &[u8], stored: u64, at: u64) -> Result<EntryKind> {
    let device = || -> Result<(u32, u32)> {
        // Both fields lie at the same place in every format that has them.
        let bytes = header.as_bytes();
        Ok((number_in(&bytes[329..337], "devmajor", at)?, number_in(&bytes[337..345], "devminor", at)?))
    };
    Ok(match header.as_bytes()[156] {
        // Before there was a type for directories, a slash at the end told; but a directory has no content.
        0 | b'0' if path.ends_with(b"/") && stored == 0 => EntryKind::Dir,
        0 | b'0' | b'7' => EntryKind::Regular,
        b'1' => EntryKind::Link,
        b'2' => EntryKind::Symlink,
        b'3' => device().map(|(major, minor)| EntryKind::Char(major, minor))?,
        b'4' => device().map(|(major, minor)| EntryKind::Block(major, minor))?,
        b'5' | DUMPDIR => EntryKind::Dir,
        b'6' => EntryKind::Fifo,
        b'M' => return Err(Error::format(at, Kind::Unsupported("a file that began in another volume"))),
        VOLUME_LABEL => EntryKind::VolumeLabel,
        // POSIX: an unknown type is treated as a regular file. GNU_SPARSE is one anyway.
        _ => EntryKind::Regular,
    })
}
