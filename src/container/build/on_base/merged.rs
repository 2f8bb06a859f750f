//! What a container of the base sees: its layers laid one over the other, without their content.
//!
//! ```text
//! .wh.NAME        what lower layers have of that name is gone
//! .wh..wh..opq    what lower layers have in this directory is gone
//! hard link       the node that its target is now
//! all else        takes the place of what is there; directories only of other things than directories
//! ```
//! Source: the OCI image specification, layer.md. Memory: the paths, and some 60 bytes for each.

use std::collections::BTreeMap;
use std::ops::Bound;

use ostree_format::{Checksum, Xattrs};

use crate::tar::{BaseFile, EntryErrorKind, EntryKind, Result, SELINUX_XATTR, TarEntry};

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
/// Other names that start so are AUFS's own.
const AUFS: &str = ".wh..wh.";

/// The merged layers, by path; the root's is empty.
#[derive(Default)]
pub(super) struct Merged {
    nodes: BTreeMap<Box<str>, Node>,
    /// The number of the layer that is being read.
    layer: u32,
}

/// A file or directory as a container sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    layer: u32,
    pub(super) kind: NodeKind,
    /// The owner and permissions; `None` if no entry says them.
    pub(super) meta: Option<Meta>,
}

/// What stands in the inode of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    uid: u32,
    gid: u32,
    permissions: u32,
    /// The xattrs but for SELinux's label; `None` if there are no others.
    xattrs: Option<Checksum>,
}

/// The kind of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeKind {
    Dir,
    /// A regular file or symbolic link, which may be what the commit wants.
    File(Option<BaseFile>),
    /// A device or pipe, or a hard link to nothing.
    Other,
}

impl Meta {
    /// The owner, permissions and xattrs of an inode.
    pub(super) fn new(uid: u32, gid: u32, permissions: u32, xattrs: &Xattrs) -> Self {
        Self { uid, gid, permissions, xattrs: unpacked_xattrs(xattrs) }
    }
}

/// What tells the xattrs of two files apart that were unpacked; `None` for none.
pub(super) fn unpacked_xattrs(xattrs: &Xattrs) -> Option<Checksum> {
    let mut xattrs = xattrs.clone();
    xattrs.remove(SELINUX_XATTR);
    (!xattrs.is_empty()).then(|| Checksum::of(&xattrs.to_bytes()))
}

impl Meta {
    /// The checksum of the xattrs but for SELinux's label.
    pub(super) fn xattrs(&self) -> Option<Checksum> {
        self.xattrs
    }
}

impl Merged {
    /// Begins the next layer.
    pub(super) fn next_layer(&mut self) {
        self.layer += 1;
    }

    /// What is at a path.
    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Every path but the root, parents first.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(|path| &**path).filter(|path| !path.is_empty())
    }

    /// Takes in an entry of the layer.
    pub(super) fn entry(&mut self, entry: &TarEntry, path: &str, candidate: Option<BaseFile>) -> Result<()> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name == OPAQUE {
            self.remove_below(dir, |node, layer| node.layer < layer);
            return Ok(());
        }
        if entry.kind == EntryKind::VolumeLabel || path.split('/').any(|name| name.starts_with(AUFS)) {
            return Ok(());
        }
        if let Some(name) = name.strip_prefix(WHITEOUT) {
            let gone = if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
            let layer = self.layer;
            self.remove_below(&gone, |node, layer| node.layer < layer);
            if self.nodes.get(&*gone).is_some_and(|node| node.layer < layer) {
                self.nodes.remove(&*gone);
            }
            return Ok(());
        }
        if !path.is_empty() {
            self.make_dir(dir, entry)?;
        }
        let meta = Some(Meta::new(entry.uid, entry.gid, entry.permissions, &entry.xattrs));
        let kind = match entry.kind {
            EntryKind::Dir => NodeKind::Dir,
            EntryKind::Regular | EntryKind::Symlink => NodeKind::File(candidate),
            _ => NodeKind::Other,
        };
        let target = if entry.kind == EntryKind::Link { self.target(entry) } else { None };
        let node = target.unwrap_or(Node { layer: self.layer, kind, meta });
        if node.kind != NodeKind::Dir {
            self.remove_below(path, |_, _| true);
        }
        self.nodes.insert(path.into(), Node { layer: self.layer, ..node });
        Ok(())
    }

    /// The file that a hard link names.
    fn target(&self, entry: &TarEntry) -> Option<Node> {
        let target = std::str::from_utf8(&entry.link).ok()?;
        let names = target.split('/').filter(|name| !matches!(*name, "" | ".")).collect::<Vec<_>>();
        self.nodes.get(&*names.join("/")).copied().filter(|node| matches!(node.kind, NodeKind::File(_)))
    }

    /// Makes the directories of a path that are not there; nothing says whose they are.
    fn make_dir(&mut self, path: &str, entry: &TarEntry) -> Result<()> {
        match self.nodes.get(path) {
            Some(Node { kind: NodeKind::Dir, .. }) => return Ok(()),
            // Programs that unpack it follow the link, replace it, or fail.
            Some(_) => {
                let why = EntryErrorKind::Conflict("it lies below something that is no directory");
                return Err(entry.error(why));
            }
            None => {}
        }
        if !path.is_empty() {
            self.make_dir(path.rsplit_once('/').map_or("", |(dir, _)| dir), entry)?;
        }
        let node = Node { layer: self.layer, kind: NodeKind::Dir, meta: None };
        self.nodes.insert(path.into(), node);
        Ok(())
    }

    fn remove_below(&mut self, dir: &str, is_gone: impl Fn(&Node, u32) -> bool) {
        // `0` is the character behind the slash; everything but the root itself is below the root.
        let (from, to) = match dir {
            "" => ("\u{1}".to_owned(), None),
            dir => (format!("{dir}/"), Some(format!("{dir}0"))),
        };
        let to = to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.nodes.range::<str, _>((Bound::Included(&*from), to));
        let gone = range.filter(|(_, node)| is_gone(node, self.layer)).map(|(path, _)| path.clone());
        let gone: Vec<_> = gone.collect();
        for path in gone {
            self.nodes.remove(&path);
        }
    }
}
