//! Checks whether an object is what its name says.

use std::collections::HashMap;
use std::io::{self, Chain, Cursor, Read};
use std::sync::{PoisonError, RwLock};

use ostree_format::{
    Checksum, Commit, FileId, FileKind, MetaKind, ObjectName, ObjectType, ParseError, SIZES_KEY, Xattrs,
    parse_sizes,
};

use super::{Error, FileObject, Result, validate_meta};
use crate::base::Cancel;
use crate::base::io::{Cancellable, Exact, Hashing, copy_exact};

/// Checks the bytes of a metadata object, or of `.file-xattrs`: their checksum, and that they are in the
/// form of their type. Objects that are not named by their own checksum only have the form.
///
/// # Errors
/// [`Error::Mismatch`], [`Error::Corrupt`].
pub fn verify_meta(name: &ObjectName, bytes: &[u8]) -> Result<()> {
    let actual = Checksum::of(bytes);
    let kind = match name.kind {
        ObjectType::Commit => Some(MetaKind::Commit),
        ObjectType::DirTree => Some(MetaKind::DirTree),
        ObjectType::DirMeta => Some(MetaKind::DirMeta),
        ObjectType::FileXattrs => None,
        _ => return Ok(()),
    };
    if actual != name.checksum {
        return Err(Error::Mismatch { expected: *name, actual });
    }
    match kind {
        Some(kind) => validate_meta(kind, name, bytes),
        None => Xattrs::parse_unsorted(bytes).map(drop).map_err(Error::corrupt(*name)),
    }
}

/// The stream whose checksum is the id of a content object: its framed header, and its content. It fails if the content
/// is shorter or longer than the object says, and once the work is cancelled.
pub type FramedFile<'a> = Chain<Cursor<Vec<u8>>, Cancellable<'a, Exact<FileObject>>>;

impl FileObject {
    /// The stream whose checksum is the object's id.
    pub fn framed(self, cancel: &Cancel) -> FramedFile<'_> {
        let (framed, len) = (self.header.to_framed(), self.len);
        Cursor::new(framed).chain(Cancellable::new(Exact::new(self, len), cancel))
    }
}

/// Checks the result of hashing [`FileObject::framed`].
///
/// # Errors
/// As [`verify_file`].
pub fn check_hashed(id: &FileId, hashed: io::Result<Checksum>, cancel: &Cancel) -> Result<()> {
    match hashed.map(FileId::new) {
        Ok(actual) if actual == *id => Ok(()),
        Ok(actual) => Err(Error::Mismatch { expected: (*id).into(), actual: *actual.checksum() }),
        Err(source) => {
            cancel.check()?;
            Err(Error::Read { what: ObjectName::from(*id).to_string(), source })
        }
    }
}

/// Reads a content object to its end and checks its checksum; gives back the bytes of its content.
///
/// # Errors
/// [`Error::Mismatch`]; [`Error::Read`] if it cannot be read or is shorter or longer than it says;
/// [`Error::Cancelled`].
pub fn verify_file(id: &FileId, mut file: FileObject, cancel: &Cancel) -> Result<u64> {
    let len = file.len;
    let mut hashing = Hashing::with_hasher(io::sink(), file.header.hasher());
    let copied = copy_exact(&mut Cancellable::new(&mut file, cancel), &mut hashing, len);
    check_hashed(id, copied.map(|()| hashing.finish().1), cancel).map(|()| len)
}

/// The sizes of files that commits give (`ostree.sizes`). A file that is larger is not the one that was committed, and
/// need not be read to know that: it may be sparse and take days to read.
#[derive(Debug, Default)]
pub struct Sizes(RwLock<HashMap<Checksum, u64>>);

impl Sizes {
    /// Takes note of what a commit says; most say nothing.
    pub fn note(&self, commit: &[u8]) {
        let sizes = Commit::parse(commit).and_then(|commit| parse_sizes(&commit.metadata));
        let Ok(Some(sizes)) = sizes else { return };
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for size in sizes.iter().filter(|size| size.object.kind == ObjectType::File) {
            let most = known.entry(size.object.checksum).or_default();
            *most = size.unpacked_bytes.max(*most);
        }
    }

    /// Checks that a file is not larger.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn check(&self, id: &FileId, file: &FileObject) -> Result<()> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match known.get(id.checksum()) {
            Some(most) if file.header.kind == FileKind::Regular && file.len > *most => {
                let why = format!("it has {} bytes, and the commit says {most}", file.len);
                Err(Error::corrupt(*id)(ParseError::invalid(SIZES_KEY, 0, why)))
            }
            _ => Ok(()),
        }
    }
}
