//! Content objects that pass from one archive repository to another as they are.
//!
//! ```text
//! file ─┬─► temporary file ─► name
//!       └─► header, inflated content ─► SHA-256 ─► the id that it should have?
//! ```
//! Compressing is what makes writing into an archive slow: some 50 MB/s, where inflating does 400.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::bufread::DeflateDecoder;
use ostree_format::{FileId, FileKind, ObjectName, RepoMode};

use super::super::sys::{self, Linked, TempFile};
use super::archive::read_header;
use super::write::Sink;
use super::{failed, open_object};
use crate::base::Cancel;
use crate::base::io::{COPY_BYTES, Cancellable, Exact};
use crate::repo::dir::ObjectDir;
use crate::store::{ArchivedCheck, ArchivedFile, Error, Result};
use std::os::fd::AsFd;

/// Opens an object of an archive repository as it lies there.
pub(in crate::repo) fn open_archived(objects: &ObjectDir, id: &FileId) -> Result<Option<ArchivedFile>> {
    let path = ObjectName::from(*id).loose_path(RepoMode::Archive);
    let Some((file, stat)) = open_object(objects.as_fd(), &path, id)? else { return Ok(None) };
    Ok(Some(ArchivedFile {
        len: stat.st_size.max(0).unsigned_abs(),
        read: Box::new(file),
        check: ArchivedCheck::Verified,
    }))
}

/// Writes an object of another archive repository, and verifies it on the way unless it is believed; `None` if something
/// stands behind its content, which is not passed on.
pub(in crate::repo) fn write_archived(
    sink: &Sink<'_>,
    id: &FileId,
    mut archived: ArchivedFile,
    cancel: &Cancel,
) -> Result<Option<Linked>> {
    let file = TempFile::new(sink.tmp).map_err(|e| Error::at(sink.tmp, "create a file in", ".", e))?;
    let mut unwritten = None;
    let from = Cancellable::new(&mut *archived.read, cancel);
    let mut copied =
        BufReader::with_capacity(COPY_BYTES, Tee { from, to: file.file(), unwritten: &mut unwritten });
    let verified = match archived.check {
        ArchivedCheck::Verified => verify(&mut copied, id),
        ArchivedCheck::Nothing => {
            io::copy(&mut copied, &mut io::sink()).map(|_| true).map_err(unreadable(id))
        }
    };
    drop(copied);
    if let Some(error) = unwritten {
        return Err(Error::at(sink.tmp, "write an object in", ".", error));
    }
    if !verified? {
        return Ok(None);
    }
    sys::set_mode(file.file(), 0o644).map_err(failed(&sink.tmp, "chmod", id))?;
    sink.place(file, &(*id).into(), RepoMode::Archive).map(Some)
}

/// Whether the file ends where its content does; everything else is an error.
fn verify(mut file: &mut dyn BufRead, id: &FileId) -> Result<bool> {
    let (header, _) = read_header(&mut file, id, |e| unreadable(id)(e))?;
    let mut hasher = header.file.hasher();
    if header.file.kind == FileKind::Regular {
        let mut content = Exact::new(DeflateDecoder::new(&mut file), header.size);
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            match content.read(&mut buffer).map_err(unreadable(id))? {
                0 => break,
                n => hasher.update(&buffer[..n]),
            }
        }
    }
    let actual = hasher.finish();
    if actual != *id.checksum() {
        return Err(Error::Mismatch { expected: (*id).into(), actual });
    }
    Ok(file.fill_buf().map_err(unreadable(id))?.is_empty())
}

fn unreadable(id: &FileId) -> impl FnOnce(io::Error) -> Error {
    let what = ObjectName::from(*id).to_string();
    move |source| Error::Read { what, source }
}

/// Writes everything that is read.
struct Tee<'a, R> {
    from: R,
    to: &'a File,
    unwritten: &'a mut Option<io::Error>,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buf)?;
        if let Err(error) = self.to.write_all(&buf[..n]) {
            *self.unwritten = Some(error);
            return Err(io::ErrorKind::Other.into());
        }
        Ok(n)
    }
}
