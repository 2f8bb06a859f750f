//! Mode archive: compressed files of the current user, to be served over HTTP.
//!
//! ```text
//! xx/….filez    framed (tuuuusa(ayay)) size, uid, gid, mode, rdev, link target, xattrs
//!               raw deflate of the content; nothing for a link
//! ```
//! Mode 0644; the time of modification is that of writing.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use flate2::{Compress, Compression, FlushCompress, Status};
use ostree_format::{
    ArchiveHeader, FRAMING_BYTES, FileHeader, FileId, FileKind, ObjectName, RepoMode, parse_framing,
};

use super::super::dir::ObjectDir;
use super::inflate::{Packed, Workspaces};
use super::{Body, FileFormat, Links, Sink, failed, invalid, open_object, sys};
use crate::store::{Content, Error, FileObject, Result};

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// Mode archive.
#[derive(Debug)]
pub(in crate::repo) struct Archive {
    level: Compression,
    /// Compressors that no thread is using: each holds a quarter of a megabyte that is worth keeping.
    idle: Mutex<Vec<Compress>>,
    workspaces: Workspaces,
}

impl Archive {
    /// Compresses at `level`, from 1 to 9.
    pub(in crate::repo) fn new(level: u32) -> Self {
        Self { level: Compression::new(level), idle: Mutex::default(), workspaces: Workspaces::default() }
    }

    fn deflate(&self, body: Body<'_, '_>, out: &mut Output<'_>) -> Result<()> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut compress = idle().pop().unwrap_or_else(|| Compress::new(self.level, false));
        body.for_each(&mut |chunk| out.deflate(&mut compress, chunk))?;
        out.finish(&mut compress)?;
        compress.reset();
        idle().push(compress);
        Ok(())
    }
}

impl FileFormat for Archive {
    fn mode(&self) -> RepoMode {
        RepoMode::Archive
    }

    fn links(&self) -> Links {
        Links::AsFiles
    }

    fn write_body(&self, out: &File, header: &FileHeader, body: Body<'_, '_>) -> Result<()> {
        let framed = ArchiveHeader { size: body.len(), file: header.clone() }.to_framed();
        let mut out = Output { file: out, buffer: framed };
        if header.kind == FileKind::Regular {
            out.buffer.reserve(usize::try_from(body.len()).unwrap_or(BUFFER_BYTES).clamp(64, BUFFER_BYTES));
            self.deflate(body, &mut out)?;
        }
        out.flush()
    }

    fn seal(&self, sink: &Sink<'_>, id: &FileId, _: &FileHeader, file: &File) -> Result<()> {
        sys::set_mode(file, 0o644).map_err(failed(&sink.tmp, "chmod", id))
    }

    fn seal_link(&self, _: &Sink<'_>, id: &FileId, _: &FileHeader, _: &str) -> Result<()> {
        Err(invalid(id, "a symbolic link in an archive repository"))
    }

    fn open(&self, objects: &ObjectDir, id: &FileId) -> Result<Option<FileObject>> {
        let path = ObjectName::from(*id).loose_path(RepoMode::Archive);
        let Some((file, stat)) = open_object(objects.as_fd(), &path, id)? else { return Ok(None) };
        let file_bytes = stat.st_size.max(0).unsigned_abs();
        let file = Packed::new(file, file_bytes, &self.workspaces).map_err(failed(objects, "read", id))?;
        let (header, at) = read_header(file.reader(), id, |e| failed(objects, "read", id)(e))?;
        let content = match header.file.kind {
            FileKind::Symlink(_) => Content::Empty,
            FileKind::Regular => Content::Stream(Box::new(file.into_content(at, header.size))),
        };
        Ok(Some(FileObject { header: header.file, len: header.size, content }))
    }
}

/// The header, and where it ends; `unread` makes the error of a file that cannot be read.
pub(super) fn read_header(
    mut file: impl Read,
    id: &FileId,
    unread: impl Fn(std::io::Error) -> Error,
) -> Result<(ArchiveHeader, u64)> {
    let mut framing = [0; FRAMING_BYTES];
    file.read_exact(&mut framing).map_err(&unread)?;
    let len = parse_framing(framing).map_err(Error::corrupt(*id))?;
    let mut bytes = Vec::new();
    file.take(len as u64).read_to_end(&mut bytes).map_err(&unread)?;
    if bytes.len() != len {
        return Err(invalid(id, "the file ends inside of its header"));
    }
    let header = ArchiveHeader::parse(&bytes).map_err(Error::corrupt(*id))?;
    Ok((header, (FRAMING_BYTES + len) as u64))
}

/// The file under work, with a buffer in front of it.
struct Output<'f> {
    file: &'f File,
    buffer: Vec<u8>,
}

impl Output<'_> {
    fn flush(&mut self) -> Result<()> {
        self.file.write_all(&self.buffer).map_err(|e| Error::at(self.file, "write an object in", ".", e))?;
        self.buffer.clear();
        Ok(())
    }

    /// Makes room in the buffer.
    fn room(&mut self) -> Result<()> {
        match self.buffer.capacity() {
            full if full == self.buffer.len() && full >= BUFFER_BYTES => self.flush()?,
            full if full == self.buffer.len() => self.buffer.reserve(BUFFER_BYTES - full),
            _ => {}
        }
        Ok(())
    }

    fn deflate(&mut self, compress: &mut Compress, mut input: &[u8]) -> Result<()> {
        while !input.is_empty() {
            self.room()?;
            let before = compress.total_in();
            compress.compress_vec(input, &mut self.buffer, FlushCompress::None).map_err(broken)?;
            let used = usize::try_from(compress.total_in() - before).unwrap_or(usize::MAX);
            input = input.get(used..).unwrap_or_default();
        }
        Ok(())
    }

    fn finish(&mut self, compress: &mut Compress) -> Result<()> {
        loop {
            self.room()?;
            let status =
                compress.compress_vec(&[], &mut self.buffer, FlushCompress::Finish).map_err(broken)?;
            if status == Status::StreamEnd {
                return Ok(());
            }
        }
    }
}

fn broken(e: flate2::CompressError) -> Error {
    Error::Read { what: "deflate".into(), source: e.into() }
}
