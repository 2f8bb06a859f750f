//! A connection that ends when its client takes what is sent to it too slowly: sooner where others wait to be let in.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::ServeLimits;

/// The time that a client has where there is no room for others.
const HURRY: Duration = Duration::from_secs(2);

/// Whether all connections that there may be are taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Crowd(Arc<AtomicBool>);

impl Crowd {
    /// Notes whether they are.
    pub(super) fn set(&self, is_full: bool) {
        self.0.store(is_full, Ordering::Relaxed);
    }

    fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A stream whose other end has to read so many bytes in every span of time while something waits to be written.
pub(super) struct Paced<S> {
    inner: S,
    span: Duration,
    min_bytes: u64,
    crowd: Crowd,
    /// The span that runs, if something waits.
    waiting: Option<Waiting>,
}

struct Waiting {
    since: Instant,
    /// When it is looked at again.
    next: Pin<Box<Sleep>>,
    written: u64,
}

impl<S> Paced<S> {
    pub(super) fn new(inner: S, limits: &ServeLimits, crowd: Crowd) -> Self {
        Self { inner, span: limits.pace_time, min_bytes: limits.pace_bytes, crowd, waiting: None }
    }

    /// Notes how a write of `len` bytes went.
    fn note(
        &mut self,
        context: &mut Context<'_>,
        len: usize,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match wrote {
            Poll::Ready(Ok(n)) => {
                if let Some(waiting) = &mut self.waiting {
                    waiting.written += n as u64;
                    // The next span begins with the next wait: whoever took all that there was is in none.
                    if n == len || waiting.written >= self.min_bytes {
                        self.waiting = None;
                    }
                }
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let (span, look) = (self.span, self.span.min(HURRY));
                let waiting = self.waiting.get_or_insert_with(|| {
                    let since = Instant::now();
                    Waiting { since, next: Box::pin(sleep_until(since + look)), written: 0 }
                });
                while waiting.next.as_mut().poll(context).is_ready() {
                    if self.crowd.is_full() || waiting.since.elapsed() >= span {
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                    waiting.next.as_mut().reset(Instant::now() + look);
                }
                Poll::Pending
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.inner).poll_write(context, buffer);
        self.note(context, buffer.len(), wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.inner).poll_write_vectored(context, buffers);
        let len = buffers.iter().map(|buffer| buffer.len()).sum();
        self.note(context, len, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
