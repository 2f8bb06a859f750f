//! Writes tar streams, byte for byte as the `tar` crate does, which ostree-ext writes with: equal commits
//! give equal layers in both programs.
//!
//! ```text
//! name ≤ 100 bytes      header (GNU magic)
//! longer name           L header "././@LongLink" · name NUL · header with the first 100 bytes
//! longer link target    K header, likewise
//! xattrs                x header (ustar magic, no name) · SCHILY.xattr.NAME records
//! ```

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use tar::{EntryType, Header};

use super::error::{Error, Result};
use super::pax;
use super::reader::{BLOCK_BYTES, padding_of};
use crate::base::debug_fields;

/// The number of names that a file may have in a stream: ext4 allows no more, and no common file system fewer.
pub(super) const MAX_NAMES: u32 = 65_000;
const COPY_BYTES: usize = 128 * 1024;

/// Writes a tar stream; [`Writer::finish`] ends it.
pub struct Writer<W> {
    out: W,
    buffer: Vec<u8>,
}

debug_fields!(Writer<W> {});

impl<W: Write> Writer<W> {
    /// Writes to `out`, in pieces of a block and more.
    pub fn new(out: W) -> Self {
        Self { out, buffer: vec![0; COPY_BYTES] }
    }

    /// Writes the two zero blocks at the end and gives the output back. Without this call the stream is
    /// incomplete: that is how readers tell that writing failed.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn finish(mut self) -> Result<W> {
        self.write(&[0; 2 * BLOCK_BYTES])?;
        self.out.flush().map_err(Error::Write)?;
        Ok(self.out)
    }

    /// The output, to take out what was written.
    #[cfg(feature = "container")]
    pub(crate) fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes an entry without content, such as a directory, or a link whose target is in `header` already; or the
    /// part of an entry before its content.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn append(&mut self, header: &mut Header, path: &str) -> Result<()> {
        self.set_path(header, path)?;
        self.append_header(header)
    }

    /// Writes a symbolic or hard link to `target`, which is kept literally.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn append_link(&mut self, header: &mut Header, path: &str, target: &str) -> Result<()> {
        self.set_path(header, path)?;
        self.set_link(header, target)?;
        self.append_header(header)
    }

    /// Writes a regular file whose content is `data`.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn append_bytes(&mut self, header: &mut Header, path: &str, data: &[u8]) -> Result<()> {
        self.set_path(header, path)?;
        self.append_header(header)?;
        self.write(data)?;
        self.pad(data.len() as u64)
    }

    /// Writes a regular file with the first `len` bytes of `content`. `read` turns the error of a content
    /// that fails or is shorter into the caller's.
    ///
    /// # Errors
    /// [`Error::Write`], and what `read` makes.
    pub fn append_stream(
        &mut self,
        header: &mut Header,
        path: &str,
        len: u64,
        content: &mut dyn Read,
        read: &dyn Fn(std::io::Error) -> Error,
    ) -> Result<()> {
        self.set_path(header, path)?;
        self.append_header(header)?;
        let mut left = len;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            match content.read(&mut self.buffer[..want]) {
                Ok(0) => return Err(read(std::io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => {
                    self.out.write_all(&self.buffer[..n]).map_err(Error::Write)?;
                    left -= n as u64;
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(read(e)),
            }
        }
        self.pad(len)
    }

    /// Writes an extended header for the entry that follows; nothing if there are no records.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn append_pax<'r>(&mut self, records: impl IntoIterator<Item = (Vec<u8>, &'r [u8])>) -> Result<()> {
        let mut data = Vec::new();
        for (key, value) in records {
            pax::push_record(&mut data, &key, value);
        }
        if data.is_empty() {
            return Ok(());
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_size(data.len() as u64);
        self.append_header(&mut header)?;
        self.write(&data)?;
        self.pad(data.len() as u64)
    }

    /// Puts `path` into `header`, with an `L` entry before it if it does not fit.
    fn set_path(&mut self, header: &mut Header, path: &str) -> Result<()> {
        if header.set_path(path).is_ok() {
            return Ok(());
        }
        self.append_long(b'L', path.as_bytes())?;
        // The field of a clone keeps what a shorter name does not cover; so do readers of both programs.
        let most = path.len().min(header.as_old().name.len());
        let cut = (0..=most).rev().find(|at| path.is_char_boundary(*at)).unwrap_or(0);
        if header.set_path(&path[..cut]).is_err() {
            let field = &mut header.as_old_mut().name;
            field.fill(0);
            field[..cut].copy_from_slice(&path.as_bytes()[..cut]);
        }
        Ok(())
    }

    /// Puts a link target into `header`, with a `K` entry before it if it does not fit.
    fn set_link(&mut self, header: &mut Header, target: &str) -> Result<()> {
        let before = header.as_old().linkname;
        match header.set_link_name(Path::new(OsStr::from_bytes(target.as_bytes()))) {
            Ok(()) if header.link_name_bytes().as_deref() == Some(target.as_bytes()) => return Ok(()),
            // `a//b` and `a/./b` were shortened: write them literally, or the object gets another id.
            Ok(()) => header.as_old_mut().linkname = before,
            Err(_) => return self.append_long(b'K', target.as_bytes()),
        }
        if header.set_link_name_literal(target).is_err() {
            self.append_long(b'K', target.as_bytes())?;
        }
        Ok(())
    }

    fn append_long(&mut self, kind: u8, name: &[u8]) -> Result<()> {
        const NAME: &[u8] = b"././@LongLink";
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..NAME.len()].copy_from_slice(NAME);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(name.len() as u64 + 1);
        header.set_entry_type(EntryType::new(kind));
        self.append_header(&mut header)?;
        self.write(name)?;
        self.write(&[0])?;
        self.pad(name.len() as u64 + 1)
    }

    fn append_header(&mut self, header: &mut Header) -> Result<()> {
        header.set_cksum();
        self.write(header.as_bytes())
    }

    fn pad(&mut self, len: u64) -> Result<()> {
        // Less than a block.
        self.write(&[0; BLOCK_BYTES][..padding_of(len) as usize])
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(Error::Write)
    }
}
