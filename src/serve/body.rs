//! The content of an answer, piece by piece, as the client takes it.

use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::spawn_blocking;

use super::shelf::Made;

/// Bytes that are read at once.
const PIECE_BYTES: u64 = 32 * 1024;

/// What is sent behind the headers.
pub(super) struct Body {
    state: State,
    /// Bytes to come; `None` if nobody knows.
    left: Option<u64>,
}

enum State {
    Bytes(Bytes),
    /// Nobody asked for the next piece yet.
    Resting(Source),
    Reading(Pin<Box<dyn Future<Output = (Source, io::Result<Bytes>)> + Send>>),
    Done,
}

/// A file from some byte on.
struct Source {
    made: Arc<Made>,
    at: u64,
    /// The end, if it is not that of the file.
    end: Option<u64>,
}

impl Body {
    /// Nothing.
    pub(super) fn empty() -> Self {
        Self { state: State::Done, left: Some(0) }
    }

    /// Bytes in memory.
    pub(super) fn bytes(bytes: Bytes) -> Self {
        Self { left: Some(bytes.len() as u64), state: State::Bytes(bytes) }
    }

    /// A file from `at` to `end`, or to where it ends.
    pub(super) fn made(made: Arc<Made>, at: u64, end: Option<u64>) -> Self {
        let end = end.or_else(|| made.len());
        Self { left: end.map(|end| end.saturating_sub(at)), state: State::Resting(Source { made, at, end }) }
    }
}

impl Source {
    /// The next piece, which is empty at the end.
    async fn next(mut self) -> (Self, io::Result<Bytes>) {
        let piece = self.read().await;
        if let Ok(piece) = &piece {
            self.at += piece.len() as u64;
        }
        (self, piece)
    }

    async fn read(&self) -> io::Result<Bytes> {
        if self.end.is_some_and(|end| self.at >= end) {
            return Ok(Bytes::new());
        }
        let there = self.made.reach(self.at).await?;
        let until = self.end.unwrap_or(there).min(there).min(self.at + PIECE_BYTES);
        let (made, at) = (Arc::clone(&self.made), self.at);
        let len = usize::try_from(until.saturating_sub(at)).unwrap_or(0);
        let read = move || {
            let mut piece = vec![0; len];
            let n = made.read_at(&mut piece, at)?;
            piece.truncate(n);
            Ok(Bytes::from(piece))
        };
        let piece: io::Result<Bytes> = spawn_blocking(read).await.map_err(io::Error::other)?;
        match piece {
            // The file was cut, or is shorter than was promised.
            Ok(piece) if piece.is_empty() && self.end.is_some() => Err(io::ErrorKind::UnexpectedEof.into()),
            piece => piece,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            match mem::replace(&mut self.state, State::Done) {
                State::Done => return Poll::Ready(None),
                State::Bytes(bytes) => {
                    self.left = Some(0);
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                State::Resting(source) => self.state = State::Reading(Box::pin(source.next())),
                State::Reading(mut reading) => {
                    let polled = reading.as_mut().poll(context);
                    if polled.is_pending() {
                        self.state = State::Reading(reading);
                    }
                    let (source, piece) = ready!(polled);
                    let piece = match piece {
                        Ok(piece) if piece.is_empty() => return Poll::Ready(None),
                        Ok(piece) => piece,
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    };
                    self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
                    if self.left != Some(0) {
                        self.state = State::Resting(source);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
