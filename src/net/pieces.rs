//! A request's body that tells how much of it is on its way.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Bytes that are handed over at once.
const PIECE_BYTES: usize = 64 * 1024;

/// A body in pieces.
pub(super) struct Pieces {
    rest: Bytes,
    sent: Sent,
}

/// Bytes of a body that were handed over; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent(Arc<AtomicU64>);

impl Sent {
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Pieces {
    pub(super) fn new(bytes: Bytes) -> (Self, Sent) {
        let sent = Sent::default();
        (Self { rest: bytes, sent: sent.clone() }, sent)
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let len = PIECE_BYTES.min(self.rest.len());
        let piece = self.rest.split_to(len);
        self.sent.0.fetch_add(len as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
