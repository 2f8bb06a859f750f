//! The tar stream of some entries, made of their frames while it is read.

use std::io::{self, Read};
use std::ops::Range;

use zstd::bulk::Decompressor;

use super::fetch::{Fetching, Piece};
use super::invalid;
use super::missing::{Content, Entry};
use crate::container::blob::chunked::Frame;
use crate::tar::{BLOCK_BYTES, Writer};

/// Frames that are decompressed one after the other, in the order in which they are fetched.
pub(super) struct Frames {
    fetching: Fetching,
    piece: Option<Piece>,
    decompressor: Decompressor<'static>,
}

impl Frames {
    pub(super) fn new(fetching: Fetching) -> io::Result<Self> {
        Ok(Self { fetching, piece: None, decompressor: Decompressor::new()? })
    }

    /// Replaces what is in `out` by the content of the next frame.
    pub(super) fn decompress(&mut self, frame: &Frame, out: &mut Vec<u8>) -> io::Result<()> {
        if self.piece.as_ref().is_none_or(|piece| frame_in(piece, &frame.place).is_none()) {
            // Its memory is free before the next one is waited for.
            self.piece = None;
            let next = self.fetching.next();
            self.piece = Some(next.ok_or_else(|| invalid("a part of the blob is missing"))??);
        }
        let compressed = self.piece.as_ref().and_then(|piece| frame_in(piece, &frame.place));
        let compressed = compressed.ok_or_else(|| invalid("a frame lies in no part that was fetched"))?;
        // At most a frame's bytes, which are bounded.
        let size = usize::try_from(frame.bytes).map_err(io::Error::other)?;
        out.clear();
        out.resize(size, 0);
        let got = self.decompressor.decompress_to_buffer(compressed, &mut out[..]);
        match got.map_err(|_| invalid("a frame does not hold what the table says"))? == size {
            true => Ok(()),
            false => Err(invalid("a frame holds less than the table says")),
        }
    }
}

/// A tar stream of `entries`, whose frames come in their order.
pub(super) struct PartStream<'a> {
    entries: std::slice::Iter<'a, Entry>,
    /// What is still to come of the entry under way.
    frames: std::slice::Iter<'a, Frame>,
    padding: &'static [u8],
    source: Frames,
    /// What was made of the stream, and how far it was read.
    made: Writer<Vec<u8>>,
    read: usize,
    ended: bool,
    failure: Option<io::Error>,
}

impl<'a> PartStream<'a> {
    pub(super) fn new(entries: &'a [Entry], fetching: Fetching) -> io::Result<Self> {
        Ok(Self {
            entries: entries.iter(),
            frames: [].iter(),
            padding: &[],
            source: Frames::new(fetching)?,
            made: Writer::new(Vec::new()),
            read: 0,
            ended: false,
            failure: None,
        })
    }

    /// What kept the stream from going on, if something did: its reader saw no more than an end that came too early.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Makes some more of the stream, all of which was read; nothing at its end.
    fn make(&mut self) -> io::Result<()> {
        self.read = 0;
        self.made.get_mut().clear();
        if let Some(frame) = self.frames.next() {
            self.source.decompress(frame, self.made.get_mut())?;
            if self.frames.len() == 0 {
                self.made.get_mut().extend_from_slice(self.padding);
            }
        } else if let Some(entry) = self.entries.next() {
            entry.header.write_header(&mut self.made).map_err(io::Error::other)?;
            (self.frames, self.padding) = (entry.frames().iter(), entry.header.padding());
            if let Content::Here(bytes) = &entry.content {
                self.made.get_mut().extend_from_slice(bytes);
                self.made.get_mut().extend_from_slice(self.padding);
            }
        } else if !self.ended {
            self.ended = true;
            self.made.get_mut().extend_from_slice(&[0; 2 * BLOCK_BYTES]);
        }
        Ok(())
    }
}

/// The bytes of a frame, if it lies in this piece.
fn frame_in<'p>(piece: &'p Piece, place: &Range<u64>) -> Option<&'p [u8]> {
    let start = place.start.checked_sub(piece.start)?;
    let end = place.end.checked_sub(piece.start)?;
    piece.bytes.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

impl Read for PartStream<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.failure.is_some() {
            return Ok(0);
        }
        if self.read == self.made.get_mut().len()
            && let Err(failure) = self.make()
        {
            self.failure = Some(failure);
            return Ok(0);
        }
        let mut rest = &self.made.get_mut()[self.read..];
        let n = rest.read(buf)?;
        self.read += n;
        Ok(n)
    }
}
