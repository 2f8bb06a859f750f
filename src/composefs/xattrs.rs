//! Extended attributes as EROFS keeps them: those that several inodes have stand once, in a table of their own.

use std::collections::HashMap;

use ostree_format::{FileId, Xattrs};
use twox_hash::XxHash32;

use crate::base::VerityDigest;

/// What overlayfs keeps for itself; a commit's own attributes of this kind get one more `overlay.`.
const OVERLAY: &[u8] = b"trusted.overlay.";
const ESCAPED: &[u8] = b"trusted.overlay.overlay.";
const OPAQUE: &[u8] = b"trusted.overlay.opaque";
const METACOPY: &[u8] = b"trusted.overlay.metacopy";
const REDIRECT: &[u8] = b"trusted.overlay.redirect";
const SELINUX: &[u8] = b"security.selinux";
const ACLS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];

/// The beginnings of names that EROFS writes as a number, in the order in which they are looked for.
const PREFIXES: [(&[u8], u8); 5] = [
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"security.", 6),
];

/// An inode's own header in front of its attributes.
pub(super) const HEADER_BYTES: u64 = 12;
/// Bytes of an entry in front of name and value.
const ENTRY_BYTES: usize = 4;
/// An inode can name this many attributes of the table.
const MAX_SHARED: usize = 128;
/// What libcomposefs lets the attributes of a file take, each with [`ENTRY_OVERHEAD`].
const MAX_INODE_BYTES: usize = 32767;
const ENTRY_OVERHEAD: usize = 7;
const MAX_NAME_BYTES: usize = 255;
/// The kernel's seed of the filter of names.
const FILTER_SEED: u32 = 0x25BB_E08F;

/// One attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Xattr {
    /// The object that holds a file's content.
    Redirect(FileId),
    /// A file without content, and the digest of what the object holds.
    Metacopy(Option<VerityDigest>),
    /// The root directory hides what lies below it.
    Opaque,
    /// An attribute of the commit.
    Other(Box<[u8]>, Box<[u8]>),
}

impl Xattr {
    fn name(&self) -> &[u8] {
        match self {
            Self::Redirect(_) => REDIRECT,
            Self::Metacopy(_) => METACOPY,
            Self::Opaque => OPAQUE,
            Self::Other(name, _) => name,
        }
    }

    fn value(&self) -> Vec<u8> {
        match self {
            Self::Redirect(id) => {
                let hex = id.checksum().hex();
                let (first, rest) = hex.as_str().split_at(2);
                format!("/{first}/{rest}.file").into_bytes()
            }
            // Version 0, length, no flags, the kernel's number of SHA-256.
            Self::Metacopy(Some(digest)) => [&[0, 36, 0, 1], &digest.as_bytes()[..]].concat(),
            Self::Metacopy(None) => Vec::new(),
            Self::Opaque => b"y".to_vec(),
            Self::Other(_, value) => value.to_vec(),
        }
    }

    /// The number of the name's beginning, and the rest of the name.
    fn split_name(&self) -> (u8, &[u8]) {
        let name = self.name();
        let known = PREFIXES.iter().find_map(|(prefix, index)| Some((*index, name.strip_prefix(*prefix)?)));
        known.unwrap_or((0, name))
    }

    /// Appends the entry, without what aligns it.
    fn write(&self, to: &mut Vec<u8>) {
        let ((index, name), value) = (self.split_name(), self.value());
        // Both lengths were checked by `refusal`; our own are short.
        let (name_len, value_len) = (name.len().to_le_bytes()[0], value.len().to_le_bytes());
        to.extend_from_slice(&[name_len, index, value_len[0], value_len[1]]);
        to.extend_from_slice(name);
        to.extend_from_slice(&value);
        to.resize(to.len().next_multiple_of(ENTRY_BYTES), 0);
    }

    fn entry_bytes(&self) -> u64 {
        let value = match self {
            Self::Other(_, value) => value.len(),
            ours => ours.value().len(),
        };
        (ENTRY_BYTES + self.split_name().1.len() + value).next_multiple_of(ENTRY_BYTES) as u64
    }
}

/// The number of an attribute in [`Table`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct XattrId(u32);

/// All attributes of an image, each once.
#[derive(Debug, Default)]
pub(super) struct Table {
    ids: HashMap<Xattr, XattrId>,
    entries: Vec<Entry>,
    /// Attributes that several inodes have, in the order of the table.
    shared: Vec<XattrId>,
    pub(super) shared_bytes: u64,
    pub(super) has_acl: bool,
}

#[derive(Debug)]
struct Entry {
    xattr: Xattr,
    uses: u32,
    /// Where it stands in the table, if several inodes have it.
    offset: Option<u64>,
}

/// The attributes of one inode, as they will be written.
pub(super) struct OfInode {
    pub(super) bytes: u64,
    shared: usize,
}

impl Table {
    /// The number of an attribute, new or not. Callers ask as [`Table::used`] tells how many have it.
    pub(super) fn id(&mut self, xattr: Xattr) -> XattrId {
        if let Some(id) = self.ids.get(&xattr) {
            return *id;
        }
        self.has_acl |= ACLS.contains(&xattr.name());
        // Inodes are counted by u32, and each has few attributes of its own; see `tree::MAX_INODES`.
        let id = XattrId(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        self.ids.insert(xattr.clone(), id);
        self.entries.push(Entry { xattr, uses: 0, offset: None });
        id
    }

    /// The numbers of a commit's attributes and those that an image adds, sorted by name.
    pub(super) fn of(&mut self, own: &Xattrs, added: impl IntoIterator<Item = Xattr>) -> Box<[XattrId]> {
        let escaped = |name: &[u8]| match name.strip_prefix(OVERLAY) {
            Some(rest) => [ESCAPED, rest].concat().into(),
            None => name.into(),
        };
        let own = own.iter().map(|(name, value)| Xattr::Other(escaped(name), value.into()));
        let mut all: Vec<Xattr> = own.chain(added).collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all.into_iter().map(|xattr| self.id(xattr)).collect()
    }

    /// Notes that one more inode has these.
    pub(super) fn used(&mut self, ids: &[XattrId]) {
        for id in ids {
            self.entries[id.0 as usize].uses += 1;
        }
    }

    /// Makes the table of those that several inodes have, sorted backwards by name, length and value.
    pub(super) fn share(&mut self) {
        self.ids = HashMap::new();
        let several = self.entries.iter().zip(0..).filter(|(entry, _)| entry.uses > 1);
        let mut shared: Vec<(Vec<u8>, XattrId)> =
            several.map(|(entry, at)| (entry.xattr.value(), XattrId(at))).collect();
        let name = |id: &XattrId| self.entries[id.0 as usize].xattr.name();
        shared.sort_by(|(a, a_id), (b, b_id)| {
            name(b_id).cmp(name(a_id)).then(b.len().cmp(&a.len())).then_with(|| b.cmp(a))
        });
        self.shared = shared.into_iter().map(|(_, id)| id).collect();
        let mut offset = 0;
        for id in &self.shared {
            let entry = &mut self.entries[id.0 as usize];
            entry.offset = Some(offset);
            offset += entry.xattr.entry_bytes();
        }
        self.shared_bytes = offset;
    }

    /// What the attributes of an inode take.
    pub(super) fn measure(&self, ids: &[XattrId]) -> OfInode {
        let (shared, own) = self.split(ids);
        let own_bytes: u64 = own.iter().map(|entry| entry.xattr.entry_bytes()).sum();
        let bytes = match ids.is_empty() {
            true => 0,
            false => HEADER_BYTES + (shared.len() * ENTRY_BYTES) as u64 + own_bytes,
        };
        OfInode { bytes, shared: shared.len() }
    }

    /// Appends the attributes of an inode; `base` is where the table begins in its block.
    pub(super) fn write(&self, ids: &[XattrId], base: u64, to: &mut Vec<u8>) {
        if ids.is_empty() {
            return;
        }
        let (shared, own) = self.split(ids);
        to.extend_from_slice(&self.filter(ids).to_le_bytes());
        to.extend_from_slice(&[self.measure(ids).shared.to_le_bytes()[0], 0, 0, 0, 0, 0, 0, 0]);
        for offset in shared {
            // Four bytes are the unit; the table's size was checked with the layout.
            let id = u32::try_from((base + offset) / ENTRY_BYTES as u64).unwrap_or(u32::MAX);
            to.extend_from_slice(&id.to_le_bytes());
        }
        for entry in own {
            entry.xattr.write(to);
        }
    }

    /// Writes the table, one attribute after another.
    pub(super) fn shared(&self) -> impl Iterator<Item = Vec<u8>> {
        self.shared.iter().map(|id| {
            let mut bytes = Vec::new();
            self.entries[id.0 as usize].xattr.write(&mut bytes);
            bytes
        })
    }

    /// The offsets of those that stand in the table, and those that the inode keeps itself.
    fn split(&self, ids: &[XattrId]) -> (Vec<u64>, Vec<&Entry>) {
        let (mut shared, mut own) = (Vec::new(), Vec::new());
        for id in ids {
            let entry = &self.entries[id.0 as usize];
            match entry.offset {
                Some(offset) if shared.len() < MAX_SHARED => shared.push(offset),
                _ => own.push(entry),
            }
        }
        (shared, own)
    }

    /// Names that the inode certainly does not have, by their hash: the kernel asks by it.
    fn filter(&self, ids: &[XattrId]) -> u32 {
        ids.iter().fold(u32::MAX, |filter, id| {
            let (index, name) = self.entries[id.0 as usize].xattr.split_name();
            filter & !(1 << (XxHash32::oneshot(FILTER_SEED + u32::from(index), name) % u32::BITS))
        })
    }
}

/// The label that whiteouts take over from the root directory.
pub(super) fn selinux_label(xattrs: &Xattrs) -> Xattrs {
    Xattrs::from_pairs(xattrs.get(SELINUX).map(|label| (SELINUX, label)))
}

/// Why an image cannot have these attributes of a commit, where libcomposefs refuses them.
pub(super) fn refusal(xattrs: &Xattrs) -> Option<String> {
    let mut bytes = HEADER_BYTES as usize;
    for (name, value) in xattrs.iter() {
        let shown = || String::from_utf8_lossy(name).into_owned();
        if name.len() > MAX_NAME_BYTES {
            return Some(format!("the name of xattr {} is too long for an image", shown()));
        }
        bytes += ENTRY_OVERHEAD + name.len() + value.len();
        if bytes > MAX_INODE_BYTES {
            return Some(format!("xattr {} is too much: an image keeps 32 kB of them for a file", shown()));
        }
    }
    None
}
