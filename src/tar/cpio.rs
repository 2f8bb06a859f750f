//! Reads cpio archives, which libostree takes where it takes tar.
//!
//! ```text
//! newc    070701 or 070702 · 13 numbers of 8 hex digits · name NUL · content     each padded to 4 bytes
//!         ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
//! odc     070707 · 8 numbers of 6 octal digits: dev ino mode uid gid nlink rdev · mtime[11]
//!         namesize[6] filesize[11] · name NUL · content
//! binary  71c7, in either byte order · 12 numbers of 2 bytes: dev ino mode uid gid nlink rdev · mtime[2]
//!         namesize filesize[2], the upper half first · name NUL · content     each padded to 2 bytes
//! end     an entry with the name TRAILER!!!
//! ```
//! Files with several names stand there once for each; mostly the last one holds the content. Source:
//! cpio(5) of libarchive.

use std::collections::HashMap;
use std::io::{BufReader, Read};

use ostree_format::Xattrs;

use super::entry::{EntryKind, TarEntry};
use super::error::{Error, FormatErrorKind as Kind, Result};
use super::reader::MAX_NAME_BYTES;

/// How headers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `newc` and `odc`: digits. Which of them, each header says.
    Text,
    /// Binary, little endian.
    Little,
    /// Binary, big endian.
    Big,
}

impl Form {
    /// The form of an archive that begins with the bytes `head`.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [b'0', b'7', b'0', b'7', b'0', b'1' | b'2' | b'7', ..] => Some(Self::Text),
            [0xc7, 0x71, ..] => Some(Self::Little),
            [0x71, 0xc7, ..] => Some(Self::Big),
            _ => None,
        }
    }
}

/// Reads a cpio archive entry by entry.
pub(super) struct CpioReader<R> {
    input: BufReader<R>,
    form: Form,
    offset: u64,
    left: u64,
    padding: u64,
    ended: bool,
    /// The first name of each file that has several.
    names: HashMap<(u64, u64), Vec<u8>>,
}

/// The numbers of a header, whichever way they are written.
struct Numbers {
    dev: u64,
    ino: u64,
    mode: u64,
    uid: u64,
    gid: u64,
    links: u64,
    mtime: u64,
    name_bytes: u64,
    size: u64,
    rdev: (u64, u64),
    /// Names and contents are padded to this.
    align: u64,
}

impl<R: Read> CpioReader<R> {
    pub(super) fn new(input: R, form: Form) -> Self {
        let input = BufReader::with_capacity(128 * 1024, input);
        Self { input, form, offset: 0, left: 0, padding: 0, ended: false, names: HashMap::new() }
    }

    /// The next entry; skips what is left of the one before.
    pub(super) fn next_entry(&mut self) -> Result<Option<TarEntry>> {
        if self.ended {
            return Ok(None);
        }
        self.skip(self.left + self.padding)?;
        (self.left, self.padding) = (0, 0);
        let start = self.offset;
        let numbers = match self.form {
            Form::Text => self.read_text()?,
            Form::Little => self.read_binary(u16::from_le_bytes)?,
            Form::Big => self.read_binary(u16::from_be_bytes)?,
        };
        let error = |field| Error::format(start, Kind::Number(field));
        if numbers.name_bytes == 0 || numbers.name_bytes > MAX_NAME_BYTES {
            return Err(Error::format(start, Kind::TooLarge("a name", MAX_NAME_BYTES)));
        }
        let mut path = vec![0; numbers.name_bytes as usize];
        self.fill(&mut path)?;
        path.truncate(path.iter().position(|b| *b == 0).unwrap_or(path.len()));
        self.skip((start.wrapping_sub(self.offset)) % numbers.align)?;
        if path == b"TRAILER!!!" {
            self.ended = true;
            return Ok(None);
        }
        (self.left, self.padding) = (numbers.size, numbers.size.wrapping_neg() % numbers.align);
        let (mut kind, permissions) = kind_of(&numbers).ok_or_else(|| error("mode"))?;
        let (mut link, mut size) = (Vec::new(), numbers.size);
        if kind == EntryKind::Symlink {
            if size > MAX_NAME_BYTES {
                return Err(Error::format(start, Kind::TooLarge("a name", MAX_NAME_BYTES)));
            }
            link = vec![0; size as usize];
            self.fill(&mut link)?;
            (self.left, size) = (0, 0);
        }
        if numbers.links > 1 && kind != EntryKind::Dir {
            match self.names.entry((numbers.dev, numbers.ino)) {
                std::collections::hash_map::Entry::Occupied(first) => {
                    (kind, link) = (EntryKind::Link, first.get().clone());
                }
                std::collections::hash_map::Entry::Vacant(free) => {
                    free.insert(path.clone());
                }
            }
        }
        Ok(Some(TarEntry {
            offset: start,
            path,
            link,
            kind,
            permissions,
            uid: u32::try_from(numbers.uid).map_err(|_| error("uid"))?,
            gid: u32::try_from(numbers.gid).map_err(|_| error("gid"))?,
            mtime: i64::try_from(numbers.mtime).map_err(|_| error("mtime"))?,
            size,
            xattrs: Xattrs::EMPTY,
        }))
    }

    /// Reads some of the current entry's content; 0 at its end.
    pub(super) fn read_content(&mut self, buf: &mut [u8]) -> Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        if want == 0 {
            return Ok(0);
        }
        let n = self.read_some(&mut buf[..want])?;
        self.left -= n as u64;
        Ok(n)
    }

    fn read_text(&mut self) -> Result<Numbers> {
        let mut magic = [0; 6];
        self.fill(&mut magic)?;
        match &magic {
            b"070701" | b"070702" => {
                let mut n = [0; 13];
                for n in &mut n {
                    *n = self.read_number::<8>(16)?;
                }
                let [ino, mode, uid, gid, links, mtime, size, major, minor, rmajor, rminor, name_bytes, _] =
                    n;
                let (dev, rdev) = ((major << 32) | minor, (rmajor, rminor));
                Ok(Numbers { dev, ino, mode, uid, gid, links, mtime, name_bytes, size, rdev, align: 4 })
            }
            b"070707" => {
                let mut n = [0; 7];
                for n in &mut n {
                    *n = self.read_number::<6>(8)?;
                }
                let [dev, ino, mode, uid, gid, links, rdev] = n;
                let mtime = self.read_number::<11>(8)?;
                let name_bytes = self.read_number::<6>(8)?;
                let size = self.read_number::<11>(8)?;
                let rdev = (rdev >> 8, rdev & 0xff);
                Ok(Numbers { dev, ino, mode, uid, gid, links, mtime, name_bytes, size, rdev, align: 1 })
            }
            _ => Err(Error::format(self.offset - 6, Kind::Unsupported("this kind of cpio header"))),
        }
    }

    fn read_binary(&mut self, number: fn([u8; 2]) -> u16) -> Result<Numbers> {
        let at = self.offset;
        let mut n = [0_u64; 13];
        for n in &mut n {
            let mut bytes = [0; 2];
            self.fill(&mut bytes)?;
            *n = number(bytes).into();
        }
        let [magic, dev, ino, mode, uid, gid, links, rdev, mtime, mtime_low, name_bytes, size, size_low] = n;
        if magic != 0o070_707 {
            return Err(Error::format(at, Kind::Unsupported("this kind of cpio header")));
        }
        let (mtime, size) = (mtime << 16 | mtime_low, size << 16 | size_low);
        let rdev = (rdev >> 8, rdev & 0xff);
        Ok(Numbers { dev, ino, mode, uid, gid, links, mtime, name_bytes, size, rdev, align: 2 })
    }

    fn read_number<const N: usize>(&mut self, radix: u32) -> Result<u64> {
        let at = self.offset;
        let mut digits = [0; N];
        self.fill(&mut digits)?;
        let error = || Error::format(at, Kind::Number("a header field"));
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(error());
        }
        let text = std::str::from_utf8(&digits).map_err(|_| error())?;
        u64::from_str_radix(text, radix).map_err(|_| error())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        let mut got = 0;
        while got < buffer.len() {
            got += self.read_some(&mut buffer[got..])?;
        }
        Ok(())
    }

    /// Reads at least one byte.
    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.input.read(buffer) {
                Ok(0) => return Err(Error::format(self.offset, Kind::Truncated)),
                Ok(n) => {
                    self.offset += n as u64;
                    return Ok(n);
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Read { offset: self.offset, source }),
            }
        }
    }

    fn skip(&mut self, mut bytes: u64) -> Result<()> {
        let mut buffer = [0; 8192];
        while bytes > 0 {
            let want = usize::try_from(bytes).unwrap_or(usize::MAX).min(buffer.len());
            bytes -= self.read_some(&mut buffer[..want])? as u64;
        }
        Ok(())
    }
}

/// Type and permission bits.
fn kind_of(numbers: &Numbers) -> Option<(EntryKind, u32)> {
    let mode = u32::try_from(numbers.mode).ok()?;
    let device = (u32::try_from(numbers.rdev.0).ok()?, u32::try_from(numbers.rdev.1).ok()?);
    Some((EntryKind::of_mode(mode, device), mode & 0o7777))
}
