//! Entries of a stream of ostree-ext's format, one by one: for whoever has a list of them, and wants a stream of some.
//!
//! ```text
//! list of entries ► PartEntry, what is in the repository ► those that are wanted ► write_header, content, write_padding
//! ```
//! What comes out is read as any stream, by [`import_commit_layer`](super::import_commit_layer) and
//! [`import_objects`](super::import_objects), and verified by them: an entry is no more than a claim.

use ostree_format::{Checksum, ObjectName, ObjectType};
use tar::{EntryType, Header};

use super::entry::split_path;
use super::error::Result;
use super::export::new_header;
use super::layout::{EntryRole, object_path, xattrs_path};
use super::reader::{BLOCK_BYTES, padding_of};
use super::writer::Writer;

/// An entry that brings an object, or the xattrs of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartEntry {
    /// What it is in the repository of the stream.
    pub(crate) role: EntryRole,
    /// What kind of file it is.
    pub(crate) kind: PartKind,
    /// Permission bits.
    pub(crate) permissions: u32,
    /// The owner, a user id.
    pub(crate) uid: u32,
    /// The group, a group id.
    pub(crate) gid: u32,
}

/// The kind of such an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PartKind {
    /// A file of so many bytes.
    Regular(u64),
    /// A symbolic link to this target.
    Symlink(Box<str>),
    /// A hard link to the set of xattrs with this checksum.
    LinkToXattrs(Checksum),
}

/// What `path` is in the repository of a stream; `None` if it is no entry that is imported, or cannot be understood.
pub(crate) fn role_of(path: &str) -> Option<EntryRole> {
    match EntryRole::of_names(&split_path(path.as_bytes()).ok()?).ok()? {
        EntryRole::Ignored => None,
        role => Some(role),
    }
}

/// The set of xattrs at which a hard link to `target` points.
pub(crate) fn xattrs_at(target: &str) -> Option<Checksum> {
    EntryRole::xattrs_at(target.as_bytes())
}

impl PartEntry {
    /// An entry that belongs to nobody in particular, as metadata and xattrs do.
    pub(crate) fn plain(role: EntryRole, kind: PartKind) -> Self {
        Self { role, kind, permissions: 0o644, uid: 0, gid: 0 }
    }

    /// Writes what comes before the content.
    ///
    /// # Errors
    /// What the output says.
    pub(crate) fn write_header(&self, out: &mut Writer<Vec<u8>>) -> Result<()> {
        let path = self.path();
        let mut header = new_header(None, self.uid, self.gid, self.permissions);
        header.set_size(0);
        let mut link = |header: &mut Header, kind, target: &str| {
            header.set_entry_type(kind);
            out.append_link(header, &path, target)
        };
        match &self.kind {
            PartKind::Symlink(target) => link(&mut header, EntryType::Symlink, target),
            PartKind::LinkToXattrs(checksum) => link(&mut header, EntryType::Link, &xattrs_path(checksum)),
            PartKind::Regular(size) => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(*size);
                out.append(&mut header, &path)
            }
        }
    }

    /// The bytes that have to follow the content.
    pub(crate) fn padding(&self) -> &'static [u8] {
        match self.kind {
            // Less than a block.
            PartKind::Regular(size) => &[0; BLOCK_BYTES][..padding_of(size) as usize],
            _ => &[],
        }
    }

    fn path(&self) -> String {
        match self.role {
            EntryRole::Meta(name) => object_path(&name),
            EntryRole::File(id) => object_path(&id.into()),
            EntryRole::Xattrs(checksum) => xattrs_path(&checksum),
            EntryRole::XattrsOf(id) => {
                object_path(&ObjectName::new(*id.checksum(), ObjectType::FileXattrsLink))
            }
            EntryRole::Ignored => String::new(),
        }
    }
}
