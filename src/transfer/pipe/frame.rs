//! Greetings and frames, the letters of the protocol: every length has a bound, and memory is taken for what has come, not
//! for what was announced.

use std::io::{BufRead, Read, Write};

use ostree_format::MAX_METADATA_BYTES;

use super::{Error, Result};

/// The version of the protocol.
pub(super) const VERSION: u32 = 1;
/// The greeting but for the version.
const GREETING: &str = "ostree-rs push, protocol ";
/// The longest line that can be a greeting, or is quoted if it is none.
const MAX_GREETING_BYTES: u64 = 200;
/// The bytes of a file that one frame holds.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// The kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Tag {
    Offer = b'O',
    Have = b'H',
    Go = b'G',
    Want = b'W',
    Meta = b'M',
    File = b'F',
    Chunk = b'C',
    Missing = b'N',
    Done = b'D',
    Failed = b'E',
}

impl Tag {
    const ALL: [Self; 10] = [
        Self::Offer,
        Self::Have,
        Self::Go,
        Self::Want,
        Self::Meta,
        Self::File,
        Self::Chunk,
        Self::Missing,
        Self::Done,
        Self::Failed,
    ];

    /// The most bytes that a frame of this kind holds.
    const fn most(self) -> u64 {
        match self {
            Self::Offer | Self::Have => 4 << 20,
            Self::Go | Self::Missing | Self::Done => 0,
            Self::Want => (super::WINDOW * super::message::NAME_BYTES) as u64,
            Self::Meta => MAX_METADATA_BYTES,
            // The length of the content stands before the header.
            Self::File => MAX_METADATA_BYTES + 8,
            Self::Chunk => CHUNK_BYTES as u64,
            Self::Failed => 4 << 10,
        }
    }
}

/// One frame, without its length.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) tag: Tag,
    pub(super) bytes: Vec<u8>,
}

impl Frame {
    /// A frame in which the other side tells what went wrong there is an error.
    pub(super) fn or_failure(self) -> Result<Self> {
        match self.tag {
            Tag::Failed => Err(Error::Peer(printable(&self.bytes))),
            _ => Ok(self),
        }
    }

    /// The bytes of a frame that has to be of this kind.
    pub(super) fn expect(self, tag: Tag, otherwise: &'static str) -> Result<Vec<u8>> {
        let frame = self.or_failure()?;
        if frame.tag == tag { Ok(frame.bytes) } else { Err(Error::Protocol(otherwise)) }
    }
}

/// Sends this side's greeting.
pub(super) fn greet(to: &mut dyn Write) -> Result<()> {
    writeln!(to, "{GREETING}{VERSION}").and_then(|()| to.flush()).map_err(Error::stream)
}

/// Reads the other side's greeting.
pub(super) fn expect_greeting(from: &mut dyn BufRead) -> Result<()> {
    let mut line = Vec::new();
    from.take(MAX_GREETING_BYTES).read_until(b'\n', &mut line).map_err(Error::stream)?;
    if line.is_empty() {
        return Err(Error::BrokenOff);
    }
    let said = printable(&line);
    let version = said.strip_prefix(GREETING).and_then(|version| version.parse().ok());
    match version {
        Some(VERSION) => Ok(()),
        Some(other) => Err(Error::Version(other)),
        None => Err(Error::NotSpoken(said)),
    }
}

/// What another program says, without signs that a terminal would obey.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Writes a frame; the caller keeps to the bound of its kind.
pub(super) fn write(to: &mut dyn Write, tag: Tag, parts: &[&[u8]]) -> Result<()> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let len = u32::try_from(len).ok().filter(|len| u64::from(*len) <= tag.most());
    let len = len.ok_or(Error::Protocol("a frame of this side is too large"))?;
    let mut head = [tag as u8; 5];
    head[1..].copy_from_slice(&len.to_be_bytes());
    to.write_all(&head).map_err(Error::stream)?;
    parts.iter().try_for_each(|part| to.write_all(part)).map_err(Error::stream)
}

/// Tells the other side what went wrong here, as far as it still listens.
pub(super) fn write_failure(to: &mut dyn Write, why: &str) {
    let most = usize::try_from(Tag::Failed.most()).unwrap_or_default();
    let end = (0..=why.len().min(most)).rev().find(|end| why.is_char_boundary(*end)).unwrap_or_default();
    let _ =
        write(to, Tag::Failed, &[&why.as_bytes()[..end]]).and_then(|()| to.flush().map_err(Error::stream));
}

/// Reads a frame.
pub(super) fn read(from: &mut dyn Read) -> Result<Frame> {
    let mut head = [0; 5];
    from.read_exact(&mut head).map_err(Error::stream)?;
    let [tag, len @ ..] = head;
    let tag = Tag::ALL.into_iter().find(|known| *known as u8 == tag);
    let tag = tag.ok_or(Error::Protocol("it sends a frame of an unknown kind"))?;
    let len = u64::from(u32::from_be_bytes(len));
    if len > tag.most() {
        return Err(Error::Protocol("it sends a frame that is too long for its kind"));
    }
    let mut bytes = Vec::new();
    from.take(len).read_to_end(&mut bytes).map_err(Error::stream)?;
    if bytes.len() as u64 == len { Ok(Frame { tag, bytes }) } else { Err(Error::BrokenOff) }
}
