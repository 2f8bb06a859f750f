//! Messages that carry their content and its signatures, as `gpg --sign` makes them.
//!
//! ```text
//! [compressed data:] one-pass signatures │ literal data │ signatures
//! packet  0b10tttt_ll length content        the old form: l = 0, 1, 2 for 1, 2, 4 bytes of length, 3: the rest
//!         0b11tttttt length content         the new form: 1, 2 or 5 bytes, or pieces of 2^n bytes
//! ```
//! Source: RFC 9580 sections 4.2, 5.6 and 10.3.

use std::io::Read;

use bzip2::read::BzDecoder;
use flate2::read::{DeflateDecoder, ZlibDecoder};
use sequoia_openpgp::Packet;
use sequoia_openpgp::serialize::SerializeInto;

use super::{Error, Result, packets};

const WHAT: &str = "signed message";
/// Content beyond this is not believed.
const MAX_CONTENT_BYTES: u64 = 4 * 1024 * 1024;
const TAG_COMPRESSED: u8 = 8;

/// A message apart: the content, and each signature as one packet, as [`verify`](super::verify()) takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedMessage {
    /// The signed content, if the signatures are good.
    pub content: Vec<u8>,
    /// The signatures.
    pub signatures: Vec<Vec<u8>>,
}

impl SignedMessage {
    /// Takes a binary message apart. Nothing is verified.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is no message with exactly one content, or a larger one than 4 MiB.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let opened = match compressed(bytes) {
            Some((algorithm, body)) => Some(inflate(algorithm, &body)?),
            None => None,
        };
        let (mut content, mut signatures) = (None, Vec::new());
        for packet in packets::read(WHAT, opened.as_deref().unwrap_or(bytes))? {
            match packet {
                Packet::OnePassSig(_) => {}
                Packet::Literal(literal) if content.is_none() => content = Some(literal.body().to_vec()),
                Packet::Signature(_) => signatures.push(packet.to_vec().map_err(bad)?),
                other => return Err(bad(format!("an unexpected packet: {}", other.tag()))),
            }
        }
        let content = content.ok_or_else(|| bad("it has no content"))?;
        Ok(Self { content, signatures })
    }
}

fn bad(why: impl std::fmt::Display) -> Error {
    Error::Malformed { what: WHAT, why: why.to_string() }
}

fn inflate(algorithm: u8, body: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let limit = MAX_CONTENT_BYTES + 1;
    match algorithm {
        0 => body.take(limit).read_to_end(&mut out),
        1 => DeflateDecoder::new(body).take(limit).read_to_end(&mut out),
        2 => ZlibDecoder::new(body).take(limit).read_to_end(&mut out),
        3 => BzDecoder::new(body).take(limit).read_to_end(&mut out),
        other => return Err(bad(format!("compression algorithm {other} is not supported"))),
    }
    .map_err(bad)?;
    if out.len() as u64 > MAX_CONTENT_BYTES {
        return Err(bad(format!("its content is larger than {MAX_CONTENT_BYTES} bytes")));
    }
    Ok(out)
}

/// The algorithm and content of a packet of compressed data, if `bytes` begin with one.
fn compressed(bytes: &[u8]) -> Option<(u8, Vec<u8>)> {
    let (&head, rest) = bytes.split_first()?;
    let (tag, body) = match head {
        0xc0.. => (head & 0x3f, new_body(rest)?),
        0x80.. => (head >> 2 & 0x0f, old_body(head & 3, rest)?.to_vec()),
        _ => return None,
    };
    let (&algorithm, content) = body.split_first()?;
    (tag == TAG_COMPRESSED).then(|| (algorithm, content.to_vec()))
}

fn old_body(kind: u8, rest: &[u8]) -> Option<&[u8]> {
    let size = match kind {
        3 => return Some(rest),
        kind => 1 << kind,
    };
    let length = rest.get(..size)?.iter().fold(0, |n, b| n << 8 | usize::from(*b));
    rest[size..].get(..length)
}

fn new_body(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let (&first, after) = rest.split_first()?;
        let (length, after, last) = match first {
            0..=191 => (usize::from(first), after, true),
            192..=223 => {
                let (&second, after) = after.split_first()?;
                (((usize::from(first) - 192) << 8) + usize::from(second) + 192, after, true)
            }
            224..=254 => (1 << (first & 0x1f), after, false),
            255 => {
                let length = after.get(..4)?.iter().fold(0, |n, b| n << 8 | usize::from(*b));
                (length, &after[4..], true)
            }
        };
        out.extend_from_slice(after.get(..length)?);
        if last {
            return Some(out);
        }
        rest = &after[length..];
    }
}
