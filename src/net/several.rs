//! Several parts of a body in one answer.
//!
//! ```text
//! GET Range: bytes=0-99,500-599 ► 206 multipart/byteranges; boundary=B
//!     --B ␍␊ Content-Range: bytes 0-99/1000 ␍␊ ␍␊ … ␍␊ --B ␍␊ Content-Range: … ␍␊ --B--
//!                               ► 206, one Content-Range that holds them all
//!                               ► 200, 400, 416, 431: this server gives one part at a time, or none
//! ```
//! Source: RFC 9110, sections 14.1.2, 14.6 and 15.3.7.2.

use std::ops::Range;

use reqwest::StatusCode;

use super::error::Error;

/// Bytes that the line and the headers in front of one part may take.
const PART_HEAD_BYTES: u64 = 512;

/// The value of `Range` for `parts`.
pub(super) fn range_header(parts: &[Range<u64>]) -> String {
    let part = |part: &Range<u64>| format!("{}-{}", part.start, part.end.saturating_sub(1));
    format!("bytes={}", parts.iter().map(part).collect::<Vec<_>>().join(","))
}

/// The bytes that an answer with `parts` may have.
pub(super) fn limit(parts: &[Range<u64>]) -> u64 {
    let wanted: u64 = parts.iter().map(|part| part.end - part.start).sum();
    wanted + PART_HEAD_BYTES * (parts.len() as u64 + 1)
}

/// Whether an answer says that the server does not give several parts at once.
pub(super) fn is_refusal(error: &Error) -> bool {
    let Error::Status { status, .. } = error else { return false };
    matches!(
        *status,
        StatusCode::BAD_REQUEST
            | StatusCode::RANGE_NOT_SATISFIABLE
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            | StatusCode::NOT_IMPLEMENTED
    )
}

/// The bytes of `parts`, in their order, from the body of an answer with status 206; `None` if they are not all in it.
pub(super) fn parse(
    content_type: Option<&str>,
    content_range: Option<&str>,
    body: &[u8],
    parts: &[Range<u64>],
) -> Option<Vec<Vec<u8>>> {
    let pieces = match content_range {
        Some(range) => vec![(first_byte(range)?, body)],
        None => split(body, boundary(content_type?)?)?,
    };
    let part = |part: &Range<u64>| {
        pieces.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(part.start.checked_sub(*start)?).ok()?;
            let to = usize::try_from(part.end.checked_sub(*start)?).ok()?;
            bytes.get(from..to).map(<[u8]>::to_vec)
        })
    };
    parts.iter().map(part).collect()
}

fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/byteranges") {
        return None;
    }
    let (_, value) = parameters.split(';').filter_map(|p| p.split_once('=')).find(|(name, _)| {
        let name = name.trim();
        name.eq_ignore_ascii_case("boundary")
    })?;
    Some(value.trim().trim_matches('"')).filter(|boundary| !boundary.is_empty())
}

/// The first byte of each part in a body, and its bytes. Lengths are those of the `Content-Range`: data may hold what looks
/// like a boundary.
fn split<'b>(body: &'b [u8], boundary: &str) -> Option<Vec<(u64, &'b [u8])>> {
    let (mut rest, mut out) = (body, Vec::new());
    loop {
        rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
        rest = rest.strip_prefix(b"--")?.strip_prefix(boundary.as_bytes())?;
        if rest.starts_with(b"--") {
            return Some(out);
        }
        let head_bytes = rest.windows(4).take(PART_HEAD_BYTES as usize).position(|w| w == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&rest[..head_bytes]).ok()?;
        let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
        let (_, range) = { lines }.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-range"))?;
        let (start, length) = (first_byte(range.trim())?, length(range.trim())?);
        rest = &rest[head_bytes + 4..];
        out.push((start, rest.get(..length)?));
        rest = &rest[length..];
    }
}

/// The first and the last byte in `bytes 100-199/200`.
fn bounds(range: &str) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes ")?.split_once('/')?.0.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
}

fn first_byte(range: &str) -> Option<u64> {
    bounds(range).map(|(first, _)| first)
}

fn length(range: &str) -> Option<usize> {
    let (first, last) = bounds(range)?;
    usize::try_from(last.checked_sub(first)?.checked_add(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"\r\n--B\r\nContent-Type: x/y\r\nContent-Range: bytes 2-6/99\r\n\r\n--B--\r\n\
        --B\r\ncontent-range: bytes 10-12/99\r\n\r\nabc\r\n--B--\r\n";

    #[test]
    fn parts_are_found_by_their_ranges() {
        let kind = Some("multipart/byteranges; boundary=\"B\"");
        let parts = [10..12, 2..7, 11..13];
        let found = parse(kind, None, BODY, &parts).unwrap();
        assert_eq!(found, [&b"ab"[..], b"--B--", b"bc"]);
        assert_eq!(parse(kind, None, BODY, &[2..7, 10..14]), None);
        assert_eq!(parse(Some("text/plain"), None, BODY, &parts), None);
        let one = parse(None, Some("bytes 5-14/99"), b"0123456789", &[6..8, 14..15]).unwrap();
        assert_eq!(one, [&b"12"[..], b"9"]);
        assert_eq!(range_header(&parts), "bytes=10-11,2-6,11-12");
    }

    #[test]
    fn damaged_answers_are_no_parts() {
        let kind = Some("multipart/byteranges; boundary=B");
        for end in 0..BODY.len() - 2 {
            assert_eq!(parse(kind, None, &BODY[..end], &[2..7, 10..13]), None, "{end}");
        }
        for (from, to) in [("2-6", "2-5000000000"), ("2-6", "6-2"), ("10-12", "x-12"), ("--B\r", "--C\r")] {
            let body = String::from_utf8(BODY.to_vec()).unwrap().replacen(from, to, 1);
            assert_eq!(parse(kind, None, body.as_bytes(), &[2..7, 10..13]), None, "{from} {to}");
        }
    }
}
