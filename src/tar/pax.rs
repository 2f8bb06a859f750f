//! Extended headers (POSIX.1-2001 pax): values that do not fit into a header block.
//!
//! ```text
//! record   LENGTH ' ' KEY '=' VALUE '\n'      LENGTH is decimal and counts the whole record
//! ```
//! The value is taken by its length: xattrs may hold newlines.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ostree_format::Xattrs;

use super::error::{Error, FormatErrorKind, Result};
use super::sparse::SparseRecords;
use crate::store::selinux::LABEL_XATTR;

/// An extended header may not be larger than this.
pub(super) const MAX_PAX_BYTES: u64 = 1024 * 1024;

/// libarchive writes base64 without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What the extended header of an entry says.
#[derive(Debug, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<i64>,
    pub(super) gid: Option<i64>,
    pub(super) mtime: Option<i64>,
    pub(super) sparse: SparseRecords,
    /// The access ACL, as text.
    pub(super) acl: Option<Vec<u8>>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Xattrs in libarchive's own records, which nobody else reads: they count where no other record has the xattr.
    libarchive: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Pax {
    /// Reads the records in `data`, which starts at `offset` of the stream. Later records win; an empty value
    /// gives way to the header block.
    pub(super) fn parse(data: &[u8], offset: u64) -> Result<Self> {
        let (mut pax, mut rest) = (Self::default(), data);
        while !rest.is_empty() {
            let at = offset + (data.len() - rest.len()) as u64;
            let error = |why| Error::format(at, FormatErrorKind::Pax(why));
            let (key, value, after) = record(rest).map_err(error)?;
            pax.set(key, value).map_err(error)?;
            rest = after;
        }
        Ok(pax)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let bytes = || (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = bytes(),
            b"linkpath" => self.link = bytes(),
            b"size" => self.size = decimal(value).ok_or("size is not a number")?,
            b"uid" => self.uid = signed(value).ok_or("uid is not a number")?,
            b"gid" => self.gid = signed(value).ok_or("gid is not a number")?,
            b"mtime" => self.mtime = time(value).ok_or("mtime is not a time")?,
            b"SCHILY.acl.access" => self.acl = bytes(),
            // GNU tar has a record of its own for SELinux labels.
            b"RHT.security.selinux" => set_xattr(&mut self.xattrs, LABEL_XATTR.to_vec(), value.to_vec())?,
            _ => {
                if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.set(key, value)?;
                } else if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    set_xattr(&mut self.xattrs, name.to_vec(), value.to_vec())?;
                } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    let name = percent_decode(name).ok_or("a malformed % in an xattr name")?;
                    let value = BASE64.decode(value).map_err(|_| "an xattr value is not base64")?;
                    set_xattr(&mut self.libarchive, name, value)?;
                }
            }
        }
        Ok(())
    }

    /// The xattrs.
    pub(super) fn into_xattrs(mut self) -> Xattrs {
        self.libarchive.append(&mut self.xattrs);
        Xattrs::from_pairs(self.libarchive)
    }
}

fn set_xattr(to: &mut BTreeMap<Vec<u8>, Vec<u8>>, name: Vec<u8>, value: Vec<u8>) -> Result<(), &'static str> {
    if name.is_empty() || name.contains(&0) {
        return Err("an xattr without a name");
    }
    to.insert(name, value);
    Ok(())
}

/// Appends one record to an extended header.
pub(super) fn push_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // The length counts its own digits.
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + digits(len) {
        len = rest + digits(len);
    }
    out.extend_from_slice(format!("{len} ").as_bytes());
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn digits(n: usize) -> usize {
    n.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Key, value, what follows.
type Record<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Splits off the first record.
fn record(data: &[u8]) -> Result<Record<'_>, &'static str> {
    let space = data.iter().take(20).position(|b| *b == b' ').ok_or("a record without a length")?;
    let len = decimal(&data[..space]).flatten().ok_or("a length that is not a number")?;
    let len = usize::try_from(len).map_err(|_| "a length that is too large")?;
    if len > data.len() || len < space + 1 {
        return Err("a record that is longer than its header");
    }
    let (record, after) = data.split_at(len);
    let record =
        record[space + 1..].strip_suffix(b"\n").ok_or("a record that does not end with a newline")?;
    let equals = record.iter().position(|b| *b == b'=').ok_or("a record without '='")?;
    if equals == 0 {
        return Err("a record without a key");
    }
    Ok((&record[..equals], &record[equals + 1..], after))
}

/// A decimal number; `Some(None)` if the value is empty.
fn decimal(text: &[u8]) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    let n = text.iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'9' => n.checked_mul(10)?.checked_add(u64::from(b - b'0')),
        _ => None,
    });
    n.map(Some)
}

/// A decimal number that may be negative; `Some(None)` if the value is empty.
fn signed(text: &[u8]) -> Option<Option<i64>> {
    let (sign, digits) = match text.strip_prefix(b"-") {
        Some([]) => return None,
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let Some(number) = decimal(digits)? else { return Some(None) };
    Some(Some(sign * i64::try_from(number).ok()?))
}

/// Seconds, rounded down; `Some(None)` if the value is empty.
fn time(text: &[u8]) -> Option<Option<i64>> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match text.iter().position(|b| *b == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &[][..]),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let Some(seconds) = decimal(whole)? else { return (!negative).then_some(None) };
    let seconds = i64::try_from(seconds).ok()?;
    let below = i64::from(fraction.iter().any(|b| *b != b'0'));
    Some(Some(if negative { -seconds - below } else { seconds }))
}

fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let mut byte = [0];
        hex::decode_to_slice(rest.get(..2)?, &mut byte).ok()?;
        out.push(byte[0]);
        rest = &rest[2..];
    }
    Some(out)
}
