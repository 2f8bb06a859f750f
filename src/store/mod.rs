//! Floor 2: traits for stores of objects and refs, however they keep them.
//!
//! ```text
//! Txn ─┬─ ObjectWrite ── ObjectRead      objects go in, from many threads at once
//!      ├─ Refs                           names of commits
//!      └┄ Hints                          what some stores remember: a cache, a journal
//! ```
//! Everything above (tree, tar, diff, container) works on these traits. [`MemStore`] keeps all in memory;
//! a repository on disk is in [`crate::repo`].

mod begin;
mod bindings;
mod devino;
mod error;
mod follow;
mod hashed;
mod hints;
mod load;
mod lookup;
mod mem;
mod modifier;
mod overlay;
mod pack;
mod paths;
mod rev;
pub mod selinux;
mod union;
mod user_only;
mod verify;
mod voucher;
mod walk;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use ostree_format::variant::Dict;
use ostree_format::{
    Checksum, CollectionId, Commit, CommitId, DirMeta, DirMetaId, DirTree, DirTreeId, FileHeader, FileId,
    MetaKind, ObjectName, RefName, RefSpec, RemoteName, RepoMode, Xattrs,
};

use crate::base::Cancel;

pub use begin::{Begin, OpenTxn, give_up, in_resumed, in_transaction};
pub use bindings::{BindingError, COLLECTION_BINDING, REF_BINDING, check_bindings};
pub use devino::{DevIno, DevInoCache};
pub use error::{Error, Result};
pub use follow::{LinkTarget, Placement};
pub use hashed::{HashedFile, LoadedFile, SMALL_FILE_BYTES};
pub(crate) use hashed::{unreadable, wrong_length};
pub(crate) use hints::journal_tells;
pub use hints::{Hints, MAX_CACHED_BYTES};
pub use load::{load_commit, load_commitmeta, load_dirmeta, load_dirtree};
pub use lookup::{TreeEntry, lookup, read_path};
pub use mem::MemStore;
pub(crate) use mem::validate_meta;
pub use modifier::{
    Attributes, Decision, Executables, Modifier, Permissions, SkipList, StatOverrides, XattrPolicy,
};
pub use overlay::{Entry, MutableTree};
pub use pack::pack_file;
pub use paths::{Paths, paths};
pub use rev::resolve_rev;
pub use union::{ListedOverLink, Upper};
pub(crate) use user_only::{check_user_only, check_user_only_mode, is_user_only};
pub use verify::{FramedFile, Sizes, check_hashed, verify_file, verify_meta};
pub use voucher::{CommitBytes, Refusal, Voucher, require_voucher, vouch_stored};
pub use walk::{Reachable, walk_commit};

/// Objects can be read.
pub trait ObjectRead: Sync {
    /// Whether the object is there.
    ///
    /// # Errors
    /// [`Error::Io`] if that cannot be told.
    fn contains(&self, name: &ObjectName) -> Result<bool>;

    /// The bytes of a metadata object, at most [`MAX_METADATA_BYTES`](ostree_format::MAX_METADATA_BYTES);
    /// `None` if it is not there. The checksum is not verified here.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Corrupt`] if it is too large.
    fn read_meta(&self, name: &ObjectName) -> Result<Option<Vec<u8>>>;

    /// A content object, open for reading; `None` if it is not there. The checksum is not verified here.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Corrupt`] if its header is damaged.
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
    /// [`Error::NotFound`], [`Error::Corrupt`], [`Error::Io`].
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

    /// Writes a content object whose content is the file `content`, open at its start, without copying it, where it lies
    /// on the same file system as the store and that can share blocks; `None` if not: then the caller has to write the
    /// content.
    ///
    /// # Errors
    /// As [`ObjectWrite::write_file`].
    fn clone_file(
        &self,
        _header: &FileHeader,
        _len: u64,
        _content: &File,
        _cancel: &Cancel,
    ) -> Result<Option<FileId>> {
        Ok(None)
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
    /// nothing is compressed anew, and unless its [`ArchivedCheck`] says otherwise, all of it is verified on the way.
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

/// A store in which names of commits can be looked up.
pub trait Refs: Sync {
    /// The commit that a ref names; `None` if the ref does not exist. A local ref that does not exist may
    /// stand for a remote's, as in libostree.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Invalid`] if what is stored there is no checksum.
    fn resolve(&self, refspec: &RefSpec) -> Result<Option<CommitId>>;

    /// The commit that a ref names, where a local ref never stands for a remote's.
    ///
    /// # Errors
    /// As [`Refs::resolve`].
    fn resolve_exact(&self, refspec: &RefSpec) -> Result<Option<CommitId>> {
        self.resolve(refspec)
    }

    /// Every ref, local and remote.
    ///
    /// # Errors
    /// As [`Refs::resolve`].
    fn list(&self) -> Result<BTreeMap<RefSpec, CommitId>>;

    /// The commits whose checksum starts with these hexadecimal digits.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn commits_with_prefix(&self, digits: &str) -> Result<Vec<CommitId>>;
}

/// A change that becomes visible as a whole or not at all. Who begins it also commits or drops it.
pub trait Txn: ObjectWrite + Refs {
    /// Lets a ref name `target` once the transaction is committed, or deletes it.
    ///
    /// # Errors
    /// [`Error::Usage`] if the ref cannot be written.
    fn set_ref(&self, refspec: &RefSpec, target: Option<CommitId>) -> Result<()>;

    /// Lets a ref of a collection name `target` once the transaction is committed, or deletes it.
    ///
    /// # Errors
    /// [`Error::Usage`] if the ref cannot be written; [`Error::Unsupported`] if the store has no collections.
    fn set_collection_ref(
        &self,
        id: &CollectionId,
        _name: &RefName,
        _target: Option<CommitId>,
    ) -> Result<()> {
        Err(Error::Unsupported(format!("refs of the collection {id} cannot be kept here")))
    }

    /// Replaces the detached metadata of a commit; an empty dictionary removes it.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn set_detached(&self, commit: &CommitId, metadata: &Dict) -> Result<()>;

    /// Notes that a commit was deleted on purpose, where it came from: a store on disk keeps that as a tombstone, one
    /// in memory does not.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn leave_tombstone(&self, _commit: &CommitId) -> Result<()> {
        Ok(())
    }

    /// Notes that objects of a commit are missing, or that all are there.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn set_partial(&self, commit: &CommitId, state: Completeness) -> Result<()>;

    /// The completeness that was noted of a commit, in this transaction or before; complete if nothing was.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn completeness(&self, commit: &CommitId) -> Result<Completeness>;

    /// The hints that the store keeps from one transaction to the next, if it keeps any: one in memory does not.
    fn hints(&self) -> Option<&dyn Hints> {
        None
    }
}

/// The length to which the history of a commit is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The given number of parents.
    Parents(u32),
    /// All parents, to the first commit or to where the store has no more.
    All,
}

impl Depth {
    /// The depth left at the parent; none if it is not followed.
    #[must_use]
    pub const fn parent(self) -> Option<Self> {
        match self {
            Self::All => Some(Self::All),
            Self::Parents(0) => None,
            Self::Parents(n) => Some(Self::Parents(n - 1)),
        }
    }

    /// Whether everything within `other` is within this.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Parents(_), Self::All) => false,
            (Self::Parents(a), Self::Parents(b)) => a >= b,
        }
    }
}

/// Whether all objects of a commit are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// All objects of the commit are there.
    Complete,
    /// Some may be missing: a pull was interrupted or asked for less.
    Partial,
    /// Some are missing since fsck removed what was corrupt.
    PartialByFsck,
}

/// A content object, open for reading: [`Read`] gives its content.
pub struct FileObject {
    /// Owner, mode, xattrs, link target.
    pub header: FileHeader,
    /// Bytes of the content; 0 for a symbolic link.
    pub len: u64,
    /// The content.
    pub content: Content,
}

/// A content object as archive repositories keep it: the framed header, and the content as a raw deflate stream.
pub struct ArchivedFile {
    /// Bytes of the file.
    pub len: u64,
    /// The file, from its start.
    pub read: Box<dyn Read + Send>,
    /// What is asked of it before it is stored.
    pub check: ArchivedCheck,
}

/// What is asked of an object that is taken over as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ArchivedCheck {
    /// The object is read to its end, and has to have the id under which it is stored.
    #[default]
    Verified,
    /// The object is stored under that id whatever it is, and not looked at.
    Nothing,
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

impl Read for FileObject {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.content {
            Content::Empty => Ok(0),
            Content::File(file) => file.read(buf),
            Content::Stream(stream) => stream.read(buf),
        }
    }
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

/// Checks that a ref may be written: nobody could tell one that looks like a checksum from a commit.
///
/// # Errors
/// [`Error::Usage`].
pub fn check_new_ref(refspec: &RefSpec) -> Result<()> {
    match refspec.name.as_str().parse::<Checksum>() {
        Ok(_) => Err(Error::Usage(format!("Rev name '{}' looks like a checksum", refspec.name))),
        Err(_) => Ok(()),
    }
}

/// The local ref `name`.
pub fn local_ref(name: RefName) -> RefSpec {
    RefSpec { remote: None, name }
}

/// The ref `name` of `remote`.
pub fn remote_ref(remote: RemoteName, name: RefName) -> RefSpec {
    RefSpec { remote: Some(remote), name }
}
