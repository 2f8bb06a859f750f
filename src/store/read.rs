//! Objects that are read: the trait, and what a content object comes as.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use ostree_format::{FileHeader, FileId, ObjectName, RepoMode, Xattrs};

use super::Result;
use crate::base::debug_fields;

/// Objects can be read.
pub trait ObjectRead: Sync {
    /// Whether the object is there.
    ///
    /// # Errors
    /// [`Error::Io`](super::Error::Io) if that cannot be told.
    fn contains(&self, name: &ObjectName) -> Result<bool>;

    /// The bytes of a metadata object, at most [`MAX_METADATA_BYTES`](ostree_format::MAX_METADATA_BYTES);
    /// `None` if it is not there. The checksum is not verified here.
    ///
    /// # Errors
    /// [`Error::Io`](super::Error::Io); [`Error::Corrupt`](super::Error::Corrupt) if it is too large.
    fn read_meta(&self, name: &ObjectName) -> Result<Option<Vec<u8>>>;

    /// A content object, open for reading; `None` if it is not there. The checksum is not verified here.
    ///
    /// # Errors
    /// [`Error::Io`](super::Error::Io); [`Error::Corrupt`](super::Error::Corrupt) if its header is damaged.
    fn open_file(&self, id: &FileId) -> Result<Option<FileObject>>;

    /// The header of a content object without its xattrs, and the bytes of its content; `None` if it is not
    /// there. For lists: many stores need not open the object for this.
    ///
    /// # Errors
    /// As [`ObjectRead::open_file`].
    fn stat_file(&self, id: &FileId) -> Result<Option<(FileHeader, u64)>> {
        let without_xattrs =
            |file: FileObject| (FileHeader { xattrs: Xattrs::EMPTY, ..file.header }, file.len);
        Ok(self.open_file(id)?.map(without_xattrs))
    }

    /// The place where the content object would lie as a file of its own, to be hard-linked; `None` if this store
    /// keeps no such files. The file may be missing: then [`ObjectRead::open_file`] tells.
    fn loose_file(&self, _id: &FileId) -> Option<LooseFile<'_>> {
        None
    }

    /// The content object as a plain file of the current user, without set-id bits, for checkouts to link to; it
    /// is made if it is not there. `None` if this store keeps no such files, or not of this object.
    ///
    /// # Errors
    /// [`Error::NotFound`](super::Error::NotFound), [`Error::Corrupt`](super::Error::Corrupt), [`Error::Io`](super::Error::Io).
    fn plain_file(&self, _id: &FileId) -> Result<Option<LooseFile<'_>>> {
        Ok(None)
    }

    /// The content object as archive repositories keep it, compressed, to be passed on as it is; `None` if it is not
    /// there, or this store keeps it in another way. The checksum is not verified here.
    ///
    /// # Errors
    /// As [`ObjectRead::open_file`].
    fn open_archived(&self, _id: &FileId) -> Result<Option<ArchivedFile>> {
        Ok(None)
    }

    /// The file that a metadata object is, for hard links from other stores; it is the same file in stores of every
    /// mode.
    fn loose_meta(&self, _name: &ObjectName) -> Option<LooseFile<'_>> {
        None
    }
}

/// A content object, open for reading: [`Read`] gives its content.
#[derive(Debug)]
pub struct FileObject {
    /// Owner, mode, xattrs, link target.
    pub header: FileHeader,
    /// Bytes of the content; 0 for a symbolic link.
    pub len: u64,
    /// The content.
    pub content: Content,
}

impl Read for FileObject {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.content {
            Content::Empty => Ok(0),
            Content::File(file) => file.read(buf),
            Content::Stream(stream) => stream.read(buf),
        }
    }
}

/// The source of a content object's bytes.
pub enum Content {
    /// No bytes: a symbolic link has no content.
    Empty,
    /// A file that holds them and nothing else, so that it can be reflinked.
    File(File),
    /// A stream, decompressed on the way.
    Stream(Box<dyn Read + Send>),
}

debug_fields!(
    enum Content {
        Empty,
        File,
        Stream,
    }
);

/// A content object as archive repositories keep it: the framed header, and the content as a raw deflate stream.
pub struct ArchivedFile {
    /// Bytes of the file.
    pub len: u64,
    /// The file, from its start.
    pub read: Box<dyn Read + Send>,
    /// What is asked of it before it is stored.
    pub check: ArchivedCheck,
}

debug_fields!(ArchivedFile { len, check });

/// What is asked of an object that is taken over as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ArchivedCheck {
    /// The object is read to its end, and has to have the id under which it is stored.
    #[default]
    Verified,
    /// The object is stored under that id whatever it is, and not looked at.
    Nothing,
}

/// The place of an object that is a file of its own.
#[derive(Debug, Clone)]
pub struct LooseFile<'a> {
    /// The directory that `path` starts from.
    pub dir: BorrowedFd<'a>,
    /// `ab/cdef….file`
    pub path: PathBuf,
    /// The mode of the store, which tells what the file looks like.
    pub mode: RepoMode,
}
