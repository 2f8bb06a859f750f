//! The entries of a layer, one after the other.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use ostree_format::{DirMeta, DirMetaId, FileId, Xattrs};

use super::super::archive::Archive;
use super::super::entry::{EntryKind, TarEntry};
use super::super::error::{EntryErrorKind, Result};
use super::super::files::{FileWriter, LAYER_DEPTH, cleaned, file_header, file_name, names, relative};
use super::implied::Implied;
use super::links::{HardLinks, Node};
use super::places::{LayerPlace, is_whiteout};
use super::{LayerOptions, LayerTree};
use crate::store::{Decision, Modifier, MutableTree};

/// What the names of xattrs begin with on Linux: xattr(7).
const NAMESPACES: [&[u8]; 4] = [b"user.", b"trusted.", b"security.", b"system."];

/// A layer that becomes a tree.
pub(super) struct LayerImport<'a, 'p, 'env> {
    pub(super) files: FileWriter<'p, 'env>,
    pub(super) options: LayerOptions,
    pub(super) wanted: &'a BTreeSet<String>,
    modifier: Modifier,
    pub(super) tree: MutableTree,
    /// Where the symbolic links of the layer lead.
    symlinks: HashMap<FileId, String>,
    pub(super) links: HardLinks,
    implied: Implied,
    left_out: BTreeMap<String, u64>,
}

impl<'a, 'p, 'env> LayerImport<'a, 'p, 'env> {
    pub(super) fn new(
        files: FileWriter<'p, 'env>,
        options: LayerOptions,
        wanted: &'a BTreeSet<String>,
        modifier: Modifier,
    ) -> Self {
        let (tree, symlinks, links) = (MutableTree::new(), HashMap::new(), HardLinks::default());
        let (implied, left_out) = (Implied::default(), BTreeMap::new());
        Self { files, options, wanted, modifier, tree, symlinks, links, implied, left_out }
    }

    pub(super) fn entry(&mut self, entry: &TarEntry, archive: &mut Archive<'_>) -> Result<()> {
        if entry.kind == EntryKind::VolumeLabel {
            return Ok(());
        }
        let entry = &*self.for_linux(entry);
        let path = self.real_path(&entry.path, entry)?;
        let place = match self.options.locate(&path) {
            LayerPlace::In(place) => place,
            LayerPlace::Out(name) => {
                self.leave_out(name);
                let node = Node::Out(path);
                return match entry.kind {
                    EntryKind::Link => self.set_outside(node, entry, archive),
                    EntryKind::Char(..) | EntryKind::Block(..) | EntryKind::Fifo => {
                        self.links.set_special(node, entry.kind);
                        Ok(())
                    }
                    _ if self.wanted.contains(node.name()) => self.set_outside(node, entry, archive),
                    _ => Ok(()),
                };
            }
            LayerPlace::Object(id) => return self.set_outside(Node::Object(id), entry, archive),
        };
        let takes_away = is_whiteout(&place);
        if takes_away && self.is_below_file(&place)? {
            return Ok(());
        }
        match entry.kind {
            EntryKind::Symlink if LayerOptions::becomes_its_target(&path, &place, &entry.link) => Ok(()),
            EntryKind::Regular | EntryKind::Symlink => self.file(entry, &place, archive),
            _ if takes_away => {
                let marker = TarEntry { kind: EntryKind::Regular, size: 0, ..entry.to_wait() };
                self.file(&marker, &place, archive)
            }
            EntryKind::Dir => self.dir(entry, &place),
            EntryKind::Link => self.link(entry, &place),
            other => {
                self.leave_out(other.as_str().to_owned());
                self.clear(entry, &place)?;
                self.links.set_special(Node::Tree(place), other);
                Ok(())
            }
        }
    }

    /// The entry without what no file on Linux can have: xattrs such as those of macOS, and the owner that `chown` takes
    /// for "as it is", so that files stay root's.
    fn for_linux<'e>(&mut self, entry: &'e TarEntry) -> Cow<'e, TarEntry> {
        let real = |owner| if owner == u32::MAX { 0 } else { owner };
        let is_known = |name: &[u8]| NAMESPACES.iter().any(|namespace| name.starts_with(namespace));
        let mut entry = Cow::Borrowed(entry);
        for (name, _) in entry.xattrs.iter().filter(|(name, _)| !is_known(name)) {
            self.leave_out(format!("xattr {}", String::from_utf8_lossy(name)));
        }
        if !entry.xattrs.iter().all(|(name, _)| is_known(name)) {
            entry.to_mut().xattrs.retain(|name, _| is_known(name));
        }
        if entry.uid == u32::MAX || entry.gid == u32::MAX {
            let entry = entry.to_mut();
            (entry.uid, entry.gid) = (real(entry.uid), real(entry.gid));
        }
        entry
    }

    pub(super) fn leave_out(&mut self, name: String) {
        *self.left_out.entry(name).or_default() += 1;
    }

    /// A path of the layer, after the symbolic links in front of its last name.
    pub(super) fn real_path(&mut self, path: &[u8], entry: &TarEntry) -> Result<String> {
        let names = |path| names(path, LAYER_DEPTH).map_err(|kind| entry.error(kind));
        let path = relative(path).and_then(cleaned).map_err(|kind| entry.error(kind))?;
        names(&path)?;
        let Some((dir, name)) = path.rsplit_once('/').filter(|_| !self.symlinks.is_empty()) else {
            return Ok(path);
        };
        let symlinks = &self.symlinks;
        let target = |id: &FileId| Ok(symlinks.get(id).cloned());
        match self.tree.follow(self.files.store, &self.options, &target, dir)? {
            Some(real) if real != dir => {
                let path = format!("{real}/{name}");
                Ok(names(path.trim_start_matches('/'))?.join("/"))
            }
            _ => Ok(path),
        }
    }

    /// Whether `place` is below a file of this layer, which replaced all that a whiteout there could take away.
    fn is_below_file(&mut self, place: &str) -> Result<bool> {
        let (store, mut dir) = (self.files.store, &mut self.tree);
        for (end, _) in place.match_indices('/') {
            let above = &place[..end];
            let name = above.rsplit('/').next().unwrap_or(above);
            if dir.files(store)?.contains_key(name) || self.links.is_no_dir(above) {
                return Ok(true);
            }
            match dir.dirs(store)?.get_mut(name) {
                Some(next) => dir = next,
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    fn dir(&mut self, entry: &TarEntry, place: &str) -> Result<()> {
        let mut meta = DirMeta::new(entry.uid, entry.gid, entry.permissions, entry.xattrs.clone());
        if self.modifier.apply_to_dir(&format!("/{place}"), &mut meta) == Decision::Skip {
            return Ok(());
        }
        let meta = self.files.dirmeta(&meta)?;
        let Self { files, tree, links, implied, .. } = self;
        make_dir(files, tree, links, implied, entry, place)?.set_meta(meta);
        implied.remove(place);
        Ok(())
    }

    fn file(&mut self, entry: &TarEntry, place: &str, archive: &mut Archive<'_>) -> Result<()> {
        let mut header = file_header(entry)?;
        if self.modifier.apply_to_file(&format!("/{place}"), &mut header) == Decision::Skip {
            return Ok(());
        }
        let id = self.files.write(header, entry, archive)?;
        if entry.kind == EntryKind::Symlink {
            self.symlinks.insert(id, String::from_utf8_lossy(&entry.link).into_owned());
        }
        self.put(entry, place, id)
    }

    /// A file that has no place in the tree.
    fn set_outside(&mut self, node: Node, entry: &TarEntry, archive: &mut Archive<'_>) -> Result<()> {
        match entry.kind {
            EntryKind::Regular | EntryKind::Symlink => {
                let id = self.files.write(file_header(entry)?, entry, archive)?;
                self.links.set_outside(node, id);
                Ok(())
            }
            EntryKind::Link => self.link_outside(node, entry),
            _ => Ok(()),
        }
    }

    /// Puts a file in place of whatever is there.
    pub(super) fn put(&mut self, entry: &TarEntry, place: &str, id: FileId) -> Result<()> {
        let store = self.files.store;
        let (dir, name) = self.clear(entry, place)?;
        Ok(dir.set_file(store, file_name(entry, name)?, id)?)
    }

    /// Takes away what is at `place`, with all below; also returns the directory, and the name in it.
    pub(super) fn clear<'n>(
        &mut self,
        entry: &TarEntry,
        place: &'n str,
    ) -> Result<(&mut MutableTree, &'n str)> {
        let (parent, name) = place.rsplit_once('/').unwrap_or(("", place));
        if name.is_empty() {
            return Err(entry.error(EntryErrorKind::Conflict("the root has to be a directory")));
        }
        let Self { files, tree, links, implied, .. } = self;
        links.forget(place);
        let dir = make_dir(files, tree, links, implied, entry, parent)?;
        if dir.dirs(files.store)?.remove(name).is_some() {
            links.forget_below(place);
            implied.remove(place);
            implied.remove_below(place);
        }
        dir.remove(files.store, name)?;
        Ok((dir, name))
    }

    /// After the last entry.
    pub(super) fn finish(mut self) -> Result<LayerTree> {
        let special = self.links.special();
        let resolved = self.resolve_links()?;
        if self.tree.meta().is_none() {
            // Nothing was imported: an image layer may be metadata only.
            let mut meta = DirMeta::new(0, 0, 0o755, Xattrs::EMPTY);
            self.modifier.apply_to_dir("/", &mut meta);
            self.tree.set_meta(self.files.dirmeta(&meta)?);
            // An empty path is never too long.
            let _ = self.implied.insert("");
        }
        Ok(LayerTree {
            root: self.tree.write(self.files.store)?,
            implied: self.implied.into_paths(),
            lower_links: resolved.lower.into_values().collect(),
            wanted: resolved.wanted,
            kept: resolved.kept,
            special,
            left_out: self.left_out,
        })
    }
}

/// The dirmeta of directories that no entry lists.
fn implied_meta(files: &FileWriter<'_, '_>) -> Result<DirMetaId> {
    files.dirmeta(&DirMeta::new(0, 0, 0o755, Xattrs::EMPTY))
}

/// The directory at `place`, made with all above it: root's, 0755. It takes the place of a file only if it is what
/// `entry` is: a file in the middle of a path would be lost for nothing but an archive that contradicts itself.
fn make_dir<'t>(
    files: &FileWriter<'_, '_>,
    tree: &'t mut MutableTree,
    links: &mut HardLinks,
    implied: &mut Implied,
    entry: &TarEntry,
    place: &str,
) -> Result<&'t mut MutableTree> {
    let store = files.store;
    if tree.meta().is_none() {
        tree.set_meta(implied_meta(files)?);
        implied.insert("").map_err(|kind| entry.error(kind))?;
    }
    let (mut dir, mut end) = (tree, 0);
    for name in place.split('/').filter(|name| !name.is_empty()) {
        end += name.len() + usize::from(end > 0);
        let found = dir.dirs(store)?.contains_key(name);
        if !found {
            let is_it = entry.kind == EntryKind::Dir && end == place.len();
            if !is_it && (dir.files(store)?.contains_key(name) || links.is_no_dir(&place[..end])) {
                return Err(entry.error(EntryErrorKind::NotADirectory(place[..end].to_owned())));
            }
            dir.remove(store, name)?;
            links.forget(&place[..end]);
            implied.insert(&place[..end]).map_err(|kind| entry.error(kind))?;
        }
        dir = dir.ensure_dir(store, file_name(entry, name)?)?;
        if !found {
            dir.set_meta(implied_meta(files)?);
        }
    }
    Ok(dir)
}
