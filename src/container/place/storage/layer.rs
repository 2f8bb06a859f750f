//! The tar stream of a layer, made again.
//!
//! ```text
//! records   Bytes                    File     Bytes                     File     …   Bytes
//! stream    header of the 1st entry  content  padding, header of the 2nd content …   padding, end
//!                                    └ from the directory with the layer's files
//! ```
//! An entry that is not wanted is left out from its header to its padding. Who reads the stream may make a copy of a file
//! that shares its blocks, and have the content read from that: see [`Clones`](crate::tar::Clones).

use std::fs::File;
use std::io::{Read, Write};

use cap_std::fs::Dir;
use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::ContainersStorage;
use super::split::{Record, Split};
use super::tables::{LayerRow, split_of};
use crate::container::image::{EntryVisitor, Error, Result, StoredLayerProblem, UnpackedLayer};
use crate::tar::BLOCK_BYTES;

/// Bytes that are copied at once.
const COPY_BYTES: usize = 128 * 1024;
/// Bytes before a file that wait until it is known whether the file is wanted. What is behind the last entry may be more.
const MAX_HELD_BYTES: usize = 4 * 1024 * 1024;

/// A layer of an image.
pub(super) struct StoredLayer<'a> {
    pub(super) storage: &'a ContainersStorage,
    /// The layer and those below it, the lowest first.
    pub(super) chain: &'a [LayerRow],
}

impl UnpackedLayer for StoredLayer<'_> {
    fn write(&self, visitor: &mut dyn EntryVisitor, out: &mut dyn Write) -> Result<()> {
        let (mut split, files) = (self.split()?, &self.files()?);
        let (position, written) = (0, 0);
        let mut stream = Stream { files, out, position, written, held: Vec::new(), skipped: false };
        while let Some(record) = split.next()? {
            match record {
                Record::Bytes(bytes) => stream.bytes(&bytes)?,
                Record::File { name, size, .. } => stream.entry(visitor, &name, size)?,
            }
        }
        stream.flush()
    }

    fn check(&self) -> Result<()> {
        let (mut split, files) = (self.split()?, self.files()?);
        while let Some(record) = split.next()? {
            if let Record::File { name, size, crc: Some(crc) } = record {
                let mut sum = Crc64::default();
                files.copy(&name, size, &mut |file| file, &mut sum)?;
                if !sum.0 != crc {
                    return Err(files.problem(StoredLayerProblem::Changed { path: shown(&name) }));
                }
            }
        }
        Ok(())
    }
}

impl<'a> StoredLayer<'a> {
    fn id(&self) -> &'a str {
        self.chain.last().map(|row| &*row.id).unwrap_or_default()
    }

    fn split(&self) -> Result<Split<'a>> {
        let ContainersStorage { roots, driver } = self.storage;
        let missing = || Error::StoredLayer { layer: self.id().to_owned(), why: StoredLayerProblem::NoSplit };
        Ok(Split::new(split_of(roots, *driver, self.id())?.ok_or_else(missing)?, self.id()))
    }

    /// The directories in which files of the layer may lie: its own, and for a file that another layer brought before,
    /// those below.
    fn files(&self) -> Result<Files<'a>> {
        let ContainersStorage { roots, driver } = self.storage;
        let mut dirs = Vec::new();
        for row in self.chain.iter().rev() {
            if driver.composefs_of(&row.id).is_some_and(|path| roots.iter().any(|root| root.is_dir(&path))) {
                let why = "is kept for composefs, by digests: such layers are not read in place";
                return Err(Error::Unsupported(format!("layer {} {why}", row.id)));
            }
            let path = driver.files_of(&row.id);
            let missing = || Error::StoredLayer { layer: row.id.clone(), why: StoredLayerProblem::Missing };
            dirs.push(first_dir(roots, &path)?.ok_or_else(missing)?);
        }
        Ok(Files { dirs, layer: self.id() })
    }
}

/// The stream on its way.
struct Stream<'a> {
    files: &'a Files<'a>,
    out: &'a mut dyn Write,
    /// Bytes of the layer's own stream before what is held.
    position: u64,
    /// Bytes that were written.
    written: u64,
    /// What follows the last file, not yet written.
    held: Vec<u8>,
    /// Whether the last entry was left out.
    skipped: bool,
}

impl Stream<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        if self.held.len() + bytes.len() > MAX_HELD_BYTES {
            self.flush()?;
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    /// The entry whose header is held.
    fn entry(&mut self, visitor: &mut dyn EntryVisitor, name: &[u8], size: u64) -> Result<()> {
        let wanted = visitor.wants(name)?;
        match wanted {
            true => {
                self.flush()?;
                let offset = self.written;
                self.files.copy(name, size, &mut |file| visitor.content(file, offset), self.out)?;
                self.written += size;
            }
            false => {
                self.padding()?;
                self.position += self.held.len() as u64;
                self.held.clear();
            }
        }
        self.position += size;
        self.skipped = !wanted;
        Ok(())
    }

    /// Writes the padding of the last entry, unless that was left out.
    fn padding(&mut self) -> Result<()> {
        let bytes = (self.position.wrapping_neg() % BLOCK_BYTES as u64) as usize;
        let padding: Vec<_> = self.held.drain(..bytes.min(self.held.len())).collect();
        self.position += padding.len() as u64;
        if self.skipped { Ok(()) } else { self.write(&padding) }
    }

    fn flush(&mut self) -> Result<()> {
        self.padding()?;
        let held = std::mem::take(&mut self.held);
        self.write(&held)?;
        self.position += held.len() as u64;
        self.skipped = false;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.written += bytes.len() as u64;
        write(self.out, bytes)
    }
}

fn write(out: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).map_err(Error::io("write", "stream"))
}

/// The files of a layer.
struct Files<'a> {
    dirs: Vec<Dir>,
    layer: &'a str,
}

impl Files<'_> {
    /// Writes the content of a file, which has to have `size` bytes. It is read from the file that `read_from` makes of it.
    fn copy(
        &self,
        name: &[u8],
        size: u64,
        read_from: &mut dyn FnMut(File) -> File,
        out: &mut dyn Write,
    ) -> Result<()> {
        if size == 0 {
            return Ok(());
        }
        let failed = |source| self.problem(StoredLayerProblem::File { path: shown(name), source });
        let file = self.open(name).map_err(failed)?;
        let changed = || self.problem(StoredLayerProblem::Changed { path: shown(name) });
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() || metadata.len() != size {
            return Err(changed());
        }
        let mut file = read_from(file);
        let (mut left, mut buf) = (size, vec![0; COPY_BYTES]);
        loop {
            // One byte more tells that it is longer.
            let want = usize::try_from(left.saturating_add(1)).unwrap_or(COPY_BYTES).min(COPY_BYTES);
            let n = file.read(&mut buf[..want]).map_err(failed)?;
            if n == 0 {
                return if left == 0 { Ok(()) } else { Err(changed()) };
            }
            left = left.checked_sub(n as u64).ok_or_else(changed)?;
            write(out, &buf[..n])?;
        }
    }

    /// Opens a file by its path in the layer: symbolic links lead nowhere out of it.
    fn open(&self, name: &[u8]) -> std::io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mut failure = rustix::io::Errno::NOENT;
        for dir in &self.dirs {
            match rustix::fs::openat2(dir, name, flags, Mode::empty(), resolve) {
                Ok(file) => return Ok(file.into()),
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => {}
                Err(error) => failure = error,
            }
        }
        Err(failure.into())
    }

    fn problem(&self, why: StoredLayerProblem) -> Error {
        Error::StoredLayer { layer: self.layer.to_owned(), why }
    }
}

/// Opens the first directory at `path` that one of the roots has.
fn first_dir(roots: &[Dir], path: &str) -> Result<Option<Dir>> {
    for root in roots {
        match root.open_dir(path) {
            Ok(dir) => return Ok(Some(dir)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("open", path)(error)),
        }
    }
    Ok(None)
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// CRC-64 of ISO 3309, as Go's `hash/crc64` has it; the sum is its complement.
struct Crc64(u64);

/// For each byte what it does to the sum.
const CRC64: [u64; 256] = {
    let (mut table, mut n) = ([0; 256], 0);
    while n < 256 {
        let (mut sum, mut bit) = (n as u64, 0);
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xd800_0000_0000_0000 } else { sum >> 1 };
            bit += 1;
        }
        table[n] = sum;
        n += 1;
    }
    table
};

impl Default for Crc64 {
    fn default() -> Self {
        Self(!0)
    }
}

impl Write for Crc64 {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0 = buf.iter().fold(self.0, |sum, byte| CRC64[usize::from(sum as u8 ^ byte)] ^ sum >> 8);
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: CRC-64/GO-ISO in the catalogue of parametrised CRC algorithms.
    #[test]
    fn sums() {
        for (text, expected) in [("", 0), ("123456789", 0xb909_56c7_75a4_1001)] {
            let mut sum = Crc64::default();
            sum.write_all(text.as_bytes()).unwrap();
            assert_eq!(!sum.0, expected, "{text}");
        }
    }
}
