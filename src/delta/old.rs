//! Content objects that a delta takes bytes from, at any place of them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use ostree_format::FileId;

use crate::base::Cancel;
use crate::base::io::{Cancellable, Spool, copy_exact};
use crate::store::{Content, Error, FileObject, ObjectRead, Result};

/// Up to this size content is kept in memory, in bytes.
const MEMORY_BYTES: u64 = 1 << 20;

/// The content of an object, to be read at any place.
#[derive(Debug)]
pub(super) enum OldContent {
    Memory(Vec<u8>),
    File(File, u64),
}

impl OldContent {
    /// Opens the content of an object; what a store gives as a stream goes into a file that `spool` makes.
    pub(super) fn open(
        id: &FileId,
        store: &dyn ObjectRead,
        spool: &Spool<'_>,
        cancel: &Cancel,
    ) -> Result<Self> {
        let object = store.open_file(id)?.ok_or(Error::NotFound((*id).into()))?;
        Self::load(object, spool, cancel).map_err(|source| Error::Read { what: id.to_string(), source })
    }

    fn load(object: FileObject, spool: &Spool<'_>, cancel: &Cancel) -> io::Result<Self> {
        let len = object.len;
        if len <= MEMORY_BYTES {
            let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or_default());
            object.take(len).read_to_end(&mut bytes)?;
            return Ok(Self::Memory(bytes));
        }
        match object.content {
            Content::File(mut file) => {
                file.seek(SeekFrom::Start(0))?;
                Ok(Self::File(file, len))
            }
            content => {
                let mut file = spool()?;
                copy_exact(&mut Cancellable::new(FileObject { content, ..object }, cancel), &mut file, len)?;
                Ok(Self::File(file, len))
            }
        }
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, len) => *len,
        }
    }

    /// Fills `buf` with what lies at `at`.
    pub(super) fn read_exact_at(&self, buf: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Self::File(file, _) => file.read_exact_at(buf, at),
            Self::Memory(bytes) => {
                let start = usize::try_from(at).unwrap_or(usize::MAX);
                let from = start.checked_add(buf.len()).and_then(|end| bytes.get(start..end));
                buf.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}
