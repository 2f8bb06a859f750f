//! The forms in which keys and signatures lie in files, brought down to a list of packets.
//!
//! ```text
//! binary    packets one after the other; the first byte has its high bit set
//! armor     any text, then -----BEGIN PGP …----- base64 -----END PGP …-----; several blocks are allowed
//! keybox    blobs, each: u32 length │ u8 type │ u8 version │ u16 flags │ …       (GnuPG's pubring.kbx)
//!             type 1, header:  … │ "KBXf" at byte 8
//!             type 2, OpenPGP: … │ u32 offset, u32 length of the packets in the blob, at bytes 8 and 12
//!             other types (empty, X.509) are passed over; integers are big-endian
//! ```

use std::io::Read;

use sequoia_openpgp::Packet;
use sequoia_openpgp::armor::{Reader, ReaderMode};
use sequoia_openpgp::parse::{Dearmor, PacketParserBuilder, PacketParserResult, Parse};

use super::{Error, Result};

const ARMOR_BEGIN: &[u8] = b"-----BEGIN PGP ";
const ARMOR_END: &[u8] = b"-----END PGP ";
const KEYBOX_MAGIC: &[u8] = b"KBXf";
const KEYBOX_OPENPGP: u8 = 2;

/// All packets in `bytes`, whichever form they have. Nothing at all is no packets.
///
/// # Errors
/// [`Error::Malformed`] about `what` if no form fits, or if packets do not fit together. A packet whose
/// frame is sound but whose content is not understood is returned as [`Packet::Unknown`].
pub(super) fn read(what: &'static str, bytes: &[u8]) -> Result<Vec<Packet>> {
    if bytes.first().is_some_and(|b| b & 0x80 != 0) {
        return parse(what, bytes);
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    let parts = match bytes.get(8..12) {
        Some(KEYBOX_MAGIC) => keybox(what, bytes)?,
        _ => dearmor(what, bytes)?,
    };
    let mut packets = Vec::new();
    for part in &parts {
        packets.extend(parse(what, part)?);
    }
    Ok(packets)
}

/// Binary packets. Compressed data is never opened, so that the output is bounded by the input.
fn parse(what: &'static str, bytes: &[u8]) -> Result<Vec<Packet>> {
    let bad = |e: sequoia_openpgp::anyhow::Error| Error::Malformed { what, why: e.to_string() };
    let mut packets = Vec::new();
    let mut rest = PacketParserBuilder::from_bytes(bytes)
        .map_err(bad)?
        .max_recursion_depth(0)
        .dearmor(Dearmor::Disabled)
        .automatic_hashing(false)
        .buffer_unread_content()
        .build()
        .map_err(bad)?;
    while let PacketParserResult::Some(parser) = rest {
        let (packet, next) = parser.next().map_err(bad)?;
        packets.push(packet);
        rest = next;
    }
    Ok(packets)
}

/// The content of each armored block.
fn dearmor(what: &'static str, text: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut blocks = Vec::new();
    let mut from = 0;
    while let Some(begin) = find_line(text, ARMOR_BEGIN, from) {
        let Some(end) = find_line(text, ARMOR_END, begin) else {
            return Err(Error::Malformed { what, why: format!("the block at byte {begin} has no end") });
        };
        let end = text[end..].iter().position(|&b| b == b'\n').map_or(text.len(), |n| end + n + 1);
        let mut block = Vec::new();
        Reader::from_bytes(&text[begin..end], ReaderMode::Tolerant(None))
            .read_to_end(&mut block)
            .map_err(|e| Error::Malformed { what, why: format!("the block at byte {begin}: {e}") })?;
        blocks.push(block);
        from = end;
    }
    if blocks.is_empty() {
        return Err(Error::Malformed { what, why: "neither OpenPGP packets nor ASCII armor".into() });
    }
    Ok(blocks)
}

/// Where the next line that starts with `mark` starts.
fn find_line(text: &[u8], mark: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while at < text.len() {
        if text[at..].starts_with(mark) {
            return Some(at);
        }
        at += text[at..].iter().position(|&b| b == b'\n')? + 1;
    }
    None
}

/// The packets of each OpenPGP blob of a keybox.
fn keybox(what: &'static str, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut blobs = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let bad = || Error::Malformed { what, why: format!("the keybox blob at byte {at} is damaged") };
        let rest = &bytes[at..];
        let len = be32(rest, 0).filter(|len| *len >= 5).ok_or_else(bad)?;
        let blob = rest.get(..len).ok_or_else(bad)?;
        if blob[4] == KEYBOX_OPENPGP {
            let (start, len) = be32(blob, 8).zip(be32(blob, 12)).ok_or_else(bad)?;
            let end = start.checked_add(len).ok_or_else(bad)?;
            blobs.push(blob.get(start..end).ok_or_else(bad)?.to_vec());
        }
        at += len;
    }
    Ok(blobs)
}

fn be32(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_be_bytes(four.try_into().ok()?)).ok()
}
