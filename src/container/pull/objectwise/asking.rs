//! Asks a source for parts of one layer, and counts what came.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use oci_spec::image::Descriptor;

use super::fetch::{fetch, fetch_one};
use super::missing::Wrong;
use super::pieces::pieces;
use super::stream::Frames;
use crate::base::{Ctx, Item};
use crate::container::blob::chunked::Frame;
use crate::container::image::{Error, ImageSource, Result};
use crate::container::store::WhyWhole;

/// A layer of which parts are asked for.
pub(super) struct Asking<'a> {
    pub(super) source: &'a dyn ImageSource,
    pub(super) layer: &'a Descriptor,
    pub(super) ctx: &'a Ctx,
    /// The bytes for which there is another way: what takes as many is not worth it.
    pub(super) limit: u64,
    /// The item to which what comes is reported, once it is known that objects are fetched.
    item: Option<&'a Item<'a>>,
    bytes: AtomicU64,
}

impl<'a> Asking<'a> {
    pub(super) fn new(source: &'a dyn ImageSource, layer: &'a Descriptor, ctx: &'a Ctx) -> Self {
        Self { source, layer, ctx, limit: u64::MAX, item: None, bytes: AtomicU64::new(0) }
    }

    /// Whether so many bytes that are still to come are within the limit.
    pub(super) fn check(&self, bytes: u64) -> Result<(), Wrong> {
        if bytes < self.limit { Ok(()) } else { Err(Wrong::Whole(WhyWhole::MostIsMissing)) }
    }

    /// Goes on, and reports to `item` what came so far and will come.
    pub(super) fn reporting<'b>(&self, item: &'b Item<'b>) -> Asking<'b>
    where
        'a: 'b,
    {
        item.advance(self.bytes());
        Asking { item: Some(item), bytes: AtomicU64::new(self.bytes()), ..*self }
    }

    /// The bytes that came so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Notes that more bytes came.
    pub(super) fn count(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.ctx.bytes_done(bytes);
        self.item.iter().for_each(|item| item.advance(bytes));
    }

    /// A short part; `None` if the source gives none.
    pub(super) fn part(&self, range: Range<u64>) -> Result<Option<Vec<u8>>> {
        let part = fetch_one(self, range).map_err(|error| self.failed(error))?;
        Ok(part.map(|part| part.bytes))
    }

    /// The content of each list of frames, in memory.
    pub(super) fn read(&self, lists: &[Vec<Frame>]) -> Result<Vec<Vec<u8>>, Wrong> {
        let ranges = pieces(lists.iter().flatten());
        let read = |fetching| -> io::Result<_> {
            let mut frames = Frames::new(fetching)?;
            let mut contents = Vec::with_capacity(lists.len());
            for list in lists {
                let (mut content, mut bytes) = (Vec::new(), Vec::new());
                for frame in list {
                    frames.decompress(frame, &mut bytes)?;
                    content.append(&mut bytes);
                }
                contents.push(content);
            }
            Ok(contents)
        };
        let read = |fetching| read(fetching).map_err(|error| self.failed(error));
        fetch(self, &ranges, read).map_err(Wrong::Error)
    }

    /// What an error on the way means.
    pub(super) fn failed(&self, error: io::Error) -> Error {
        match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => Error::io("read", self.layer.digest().to_string())(error),
        }
    }
}
