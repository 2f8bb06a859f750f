//! The GVariant framing that the object formats are made of, strict and without an allocation.
//!
//! ```text
//! tuple   member · padding to the next member's alignment · member … · end offsets, last member first
//! array   element · padding · element …                            · end offset of every element
//! ```
//! Only members of variable size have an end offset, and in a tuple the last member has none. An offset
//! takes 1, 2, 4 or 8 bytes, little endian: the fewest with which the whole container's size can be told.
//! Only the form that GLib's serializer writes is accepted, since ids are taken from the bytes.
//! Source: the GVariant specification 1.0, sections 2.3–2.5.

use crate::error::{ParseError, ParseErrorKind, Result};

/// Bytes of one framing offset in a container of `size` bytes.
pub(crate) const fn offset_width(size: usize) -> usize {
    match size {
        0 => 0,
        1..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// Bytes of one framing offset that a serializer chooses for `body` bytes and `count` offsets.
pub(crate) const fn chosen_width(body: usize, count: usize) -> usize {
    if count == 0 {
        0
    } else if body + count <= 0xff {
        1
    } else if body + 2 * count <= 0xffff {
        2
    } else if body + 4 * count <= 0xffff_ffff {
        4
    } else {
        8
    }
}

/// A number of bytes that may not fit into memory: no such thing has a framing that is right.
pub(crate) fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The number that these bytes are, the least significant one first.
pub(crate) fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Where the members of a tuple of `len` bytes end that have framing offsets, `N - 1` of them, and the last one, told by
/// its last bytes: at least 8 for each of them, or all of it.
pub(crate) fn tuple_ends<const N: usize>(what: &'static str, len: u64, tail: &[u8]) -> Result<[u64; N]> {
    let fail = |offset, kind| Err(ParseError::new(what, size(offset), kind));
    let width = offset_width(size(len));
    let bytes = (N - 1) * width;
    let (Some(table), Some(body)) = (tail.len().checked_sub(bytes), len.checked_sub(bytes as u64)) else {
        return fail(len, ParseErrorKind::Truncated);
    };
    if width == 0 || chosen_width(size(body), N - 1) != width {
        return fail(body, if width == 0 { ParseErrorKind::Truncated } else { ParseErrorKind::NotNormal });
    }
    let mut ends = [body; N];
    // The end of the last member comes first.
    let offsets = tail.get(table..).unwrap_or_default().chunks(width).rev().map(little_endian);
    ends.iter_mut().zip(offsets).for_each(|(end, offset)| *end = offset);
    match ends.is_sorted() {
        true => Ok(ends),
        false => fail(body, ParseErrorKind::BadOffset),
    }
}

const fn align_up(at: usize, align: usize) -> usize {
    (at + align - 1) & !(align - 1)
}

/// A piece of the input that remembers what it is part of and where it starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slice<'a> {
    pub(crate) what: &'static str,
    pub(crate) offset: usize,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Slice<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, offset: 0, bytes }
    }

    pub(crate) fn error(&self, at: usize, kind: ParseErrorKind) -> ParseError {
        ParseError::new(self.what, self.offset + at, kind)
    }

    pub(crate) fn named(self, what: &'static str) -> Self {
        Self { what, ..self }
    }

    fn sub(&self, from: usize, to: usize) -> Result<Self> {
        match self.bytes.get(from..to) {
            Some(bytes) => Ok(Self { what: self.what, offset: self.offset + from, bytes }),
            None => Err(self.error(from.min(self.bytes.len()), ParseErrorKind::BadOffset)),
        }
    }

    /// The framing offset of `width` bytes at `at`.
    fn frame_offset(&self, at: usize, width: usize) -> Result<usize> {
        let mut le = [0; 8];
        le[..width].copy_from_slice(self.sub(at, at + width)?.bytes);
        usize::try_from(u64::from_le_bytes(le)).map_err(|_| self.error(at, ParseErrorKind::BadOffset))
    }

    /// Checks the padding between `from` and the next multiple of `align`; returns where it ends.
    fn skip_padding(&self, from: usize, align: usize) -> Result<usize> {
        let to = align_up(from, align);
        match self.sub(from, to)?.bytes.iter().position(|b| *b != 0) {
            Some(at) => Err(self.error(from + at, ParseErrorKind::Padding)),
            None => Ok(to),
        }
    }

    /// The text of a GVariant string.
    pub(crate) fn string(self) -> Result<&'a str> {
        let Some((0, text)) = self.bytes.split_last() else {
            return Err(self.error(self.bytes.len(), ParseErrorKind::BadNul));
        };
        if let Some(at) = text.iter().position(|b| *b == 0) {
            return Err(self.error(at, ParseErrorKind::BadNul));
        }
        std::str::from_utf8(text).map_err(|e| self.error(e.valid_up_to(), ParseErrorKind::NotUtf8))
    }

    /// The elements of an array whose elements have no fixed size and this alignment.
    pub(crate) fn elements(self, align: usize) -> Result<Elements<'a>> {
        let width = offset_width(self.bytes.len());
        if width == 0 {
            return Ok(Elements { data: self, align, width: 1, body: 0, count: 0, next: 0, at: 0 });
        }
        let table = self.bytes.len().checked_sub(width);
        let table = table.ok_or_else(|| self.error(0, ParseErrorKind::Truncated))?;
        let body = self.frame_offset(table, width)?;
        let offsets = self.bytes.len().checked_sub(body).filter(|n| n % width == 0);
        let count = offsets.ok_or_else(|| self.error(table, ParseErrorKind::BadOffset))? / width;
        if chosen_width(body, count) != width {
            return Err(self.error(body, ParseErrorKind::NotNormal));
        }
        Ok(Elements { data: self, align, width, body, count, next: 0, at: 0 })
    }
}

/// The elements of an array, in order; ends after an error.
pub(crate) struct Elements<'a> {
    data: Slice<'a>,
    align: usize,
    width: usize,
    body: usize,
    count: usize,
    next: usize,
    at: usize,
}

impl<'a> Elements<'a> {
    fn element(&mut self) -> Result<Slice<'a>> {
        let end = self.data.frame_offset(self.body + self.next * self.width, self.width)?;
        let start = self.data.skip_padding(self.at, self.align)?;
        if end < start || end > self.body {
            return Err(self.data.error(self.body + self.next * self.width, ParseErrorKind::BadOffset));
        }
        (self.at, self.next) = (end, self.next + 1);
        self.data.sub(start, end)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Slice<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.count {
            return None;
        }
        let element = self.element();
        if element.is_err() {
            self.next = self.count;
        }
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count - self.next, Some(self.count - self.next))
    }
}

/// The members of a tuple, read from the first to the last.
pub(crate) struct Tuple<'a> {
    data: Slice<'a>,
    width: usize,
    body: usize,
    at: usize,
    frames_left: usize,
}

impl<'a> Tuple<'a> {
    /// A tuple with this many framing offsets: one for each member of variable size that is not the last.
    pub(crate) fn new(data: Slice<'a>, frames: usize) -> Result<Self> {
        let size = data.bytes.len();
        let width = offset_width(size);
        let body = size.checked_sub(width * frames);
        let body = body.ok_or_else(|| data.error(size, ParseErrorKind::Truncated))?;
        if frames > 0 && chosen_width(body, frames) != width {
            return Err(data.error(body, ParseErrorKind::NotNormal));
        }
        Ok(Self { data, width, body, at: 0, frames_left: frames })
    }

    fn take(&mut self, align: usize, end: impl FnOnce(usize) -> usize) -> Result<Slice<'a>> {
        let start = self.data.skip_padding(self.at, align)?;
        let end = end(start);
        if end > self.body {
            return Err(self.data.error(self.body, ParseErrorKind::Truncated));
        }
        self.at = end;
        self.data.sub(start, end)
    }

    /// The next member, of `N` bytes and aligned to `align`.
    pub(crate) fn fixed<const N: usize>(&mut self, align: usize) -> Result<[u8; N]> {
        let slice = self.take(align, |start| start + N)?;
        slice.bytes.try_into().map_err(|_| slice.error(0, ParseErrorKind::Truncated))
    }

    /// The next member, an unsigned 32-bit integer in big endian.
    pub(crate) fn u32_be(&mut self) -> Result<u32> {
        self.fixed(4).map(u32::from_be_bytes)
    }

    /// The next member, an unsigned 64-bit integer in big endian.
    pub(crate) fn u64_be(&mut self) -> Result<u64> {
        self.fixed(8).map(u64::from_be_bytes)
    }

    /// The next member, of variable size and not the last.
    pub(crate) fn framed(&mut self, align: usize) -> Result<Slice<'a>> {
        let Some(left) = self.frames_left.checked_sub(1) else {
            return Err(self.data.error(self.body, ParseErrorKind::Truncated));
        };
        self.frames_left = left;
        let frame_at = self.body + left * self.width;
        let end = self.data.frame_offset(frame_at, self.width)?;
        if end < align_up(self.at, align) || end > self.body {
            return Err(self.data.error(frame_at, ParseErrorKind::BadOffset));
        }
        self.take(align, |_| end)
    }

    /// The last member, of variable size.
    pub(crate) fn last(mut self, align: usize) -> Result<Slice<'a>> {
        let body = self.body;
        if align_up(self.at, align) > body {
            return Err(self.data.error(body, ParseErrorKind::Truncated));
        }
        self.take(align, |_| body)
    }
}

/// A base-128 number at `at`, which is moved behind it.
pub(crate) fn read_varint(slice: Slice<'_>, at: &mut usize) -> Result<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = slice.bytes.get(*at).copied();
        let byte = byte.ok_or_else(|| slice.error(*at, ParseErrorKind::Truncated))?;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 || shift > 0 && byte == 0 {
            return Err(slice.error(*at, ParseErrorKind::NotNormal));
        }
        value |= bits << shift;
        *at += 1;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(slice.error(*at, ParseErrorKind::NotNormal))
}

/// Appends a base-128 number.
pub(crate) fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A checksum stored as `ay`.
pub(crate) fn checksum(slice: Slice<'_>) -> Result<crate::Checksum> {
    crate::Checksum::from_slice(slice.what, slice.offset, slice.bytes)
}

/// Writes one container at the end of a buffer whose start is aligned for it.
pub(crate) struct Frame {
    start: usize,
    ends: Vec<usize>,
}

/// Appends zeros up to the next multiple of `align`.
pub(crate) fn pad(out: &mut Vec<u8>, align: usize) {
    out.resize(align_up(out.len(), align), 0);
}

/// Appends a GVariant string.
pub(crate) fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

impl Frame {
    /// Starts a container with this alignment.
    pub(crate) fn begin(out: &mut Vec<u8>, align: usize) -> Self {
        pad(out, align);
        Self { start: out.len(), ends: Vec::new() }
    }

    /// Notes that a member that has a framing offset ends here.
    pub(crate) fn end_member(&mut self, out: &[u8]) {
        self.ends.push(out.len() - self.start);
    }

    fn finish(self, out: &mut Vec<u8>, reverse: bool) {
        let width = chosen_width(out.len() - self.start, self.ends.len());
        let mut put = |end: &usize| out.extend_from_slice(&(*end as u64).to_le_bytes()[..width]);
        match reverse {
            true => self.ends.iter().rev().for_each(&mut put),
            false => self.ends.iter().for_each(&mut put),
        }
    }

    /// Ends an array, all of whose elements were noted.
    pub(crate) fn finish_array(self, out: &mut Vec<u8>) {
        self.finish(out, false);
    }

    /// Ends a tuple, all of whose variable-size members but the last were noted.
    pub(crate) fn finish_tuple(self, out: &mut Vec<u8>) {
        self.finish(out, true);
    }
}
