//! Adapters over streams: hash what passes, insist on a length, stop when told.

use std::fs::File;
use std::io::{self, Read, Write};

use ostree_format::{Checksum, Hasher};

use super::Cancel;

/// Bytes that a copy moves at once.
pub const COPY_BYTES: usize = 128 * 1024;

/// A maker of temporary files without names, for what is too large for memory.
pub type Spool<'a> = dyn Fn() -> io::Result<File> + Sync + 'a;

/// Hashes what is read from or written to `inner`.
#[derive(Debug)]
pub struct Hashing<T> {
    inner: T,
    hasher: Hasher,
    bytes: u64,
}

impl<T> Hashing<T> {
    /// Starts at the checksum of nothing.
    pub fn new(inner: T) -> Self {
        Self::with_hasher(inner, Hasher::new())
    }

    /// Starts with what `hasher` has seen, such as the header of a content object.
    pub fn with_hasher(inner: T, hasher: Hasher) -> Self {
        Self { inner, hasher, bytes: 0 }
    }

    /// Bytes that passed.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The stream and the checksum of what passed.
    pub fn finish(self) -> (T, Checksum) {
        (self.inner, self.hasher.finish())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.hasher.update(&buf[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.hasher.update(&buf[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Fails reads once the work is cancelled.
#[derive(Debug)]
pub struct Cancellable<'a, T> {
    inner: T,
    cancel: &'a Cancel,
}

impl<'a, T> Cancellable<'a, T> {
    /// Watches `cancel` while `inner` is read.
    pub fn new(inner: T, cancel: &'a Cancel) -> Self {
        Self { inner, cancel }
    }
}

impl<R: Read> Read for Cancellable<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.cancel.check().map_err(io::Error::other)?;
        self.inner.read(buf)
    }
}

/// Reads the content of a file, of which its header says how many bytes it has: more or fewer are an error.
#[derive(Debug)]
pub struct Exact<R> {
    inner: R,
    left: u64,
}

impl<R> Exact<R> {
    /// Expects `len` bytes.
    pub fn new(inner: R, len: u64) -> Self {
        Self { inner, left: len }
    }
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            return match self.inner.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(io::Error::new(io::ErrorKind::InvalidData, "content longer than its header says")),
            };
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let n = self.inner.read(&mut buf[..most])?;
        if n == 0 {
            let why = format!("content ends {} bytes too early", self.left);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        self.left -= n as u64;
        Ok(n)
    }
}

/// Copies exactly `len` bytes from `from` to `to` and checks that no more follow.
///
/// # Errors
/// What the streams give; [`io::ErrorKind::UnexpectedEof`] if `from` is shorter,
/// [`io::ErrorKind::InvalidData`] if it is longer.
pub fn copy_exact(
    from: &mut (impl Read + ?Sized),
    to: &mut (impl Write + ?Sized),
    len: u64,
) -> io::Result<()> {
    let mut buf = vec![0; COPY_BYTES.min(usize::try_from(len).unwrap_or(COPY_BYTES)).max(1)];
    let mut left = len;
    while left > 0 {
        let want = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match from.read(&mut buf[..want]) {
            Ok(0) => {
                let why = format!("ends after {} of {len} bytes", len - left);
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
            }
            Ok(n) => {
                to.write_all(&buf[..n])?;
                left -= n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    expect_end(from, len)
}

/// Checks that `from`, of which `len` bytes were read, is at its end.
///
/// # Errors
/// What the stream gives; [`io::ErrorKind::InvalidData`] if there is more.
pub fn expect_end(from: &mut (impl Read + ?Sized), len: u64) -> io::Result<()> {
    loop {
        match from.read(&mut [0]) {
            Ok(0) => return Ok(()),
            Ok(_) => {
                let why = format!("is longer than {len} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
