//! The fields of one entry of a tar stream.

use ostree_format::Xattrs;

use super::error::{EntryErrorKind, Error, Result};

/// One entry of a tar stream; the content comes from [`Reader::content`](super::Reader::content).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    /// Offset of its first header block in the stream, extended headers included.
    pub offset: u64,
    /// The path of the entry, as it stands in the archive.
    pub path: Vec<u8>,
    /// The target of a hard or symbolic link, as it stands there; else empty.
    pub link: Vec<u8>,
    /// The kind of the entry.
    pub kind: EntryKind,
    /// Permission bits, `st_mode & 07777`.
    pub permissions: u32,
    /// The owner, a user id.
    pub uid: u32,
    /// The group, a group id.
    pub gid: u32,
    /// Time of the last change, in seconds since 1970.
    pub mtime: i64,
    /// Bytes of its content, holes included.
    pub size: u64,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

/// The types of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    Regular,
    /// A hard link to an entry that came before.
    Link,
    /// A symbolic link.
    Symlink,
    /// A directory.
    Dir,
    /// A character device with its numbers.
    Char(u32, u32),
    /// A block device with its numbers.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket; only cpio and zip archives have them.
    Socket,
    /// A name that GNU tar gave the whole archive: no file at all.
    VolumeLabel,
}

impl TarEntry {
    /// What is needed of a hard link that waits for its target: all but the xattrs, which may be large.
    pub(super) fn to_wait(&self) -> Self {
        let Self { offset, kind, permissions, uid, gid, mtime, size, .. } = *self;
        let (path, link, xattrs) = (self.path.clone(), self.link.clone(), Xattrs::EMPTY);
        Self { offset, path, link, kind, permissions, uid, gid, mtime, size, xattrs }
    }
}

impl EntryKind {
    /// What an `st_mode` says; `device` are the numbers of a device.
    pub(super) const fn of_mode(mode: u32, device: (u32, u32)) -> Self {
        match mode & 0o170_000 {
            0o100_000 => Self::Regular,
            0o040_000 => Self::Dir,
            0o120_000 => Self::Symlink,
            0o020_000 => Self::Char(device.0, device.1),
            0o060_000 => Self::Block(device.0, device.1),
            0o010_000 => Self::Fifo,
            _ => Self::Socket,
        }
    }

    /// The kind in words, for messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Regular => "a regular file",
            Self::Link => "a hard link",
            Self::Symlink => "a symbolic link",
            Self::Dir => "a directory",
            Self::Char(..) => "a character device",
            Self::Block(..) => "a block device",
            Self::Fifo => "a named pipe",
            Self::Socket => "a socket",
            Self::VolumeLabel => "a volume label",
        }
    }
}

impl TarEntry {
    /// The names that its path consists of; none for the root. `.` and doubled slashes are left out.
    ///
    /// # Errors
    /// [`Error::Entry`] if the path is empty, absolute, not UTF-8, or holds `..`.
    pub fn names(&self) -> Result<Vec<&str>> {
        split_path(&self.path).map_err(|kind| self.error(kind))
    }

    /// An error about this entry.
    pub fn error(&self, kind: EntryErrorKind) -> Error {
        Error::Entry { path: String::from_utf8_lossy(&self.path).into_owned(), offset: self.offset, kind }
    }
}

/// The names that a relative path consists of; none for the root. `.` and doubled slashes are left out.
///
/// # Errors
/// If the path is empty, absolute, not UTF-8, or holds `..`.
pub fn split_path(path: &[u8]) -> Result<Vec<&str>, EntryErrorKind> {
    let path = std::str::from_utf8(path).map_err(|_| EntryErrorKind::NotUtf8("path"))?;
    if path.is_empty() {
        return Err(EntryErrorKind::NoPath);
    }
    if path.starts_with('/') {
        return Err(EntryErrorKind::Absolute);
    }
    let names: Vec<_> = path.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    if names.contains(&"..") {
        return Err(EntryErrorKind::DotDot);
    }
    Ok(names)
}
