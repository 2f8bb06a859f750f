//! Hard links of a layer: at once where the target is there, or else after the last entry.
//!
//! A link whose target is not there yet names a file of a lower layer, and keeps its content whatever this layer puts
//! in its place later on; only where no lower layer has such a file it waits for the one that comes. Which of them it
//! is shows when the layer is laid over others: the tree has the file of this layer, `lower` what goes before it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ostree_format::FileId;

use super::super::entry::{EntryKind, TarEntry};
use super::super::error::{EntryErrorKind, Result};
use super::entries::LayerImport;
use super::places::{LayerPlace, is_whiteout};

/// What a hard link may name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Node {
    /// A place in the tree.
    Tree(String),
    /// A path of the layer that is left out.
    Out(String),
    /// An object of the base, perhaps changed.
    Object(FileId),
}

/// Hard links and what they may name, apart from the tree itself.
#[derive(Default)]
pub(super) struct HardLinks {
    /// Links whose target did not come yet, and the entries that said so.
    waiting: BTreeMap<Node, (Node, TarEntry)>,
    /// Files that have no place in the tree.
    outside: HashMap<Node, FileId>,
    /// Devices and the like, which are left out.
    special: HashMap<Node, EntryKind>,
}

/// What hard links came to.
#[derive(Default)]
pub(super) struct Resolved {
    /// Path and target of those that waited, by the offsets of their entries.
    pub(super) lower: BTreeMap<u64, (String, String)>,
    pub(super) wanted: BTreeSet<String>,
    pub(super) kept: BTreeMap<String, FileId>,
}

/// The end of a chain of links: a node that is no link, and what it is in this layer.
#[derive(Debug, Clone)]
struct End {
    node: Node,
    found: Found,
}

#[derive(Debug, Clone, Copy)]
enum Found {
    File(FileId),
    Special(EntryKind),
    Nothing,
}

impl Node {
    /// The path of the node; empty for objects.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Tree(path) | Self::Out(path) => path,
            Self::Object(_) => "",
        }
    }
}

impl HardLinks {
    /// Something else comes to this place of the tree.
    pub(super) fn forget(&mut self, place: &str) {
        if !self.waiting.is_empty() || !self.special.is_empty() {
            let node = Node::Tree(place.to_owned());
            self.waiting.remove(&node);
            self.special.remove(&node);
        }
    }

    /// Whether an entry that is no directory came to this place of the tree, and is not in it yet, or never will be.
    pub(super) fn is_no_dir(&self, place: &str) -> bool {
        if self.waiting.is_empty() && self.special.is_empty() {
            return false;
        }
        let node = Node::Tree(place.to_owned());
        self.waiting.contains_key(&node) || self.special.contains_key(&node)
    }

    /// The directory at this place is gone.
    pub(super) fn forget_below(&mut self, place: &str) {
        // `0` is the character behind the slash.
        let below = Node::Tree(format!("{place}/"))..Node::Tree(format!("{place}0"));
        let gone: Vec<_> = self.waiting.range(below).map(|(node, _)| node.clone()).collect();
        gone.iter().for_each(|node| drop(self.waiting.remove(node)));
    }

    /// What a link to `target` names: that of an earlier link is the file that this one waits for.
    fn real_target(&self, target: Node) -> Node {
        self.waiting.get(&target).map_or(target, |(real, _)| real.clone())
    }

    pub(super) fn set_outside(&mut self, node: Node, id: FileId) {
        self.waiting.remove(&node);
        self.outside.insert(node, id);
    }

    /// Devices and the like that have a place in the tree.
    pub(super) fn special(&self) -> BTreeMap<String, &'static str> {
        let places = self.special.iter().filter_map(|(node, kind)| match node {
            Node::Tree(place) => Some((place.clone(), kind.as_str())),
            Node::Out(_) | Node::Object(_) => None,
        });
        places.collect()
    }

    pub(super) fn set_special(&mut self, node: Node, kind: EntryKind) {
        self.special.insert(node, kind);
    }
}

impl LayerImport<'_, '_, '_> {
    /// A hard link at `place`.
    pub(super) fn link(&mut self, entry: &TarEntry, place: &str) -> Result<()> {
        let target = self.target(entry)?;
        let found = self.find(&target)?;
        if target.name() == place && matches!(target, Node::Tree(_)) && found.is_some() {
            return Ok(());
        }
        if let Some(id) = found {
            return self.put(entry, place, id);
        }
        let target = self.links.real_target(target);
        self.clear(entry, place)?;
        self.links.waiting.insert(Node::Tree(place.to_owned()), (target, entry.to_wait()));
        Ok(())
    }

    /// A hard link that has no place in the tree.
    pub(super) fn link_outside(&mut self, node: Node, entry: &TarEntry) -> Result<()> {
        let target = self.target(entry)?;
        match self.find(&target)? {
            Some(id) => self.links.set_outside(node, id),
            None => {
                let target = self.links.real_target(target);
                self.links.outside.remove(&node);
                self.links.waiting.insert(node, (target, entry.to_wait()));
            }
        }
        Ok(())
    }

    fn target(&mut self, entry: &TarEntry) -> Result<Node> {
        let path = self.real_path(&entry.link, entry)?;
        Ok(match self.options.locate(&path) {
            LayerPlace::In(place) if is_whiteout(&place) => {
                return Err(entry.error(EntryErrorKind::LinkTarget(path)));
            }
            LayerPlace::In(place) => Node::Tree(place),
            LayerPlace::Out(_) => Node::Out(path),
            LayerPlace::Object(id) => Node::Object(id),
        })
    }

    /// The file that a node is now.
    fn find(&mut self, node: &Node) -> Result<Option<FileId>> {
        let Node::Tree(place) = node else { return Ok(self.links.outside.get(node).copied()) };
        let store = self.files.store;
        let (parent, name) = place.rsplit_once('/').unwrap_or(("", place));
        let mut dir = &mut self.tree;
        for part in parent.split('/').filter(|part| !part.is_empty()) {
            match dir.dirs(store)?.get_mut(part) {
                Some(next) => dir = next,
                None => return Ok(None),
            }
        }
        Ok(dir.files(store)?.get(name).copied())
    }

    /// Follows the links that are left, each once.
    pub(super) fn resolve_links(&mut self) -> Result<Resolved> {
        let (mut ends, mut resolved) = (HashMap::new(), Resolved::default());
        while let Some((node, (target, entry))) = self.links.waiting.pop_first() {
            let (mut chain, mut next) = (vec![(node, entry)], target);
            while let Some((node, (target, entry))) = self.links.waiting.remove_entry(&next) {
                chain.push((node, entry));
                next = target;
            }
            let end = match ends.get(&next) {
                Some(end) => End::clone(end),
                None => self.end(next.clone(), &chain[chain.len() - 1].1)?,
            };
            // Backwards, so that `next` is what each of them names.
            for (node, entry) in chain.into_iter().rev() {
                self.files.ctx.cancel.check()?;
                let target = if matches!(next, Node::Tree(_)) { &next } else { &end.node };
                self.settle(&node, &entry, target, &end, &mut resolved)?;
                ends.insert(node.clone(), end.clone());
                next = node;
            }
        }
        for path in self.wanted {
            if let Some(id) = self.links.outside.get(&Node::Out(path.clone())) {
                resolved.kept.insert(path.clone(), *id);
            }
        }
        Ok(resolved)
    }

    /// What a node is that is no link itself.
    fn end(&mut self, node: Node, entry: &TarEntry) -> Result<End> {
        let found = match (self.find(&node)?, self.links.special.get(&node), &node) {
            (Some(id), ..) => Found::File(id),
            (None, Some(kind), _) => Found::Special(*kind),
            (None, None, Node::Object(id)) if self.files.store.contains(&(*id).into())? => Found::File(*id),
            (None, None, Node::Object(_)) => {
                let target = String::from_utf8_lossy(&entry.link).into_owned();
                return Err(entry.error(EntryErrorKind::LinkTarget(target)));
            }
            (None, None, Node::Tree(_) | Node::Out(_)) => Found::Nothing,
        };
        Ok(End { node, found })
    }

    /// Gives a link to `target` its end.
    fn settle(
        &mut self,
        node: &Node,
        entry: &TarEntry,
        target: &Node,
        end: &End,
        resolved: &mut Resolved,
    ) -> Result<()> {
        let Node::Tree(place) = node else {
            if let Found::File(id) = end.found {
                self.links.outside.insert(node.clone(), id);
            }
            return Ok(());
        };
        match end.found {
            Found::File(id) => self.put(entry, place, id)?,
            Found::Special(kind) => {
                self.leave_out(kind.as_str().to_owned());
                return Ok(());
            }
            Found::Nothing => {
                if matches!(&end.node, Node::Out(path) if !self.wanted.contains(path)) {
                    resolved.wanted.insert(end.node.name().to_owned());
                }
            }
        }
        if !matches!(target, Node::Object(_)) {
            resolved.lower.insert(entry.offset, (place.clone(), target.name().to_owned()));
        }
        Ok(())
    }
}
