//! Objects that are written, or taken over from another store.

use std::fs::File;
use std::io::Read;

use ostree_format::{
    Checksum, Commit, CommitId, DirMeta, DirMetaId, DirTree, DirTreeId, FileHeader, FileId, MetaKind,
    ObjectName,
};

use super::{ArchivedFile, ClonedContent, Error, HashedFile, LooseFile, ObjectRead, Result};
use crate::base::Cancel;
use crate::base::io::Cancellable;

/// A store to which objects can be written, from many threads at once.
pub trait ObjectWrite: ObjectRead {
    /// Writes a metadata object, unless it is already there; returns its checksum.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if `bytes` are not a valid object of this kind; [`Error::Io`].
    fn write_meta(&self, kind: MetaKind, bytes: &[u8]) -> Result<Checksum>;

    /// Writes the owner, mode and xattrs of directories, unless they are already there.
    ///
    /// # Errors
    /// As [`ObjectWrite::write_meta`].
    fn write_dirmeta(&self, meta: &DirMeta) -> Result<DirMetaId> {
        Ok(DirMetaId::new(self.write_meta(MetaKind::DirMeta, &meta.to_bytes())?))
    }

    /// Writes the list of what is in a directory, unless it is already there.
    ///
    /// # Errors
    /// As [`ObjectWrite::write_meta`].
    fn write_dirtree(&self, tree: &DirTree) -> Result<DirTreeId> {
        Ok(DirTreeId::new(self.write_meta(MetaKind::DirTree, &tree.to_bytes())?))
    }

    /// Writes a commit as it is, unless it is already there; `tree::write_commit` makes one of a tree and options.
    ///
    /// # Errors
    /// As [`ObjectWrite::write_meta`].
    fn write_commit(&self, commit: &Commit) -> Result<CommitId> {
        Ok(CommitId::new(self.write_meta(MetaKind::Commit, &commit.to_bytes())?))
    }

    /// Writes a metadata object that another store keeps as the file `from`: by a hard link, where that is possible.
    ///
    /// # Errors
    /// As [`ObjectWrite::write_meta`].
    fn link_meta(&self, kind: MetaKind, bytes: &[u8], _from: &LooseFile<'_>) -> Result<Checksum> {
        self.write_meta(kind, bytes)
    }

    /// Takes over a metadata object that another store, which is believed, has under the name `checksum`, and keeps as
    /// the file `from` if it does: what a store on disk keeps has that name, whatever the bytes are. Their structure
    /// is looked at, their checksum is not. A store that names objects by their bytes verifies it, as here.
    ///
    /// # Errors
    /// As [`ObjectWrite::write_meta`]; [`Error::Mismatch`] where the checksum is verified.
    fn take_meta(
        &self,
        kind: MetaKind,
        checksum: &Checksum,
        bytes: &[u8],
        _from: Option<&LooseFile<'_>>,
    ) -> Result<()> {
        match self.write_meta(kind, bytes)? {
            actual if actual == *checksum => Ok(()),
            actual => Err(Error::Mismatch { expected: ObjectName::new(*checksum, kind.into()), actual }),
        }
    }

    /// Writes a content object, unless it is already there; returns its id. `len` is the exact number of
    /// bytes that `content` gives: 0 for a symbolic link.
    ///
    /// # Errors
    /// [`Error::Read`] if `content` fails or is shorter or longer than `len`; [`Error::Unsupported`] if
    /// this store's mode cannot keep what the header says; [`Error::Io`], [`Error::NoSpace`].
    fn write_file(&self, header: &FileHeader, len: u64, content: &mut dyn Read) -> Result<FileId>;

    /// Writes a content object whose content is the file `content`, without copying it, where it lies on the same file
    /// system as the store and that can share blocks; `None` if not: then the caller has to write the content.
    ///
    /// # Errors
    /// As [`ObjectWrite::write_file`].
    fn clone_file(
        &self,
        header: &FileHeader,
        len: u64,
        content: &File,
        cancel: &Cancel,
    ) -> Result<Option<FileId>> {
        let cloned = if len == 0 { None } else { self.clone_content(content)? };
        cloned.map(|cloned| self.write_cloned(header, len, cloned, cancel)).transpose()
    }

    /// Makes a file of the store's own that shares its blocks with the file `content`, and that nobody else can change:
    /// whoever reads it and then lets [`ObjectWrite::write_cloned`] write it knows what becomes the object. `None` if
    /// that is not possible, or if the store keeps content in another form.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn clone_content(&self, _content: &File) -> Result<Option<ClonedContent>> {
        Ok(None)
    }

    /// Writes a content object, unless it is already there, whose content is a file that this store made by
    /// [`ObjectWrite::clone_content`]: the id is that of what the file holds.
    ///
    /// # Errors
    /// As [`ObjectWrite::write_file`].
    fn write_cloned(
        &self,
        header: &FileHeader,
        len: u64,
        content: ClonedContent,
        cancel: &Cancel,
    ) -> Result<FileId> {
        self.write_file(header, len, &mut Cancellable::new(content.read(), cancel))
    }

    /// Writes a content object whose id is known, unless it is already there. A store keeps nothing if header and
    /// content give another id, where it can; here it keeps the object that they are.
    ///
    /// # Errors
    /// [`Error::Mismatch`]; and as [`ObjectWrite::write_file`].
    fn write_file_as(
        &self,
        id: &FileId,
        header: &FileHeader,
        len: u64,
        content: &mut dyn Read,
    ) -> Result<()> {
        let actual = self.write_file(header, len, content)?;
        match actual == *id {
            true => Ok(()),
            false => Err(Error::Mismatch { expected: (*id).into(), actual: *actual.checksum() }),
        }
    }

    /// Takes over a content object that another store, which is believed, has as `id`, unless it is already there: what a
    /// store on disk keeps has that name, whatever header and content are. A store that names objects by their content
    /// verifies it, as here.
    ///
    /// # Errors
    /// As [`ObjectWrite::write_file`]; [`Error::Mismatch`] where the id is verified.
    fn take_file(&self, id: &FileId, header: &FileHeader, len: u64, content: &mut dyn Read) -> Result<()> {
        self.write_file_as(id, header, len, content)
    }

    /// Writes a content object that is in memory and hashed, unless it is already there.
    ///
    /// # Errors
    /// As [`ObjectWrite::write_file`].
    fn write_hashed(&self, file: &HashedFile) -> Result<()> {
        let mut content = file.content();
        self.write_file_as(file.id(), file.header(), content.len() as u64, &mut content)
    }

    /// Writes a content object as another store gave it by [`ObjectRead::open_archived`], unless it is already there:
    /// nothing is compressed anew, and unless its [`ArchivedCheck`](super::ArchivedCheck) says otherwise, all of it is
    /// verified on the way.
    /// `false` if this store keeps objects in another way, or does not take that file: then the caller has to write
    /// the content.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the object has another id; [`Error::Corrupt`], [`Error::Read`] if it is damaged;
    /// [`Error::Io`], [`Error::NoSpace`].
    fn write_archived(&self, _id: &FileId, _file: ArchivedFile, _cancel: &Cancel) -> Result<bool> {
        Ok(false)
    }

    /// Takes over an object of another store by a hard link; `false` if that is not possible between the
    /// two and the caller has to copy. Nothing is verified.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn link_file(&self, _id: &FileId, _from: &LooseFile<'_>) -> Result<bool> {
        Ok(false)
    }
}
