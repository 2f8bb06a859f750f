//! Content objects: the header of a regular file or symbolic link, and how it is framed.
//!
//! ```text
//! header            (uuuusa(ayay))    uid, gid, mode, rdev = 0 (big endian), link target, xattrs
//! archive header    (tuuuusa(ayay))   size of the content (big endian), then the same
//! framing           u32 big endian: length of the header · 4 zero bytes · header
//! content object    framed header · content                      id = SHA-256 of this
//! .filez            framed archive header · raw deflate of the content
//! ```
//! A symbolic link has no content: its target is in the header. Source: libostree
//! ostree-core-private.h:62, 79; ostree-core.c:416-442, 875-912.

use crate::checksum::{Checksum, FileId};
use crate::dirmeta::{OwnerModeXattrs, write_owner_mode_xattrs};
use crate::error::{ParseError, ParseErrorKind, Result};
use crate::hash::Hasher;
use crate::object::MAX_METADATA_BYTES;
use crate::wire::{Frame, Slice, Tuple, put_string};
use crate::xattrs::Xattrs;

/// The bits of `st_mode` that tell the type of a file.
pub const S_IFMT: u32 = 0o170_000;
/// The type of a regular file in `st_mode`.
pub const S_IFREG: u32 = 0o100_000;
/// The type of a directory in `st_mode`.
pub const S_IFDIR: u32 = 0o040_000;
/// The type of a symbolic link in `st_mode`.
pub const S_IFLNK: u32 = 0o120_000;

/// Bytes of the framing in front of a header.
pub const FRAMING_BYTES: usize = 8;

/// Everything of a content object but its content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileHeader {
    /// The owner, a user id.
    pub uid: u32,
    /// The group, a group id.
    pub gid: u32,
    /// Permission bits, `st_mode & 07777`.
    pub permissions: u32,
    /// Regular file or symbolic link.
    pub kind: FileKind,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

/// The kinds of content objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A symbolic link with this target, kept literally.
    Symlink(Box<str>),
}

impl FileHeader {
    /// The header of a regular file.
    pub fn regular(uid: u32, gid: u32, permissions: u32, xattrs: Xattrs) -> Self {
        Self { uid, gid, permissions: permissions & 0o7777, kind: FileKind::Regular, xattrs }
    }

    /// The header of a symbolic link, whose permissions are 0777 on Linux.
    pub fn symlink(uid: u32, gid: u32, target: &str, xattrs: Xattrs) -> Self {
        Self { uid, gid, permissions: 0o777, kind: FileKind::Symlink(target.into()), xattrs }
    }

    /// `st_mode`: type and permission bits.
    pub const fn mode(&self) -> u32 {
        let kind = match self.kind {
            FileKind::Regular => S_IFREG,
            FileKind::Symlink(_) => S_IFLNK,
        };
        kind | self.permissions
    }

    /// The target, if it is a symbolic link.
    pub const fn symlink_target(&self) -> Option<&str> {
        match &self.kind {
            FileKind::Regular => None,
            FileKind::Symlink(target) => Some(target),
        }
    }

    /// Reads a header `(uuuusa(ayay))`, without its framing.
    ///
    /// # Errors
    /// If it is not in normal form, the mode is neither a regular file's nor a symbolic link's, or only
    /// one of type and target says that it is a link.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let data = Slice::new("file header", bytes);
        Self::read(data, Tuple::new(data, 1)?, Xattrs::read)
    }

    fn read<'a>(
        data: Slice<'a>,
        mut tuple: Tuple<'a>,
        xattrs: impl FnOnce(Slice<'a>) -> Result<Xattrs>,
    ) -> Result<Self> {
        let (uid, gid, mode, rdev) = (tuple.u32_be()?, tuple.u32_be()?, tuple.u32_be()?, tuple.u32_be()?);
        let target = tuple.framed(1)?.named("symlink target");
        let xattrs = xattrs(tuple.last(1)?.named("xattrs"))?;
        let invalid = |why: String| ParseError::invalid(data.what, 0, why);
        if rdev != 0 {
            return Err(invalid(format!("device number {rdev}, must be 0")));
        }
        if mode & !(S_IFMT | 0o7777) != 0 {
            return Err(invalid(format!("mode {mode:o} has unknown bits")));
        }
        let kind = match (mode & S_IFMT, target.string()?) {
            (S_IFREG, "") => FileKind::Regular,
            (S_IFREG, _) => return Err(invalid("a regular file with a symlink target".into())),
            (S_IFLNK, "") => return Err(invalid("a symlink without a target".into())),
            (S_IFLNK, text) => FileKind::Symlink(text.into()),
            _ => return Err(invalid(format!("mode {mode:o} is neither a regular file's nor a symlink's"))),
        };
        Ok(Self { uid, gid, permissions: mode & 0o7777, kind, xattrs })
    }

    /// The header `(uuuusa(ayay))`, without its framing.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        let tuple = Frame::begin(&mut out, 4);
        self.write_members(tuple, &mut out);
        out
    }

    fn write_members(&self, tuple: Frame, out: &mut Vec<u8>) {
        let target = self.symlink_target().unwrap_or_default();
        write_members(tuple, [self.uid, self.gid, self.mode()], target, &self.xattrs, out);
    }

    /// Framing and header: what comes before the content in the stream that is hashed.
    pub fn to_framed(&self) -> Vec<u8> {
        frame(&self.to_bytes())
    }

    /// A hasher that has seen the framed header: add the content, and it gives the [`FileId`].
    pub fn hasher(&self) -> Hasher {
        let mut hasher = Hasher::new();
        hasher.update(&self.to_framed());
        hasher
    }

    /// The id of the object with this header and content.
    pub fn id_with(&self, content: &[u8]) -> FileId {
        let mut hasher = self.hasher();
        hasher.update(content);
        FileId::new(hasher.finish())
    }

    /// Reads the value of the xattr `user.ostreemeta`, which carries owner, mode and xattrs of a file in a
    /// bare-user repository. Old programs wrote the xattrs unsorted. `target` is that of a symbolic link.
    ///
    /// # Errors
    /// As [`FileHeader::parse`].
    pub fn from_ostreemeta(bytes: &[u8], target: impl FnOnce() -> Option<Box<str>>) -> Result<Self> {
        let data = Slice::new("user.ostreemeta", bytes);
        let OwnerModeXattrs { uid, gid, mode, xattrs } = OwnerModeXattrs::read(data, Xattrs::read_unsorted)?;
        let invalid = |why: &str| ParseError::invalid("user.ostreemeta", 8, format!("mode {mode:o}: {why}"));
        if mode & !(S_IFMT | 0o7777) != 0 {
            return Err(invalid("unknown bits"));
        }
        let kind = match mode & S_IFMT {
            S_IFREG => FileKind::Regular,
            S_IFLNK => FileKind::Symlink(target().ok_or_else(|| invalid("a symlink without a target"))?),
            _ => return Err(invalid("neither a regular file nor a symlink")),
        };
        Ok(Self { uid, gid, permissions: mode & 0o7777, kind, xattrs })
    }

    /// The value of the xattr `user.ostreemeta` for this file.
    pub fn to_ostreemeta(&self) -> Vec<u8> {
        write_owner_mode_xattrs(self.uid, self.gid, self.mode(), &self.xattrs)
    }
}

fn write_members(
    mut tuple: Frame,
    [uid, gid, mode]: [u32; 3],
    target: &str,
    xattrs: &Xattrs,
    out: &mut Vec<u8>,
) {
    for n in [uid, gid, mode, 0] {
        out.extend_from_slice(&n.to_be_bytes());
    }
    put_string(out, target);
    tuple.end_member(out);
    xattrs.write(out);
    tuple.finish_tuple(out);
}

/// The checksum that `ostree checksum` prints for a device, a FIFO or a socket with this `st_mode`. No repository
/// keeps such files: there is no object of this name.
pub fn special_file_checksum(uid: u32, gid: u32, mode: u32, xattrs: &Xattrs) -> Checksum {
    let mut header = Vec::with_capacity(32);
    let tuple = Frame::begin(&mut header, 4);
    write_members(tuple, [uid, gid, mode], "", xattrs, &mut header);
    Checksum::of(&frame(&header))
}

/// The header of a `.filez` object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArchiveHeader {
    /// Bytes of the content, uncompressed.
    pub size: u64,
    /// The header of the content object.
    pub file: FileHeader,
}

impl ArchiveHeader {
    /// Reads an archive header `(tuuuusa(ayay))`, without its framing. libostree does not sort the xattrs
    /// in it, so any order is read.
    ///
    /// # Errors
    /// As [`FileHeader::parse`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let data = Slice::new("archive file header", bytes);
        let mut tuple = Tuple::new(data, 1)?;
        let size = tuple.u64_be()?;
        let file = FileHeader::read(data, tuple, Xattrs::read_unsorted)?;
        if size != 0 && file.symlink_target().is_some() {
            return Err(ParseError::invalid(data.what, 0, "a symlink with content"));
        }
        Ok(Self { size, file })
    }

    /// Framing and header: the start of a `.filez` object.
    pub fn to_framed(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(40);
        let tuple = Frame::begin(&mut out, 8);
        out.extend_from_slice(&self.size.to_be_bytes());
        self.file.write_members(tuple, &mut out);
        frame(&out)
    }
}

fn frame(header: &[u8]) -> Vec<u8> {
    // Headers are bounded by MAX_METADATA_BYTES, which fits.
    let len = u32::try_from(header.len()).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(FRAMING_BYTES + header.len());
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(header);
    out
}

/// Reads the framing in front of a header: the length of the header in bytes.
///
/// # Errors
/// If the length is 0 or over [`MAX_METADATA_BYTES`], or the padding is not zero.
pub fn parse_framing(framing: [u8; FRAMING_BYTES]) -> Result<usize> {
    let [a, b, c, d, padding @ ..] = framing;
    let len = u32::from_be_bytes([a, b, c, d]);
    let error = |at, kind| Err(ParseError::new("file header framing", at, kind));
    if padding != [0; 4] {
        return error(4, ParseErrorKind::Padding);
    }
    if len == 0 {
        return error(0, ParseErrorKind::Truncated);
    }
    if u64::from(len) > MAX_METADATA_BYTES {
        return error(0, ParseErrorKind::TooLarge(MAX_METADATA_BYTES));
    }
    Ok(len as usize)
}

/// The name of the `.file-xattrs` object with these serialized xattrs (mode bare-split-xattrs).
pub fn split_xattrs_checksum(xattrs: &Xattrs) -> Checksum {
    Checksum::of(&xattrs.to_bytes())
}
