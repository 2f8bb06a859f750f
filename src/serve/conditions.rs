//! `If-None-Match`, `Range` and `If-Range`: what of an answer is sent.
//!
//! ```text
//! Range: bytes=10-19    206, ten bytes         If-None-Match: "…"    304, nothing, if that is what it would be
//! Range: bytes=10-      206, from there on     If-Range: "…"         all of it, if it is another one by now
//! Range: bytes=-10      206, the last ten
//! ```
//! Several ranges at once are answered by all of it, which RFC 9110 allows.

use std::ops::Range;

use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use super::answer::{Answer, Content, Keeps};
use super::asked::Asked;
use super::body::Body;

/// What is asked for of something.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    All,
    Of(Range<u64>),
    /// Bytes that are not there.
    Outside,
}

/// Makes the answer to `asked` what is sent.
pub(super) fn response(asked: &Asked, answer: Answer) -> Response<Body> {
    let len = answer.content.len();
    let etag = answer.etag.as_ref().map(|etag| format!("\"{etag}\""));
    let is_ok = answer.status == StatusCode::OK;
    let mut status = answer.status;
    let mut part = Part::All;
    if is_ok && matches_any(asked.if_none_match.as_deref(), etag.as_deref()) {
        status = StatusCode::NOT_MODIFIED;
    } else if is_ok && let (Some(range), Some(len)) = (&asked.range, len) {
        let is_this = asked.if_range.is_none() || asked.if_range == etag;
        part = if is_this { part_of(range, len) } else { Part::All };
    }
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.extend(answer.headers);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let cache = match (is_ok, answer.keeps) {
        (true, Keeps::ForEver) => "public, max-age=31536000, immutable",
        _ => "no-cache",
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Some(etag) = etag.and_then(|etag| HeaderValue::try_from(etag).ok()) {
        headers.insert(ETAG, etag);
    }
    if status == StatusCode::NOT_MODIFIED {
        *response.status_mut() = status;
        return response;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    if is_ok && len.is_some() {
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    let whole = len.unwrap_or(0);
    let (content_range, content) = match part {
        Part::All => (None, Some((0, None))),
        Part::Of(Range { start, end }) => {
            status = StatusCode::PARTIAL_CONTENT;
            (Some(format!("bytes {start}-{}/{whole}", end - 1)), Some((start, Some(end))))
        }
        Part::Outside => {
            status = StatusCode::RANGE_NOT_SATISFIABLE;
            (Some(format!("bytes */{whole}")), None)
        }
    };
    if let Some(range) = content_range.and_then(|range| HeaderValue::try_from(range).ok()) {
        headers.insert(CONTENT_RANGE, range);
    }
    let sent = match content {
        None => Some(0),
        Some((start, end)) => end.or(len).map(|end: u64| end - start),
    };
    if let Some(sent) = sent {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(sent));
    }
    *response.status_mut() = status;
    if let (Some((start, end)), false) = (content, asked.is_head) {
        *response.body_mut() = body(answer.content, start, end);
    }
    response
}

fn body(content: Content, start: u64, end: Option<u64>) -> Body {
    match content {
        Content::Bytes(bytes) => {
            let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            Body::bytes(bytes.slice(at(start)..end.map_or(bytes.len(), at)))
        }
        Content::Made(made) => Body::made(made, start, end),
        Content::Promised(_) => Body::empty(),
    }
}

/// Whether one of the listed tags is this one; a weak one is as good here.
fn matches_any(list: Option<&str>, etag: Option<&str>) -> bool {
    let (Some(list), Some(etag)) = (list, etag) else { return false };
    list.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == etag)
}

/// What a `Range` means for something of `len` bytes; what cannot be understood means all.
fn part_of(range: &str, len: u64) -> Part {
    let Some((first, last)) = range.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Part::All;
    };
    let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
        // More than there can be is more than there is.
        true => Some(text.parse().unwrap_or(u64::MAX)),
        false => None,
    };
    match (first.trim(), last.trim()) {
        ("", "") => Part::All,
        ("", last) => match number(last) {
            None => Part::All,
            Some(0) => Part::Outside,
            Some(_) if len == 0 => Part::Outside,
            Some(n) => Part::Of(len.saturating_sub(n)..len),
        },
        (first, last) => {
            let end = if last.is_empty() { Some(u64::MAX) } else { number(last) };
            match (number(first), end) {
                (Some(first), Some(last)) if first <= last => match first < len {
                    true => Part::Of(first..last.saturating_add(1).min(len)),
                    false => Part::Outside,
                },
                _ => Part::All,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (range, expected) in [
            ("bytes=0-0", Part::Of(0..1)),
            ("bytes=2-", Part::Of(2..10)),
            ("bytes=2-99", Part::Of(2..10)),
            ("bytes=-3", Part::Of(7..10)),
            ("bytes=-30", Part::Of(0..10)),
            ("bytes=10-", Part::Outside),
            ("bytes=-0", Part::Outside),
            ("bytes=99999999999999999999-", Part::Outside),
            ("bytes=3-2", Part::All),
            ("bytes=1-2,4-5", Part::All),
            ("bytes=-", Part::All),
            ("bytes=+1-2", Part::All),
            ("lines=1-2", Part::All),
            ("", Part::All),
        ] {
            assert_eq!(part_of(range, 10), expected, "{range}");
        }
        assert_eq!(part_of("bytes=0-", 0), Part::Outside);
        assert_eq!(part_of("bytes=-1", 0), Part::Outside);
    }
}
