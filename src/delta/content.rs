//! The content of one object, put together by operations while it is read.
//!
//! ```text
//! w   bytes of the payload, or of the old object that r named last
//! B   [ 24 bytes: a, b, c ][ a differences ][ b new bytes ]  again and again, until the object is whole
//!       a bytes of the old object, each added to its difference · b bytes as they are · c bytes on in the old object
//! ```
//! Numbers of a patch are 63 bits and a sign, low byte first. Bytes before and behind the old object count as 0.
//! Source: libostree bsdiff/bspatch.c; ostree-repo-static-delta-processing.c.

use std::io::{self, ErrorKind, Read};

use ostree_format::delta::{DeltaOp, DeltaOps};
use ostree_format::{Checksum, FileId};

use super::old::OldContent;
use super::part::Part;
use crate::base::Cancel;
use crate::base::io::Spool;
use crate::store::{Error, ObjectRead};

/// Bytes of a patch that are read at once.
const WINDOW_BYTES: usize = 64 * 1024;

/// Where old objects come from.
#[derive(Clone, Copy)]
pub(super) struct OldObjects<'a> {
    pub(super) store: &'a dyn ObjectRead,
    pub(super) spool: &'a Spool<'a>,
    pub(super) cancel: &'a Cancel,
}

/// The content of an object that is being put together: [`Read`] gives it, up to the operation that closes it.
pub(super) struct Assembled<'a, 'o> {
    part: &'a Part,
    ops: DeltaOps<'a, 'o>,
    old: OldObjects<'a>,
    /// The old object that was opened last, and whether writes take from it.
    source: Option<(FileId, OldContent)>,
    reads_source: bool,
    /// Bytes that the object is to have, and those that were given.
    len: u64,
    done: u64,
    now: Now,
    window: Window,
}

/// What is under way.
enum Now {
    /// The next operation has to be looked at.
    Next,
    Payload {
        at: u64,
        left: u64,
    },
    Old {
        at: u64,
        left: u64,
    },
    Patch(Patch),
    Closed,
}

/// A patch under way.
struct Patch {
    /// The place in the payload.
    at: u64,
    end: u64,
    /// The place in the old object, which may lie outside of it.
    old_at: i64,
    /// Bytes to come: differences, then new ones; then the place in the old object moves.
    differences: u64,
    new: u64,
    then_skip: i64,
}

impl<'a, 'o> Assembled<'a, 'o> {
    /// An object of which nothing was written yet; `ops` come after the one that opened it.
    pub(super) fn new(part: &'a Part, ops: DeltaOps<'a, 'o>, len: u64, old: OldObjects<'a>) -> Self {
        let (now, window) = (Now::Next, Window::default());
        Self { part, ops, old, source: None, reads_source: false, len, done: 0, now, window }
    }

    /// Takes bytes of the object whose checksum stands at `offset` of the payload from now on.
    pub(super) fn set_source(&mut self, offset: u64) -> io::Result<()> {
        let mut sum = [0; 32];
        self.part.read_payload(offset, &mut sum)?;
        let id = FileId::new(Checksum::new(sum));
        if self.source.as_ref().is_none_or(|(known, _)| *known != id) {
            let OldObjects { store, spool, cancel } = self.old;
            let content = OldContent::open(&id, store, spool, cancel).map_err(unreadable)?;
            self.source = Some((id, content));
        }
        self.reads_source = true;
        Ok(())
    }

    fn source(&self) -> io::Result<&OldContent> {
        let source = self.source.as_ref().filter(|_| self.reads_source);
        source.map(|(_, content)| content).ok_or_else(|| invalid("a patch without an old object"))
    }

    /// Looks at the next operation.
    fn advance(&mut self) -> io::Result<()> {
        let op = self.ops.next().ok_or_else(|| invalid("an object is not closed"))?;
        self.now = match op.map_err(|e| invalid(e.to_string()))? {
            DeltaOp::Write { len, offset } if self.reads_source => Now::Old { at: offset, left: len },
            DeltaOp::Write { len, offset } => Now::Payload { at: offset, left: len },
            DeltaOp::SetSource { offset } => return self.set_source(offset),
            DeltaOp::UnsetSource => {
                self.reads_source = false;
                return Ok(());
            }
            DeltaOp::Patch { offset, len } => {
                self.source()?;
                let end = offset.checked_add(len).filter(|end| *end <= self.part.payload_bytes());
                let end = end.ok_or_else(|| invalid("a patch beyond the payload"))?;
                Now::Patch(Patch { at: offset, end, old_at: 0, differences: 0, new: 0, then_skip: 0 })
            }
            DeltaOp::Close => Now::Closed,
            _ => return Err(invalid("an object begins within another one")),
        };
        Ok(())
    }

    /// Gives bytes of the patch that is under way; 0 if another operation is next.
    fn patched(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Now::Patch(mut patch) = std::mem::replace(&mut self.now, Now::Next) else { return Ok(0) };
        let left = self.len.saturating_sub(self.done);
        if left == 0 {
            return Ok(0);
        }
        let window = &mut self.window;
        while patch.differences == 0 && patch.new == 0 {
            patch.old_at =
                patch.old_at.checked_add(patch.then_skip).ok_or_else(|| invalid("a patch leads nowhere"))?;
            let mut control = [0; 24];
            window.read(self.part, &mut patch.at, patch.end, &mut control)?;
            let [differences, new, skip] = control.as_chunks::<8>().0 else {
                return Err(invalid("no control"));
            };
            let size = |bytes| u64::try_from(signed(bytes)).ok().filter(|size| *size <= left);
            let too_large = || invalid("a patch makes more than the object has");
            patch.differences = size(differences).ok_or_else(too_large)?;
            patch.new = size(new).ok_or_else(too_large)?;
            patch.then_skip = signed(skip);
        }
        let of = if patch.differences > 0 { &mut patch.differences } else { &mut patch.new };
        let take = usize::try_from((*of).min(left)).unwrap_or(usize::MAX).min(buf.len()).min(WINDOW_BYTES);
        let buf = &mut buf[..take];
        let is_difference = patch.differences > 0;
        window.read(self.part, &mut patch.at, patch.end, buf)?;
        if is_difference {
            patch.differences -= take as u64;
            add_old(self.source()?, patch.old_at, buf)?;
            patch.old_at = patch.old_at.saturating_add_unsigned(take as u64);
        } else {
            patch.new -= take as u64;
        }
        self.now = Now::Patch(patch);
        Ok(take)
    }

    fn some(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let take = |left: u64| usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        match &mut self.now {
            Now::Payload { left: 0, .. } | Now::Old { left: 0, .. } => {
                self.now = Now::Next;
                Ok(0)
            }
            Now::Payload { at, left } => {
                let n = take(*left);
                self.part.read_payload(*at, &mut buf[..n])?;
                (*at, *left) = (*at + n as u64, *left - n as u64);
                Ok(n)
            }
            Now::Old { at, left } => {
                let n = take(*left);
                let (at_now, n_bytes) = (*at, n as u64);
                (*at, *left) = (at.saturating_add(n_bytes), *left - n_bytes);
                self.source()?.read_exact_at(&mut buf[..n], at_now)?;
                Ok(n)
            }
            Now::Patch(_) => self.patched(buf),
            Now::Next | Now::Closed => Ok(0),
        }
    }
}

impl Read for Assembled<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            match self.now {
                Now::Closed => return Ok(0),
                Now::Next => self.advance()?,
                _ => {}
            }
            let n = self.some(buf)?;
            if n > 0 {
                self.done += n as u64;
                return Ok(n);
            }
        }
    }
}

/// Adds the bytes of the old object at `at` to those of `buf`.
fn add_old(old: &OldContent, at: i64, buf: &mut [u8]) -> io::Result<()> {
    // Bytes before the object change nothing.
    let before = usize::try_from(at.min(0).unsigned_abs()).unwrap_or(usize::MAX).min(buf.len());
    let start = at.saturating_add_unsigned(before as u64).max(0).unsigned_abs();
    let behind = old.len().saturating_sub(start);
    let inside = usize::try_from(behind).unwrap_or(usize::MAX).min(buf.len() - before);
    let buf = &mut buf[before..before + inside];
    let mut from = [0; 4096];
    let mut at = start;
    for piece in buf.chunks_mut(from.len()) {
        let from = &mut from[..piece.len()];
        old.read_exact_at(from, at)?;
        piece.iter_mut().zip(from.iter()).for_each(|(new, old)| *new = new.wrapping_add(*old));
        at += piece.len() as u64;
    }
    Ok(())
}

/// A number of a patch.
fn signed(bytes: &[u8; 8]) -> i64 {
    let number = u64::from_le_bytes(*bytes);
    let size = (number & (u64::MAX >> 1)).cast_signed();
    if number >> 63 == 1 { -size } else { size }
}

/// Bytes of the payload that were read ahead.
#[derive(Default)]
struct Window {
    bytes: Vec<u8>,
    start: u64,
}

impl Window {
    /// Fills `buf`, which has at most [`WINDOW_BYTES`], with what lies at `at`, which is moved behind it.
    fn read(&mut self, part: &Part, at: &mut u64, end: u64, buf: &mut [u8]) -> io::Result<()> {
        let left = end.saturating_sub(*at);
        if left < buf.len() as u64 {
            return Err(invalid("a patch ends too early"));
        }
        let within = |window: &Self| {
            let from = usize::try_from(at.checked_sub(window.start)?).ok()?;
            Some(from).filter(|from| window.bytes.len().saturating_sub(*from) >= buf.len())
        };
        let from = match within(self) {
            Some(from) => from,
            None => {
                let size = usize::try_from(left).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES);
                self.bytes.resize(size, 0);
                self.start = *at;
                part.read_payload(*at, &mut self.bytes)?;
                0
            }
        };
        buf.copy_from_slice(&self.bytes[from..from + buf.len()]);
        *at += buf.len() as u64;
        Ok(())
    }
}

/// The error about an old object, as one of a stream.
fn unreadable(error: Error) -> io::Error {
    let kind = match &error {
        Error::NotFound(_) => ErrorKind::NotFound,
        Error::Read { source, .. } | Error::Io { source, .. } => source.kind(),
        _ => ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

pub(super) fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why.into())
}
