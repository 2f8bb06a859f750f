//! What is missing of a layer, by its index of objects.
//!
//! ```text
//! commit ► root ─┬─ here: followed in the store      ┐ level by level: what is missing of one is fetched at once,
//!                └─ missing: index ► frame ► checksum ┘ and names the next
//! files that are reached and missing: index ► frames
//! ```
//! Metadata is fetched on the way, and kept until it is imported: no more than [`MAX_METADATA_BYTES`].

use std::collections::{BTreeMap, HashSet};

use ostree_format::{Checksum, Commit, CommitId, DirTreeRef, FileId, ObjectName, ObjectType, RootDir};

use super::asking::Asking;
use super::missing::{Content, Entry, List, Listed, MAX_FRAME_BYTES, Wanted, Wrong};
use crate::container::blob::chunked::{FoundObject, Frame, IndexPlace, ObjectIndex};
use crate::container::store::WhyWhole;
use crate::store::Txn;
use crate::tar::{EntryRole, PartEntry, PartKind};

/// The metadata that is kept in memory. Where more is missing, the whole layer is fetched.
const MAX_METADATA_BYTES: u64 = 16 * 1024 * 1024;

/// Looks for what the store lacks.
pub(super) fn by_index(
    place: &IndexPlace,
    wanted: Wanted<'_>,
    txn: &dyn Txn,
    asking: &Asking<'_>,
) -> Result<List, Wrong> {
    let packed = asking.part(place.bytes.clone())?.ok_or(Wrong::Whole(WhyWhole::NoParts))?;
    let index = &place.read(&packed).map_err(Wrong::Table)?;
    let mut walk =
        Walk { index, end: place.bytes.start, txn, asking, entries: Vec::new(), metadata_bytes: 0 };
    let (files, listed) = match wanted {
        Wanted::Commit(promised) => {
            let root = walk.commit(promised)?;
            (walk.tree(root)?, Listed::new())
        }
        Wanted::Content(expected) => {
            let lists = |id: &&FileId| index.find(&(**id).into()).is_some();
            let listed: Listed = expected.iter().filter(lists).copied().collect();
            (listed.iter().copied().collect(), listed)
        }
    };
    walk.files(&files)?;
    Ok(List { entries: walk.entries, listed })
}

struct Walk<'a> {
    index: &'a ObjectIndex,
    /// All frames lie before it.
    end: u64,
    txn: &'a dyn Txn,
    asking: &'a Asking<'a>,
    entries: Vec<Entry>,
    metadata_bytes: u64,
}

impl Walk<'_> {
    /// Fetches the commit and its detached metadata, which are always wanted.
    fn commit(&mut self, promised: Option<CommitId>) -> Result<RootDir, Wrong> {
        let (commit, detached) = self.index.commit();
        let lists: Vec<_> = [Some(commit), detached].into_iter().flatten().collect();
        let mut read = self.fetch(&lists)?.into_iter();
        let commit =
            read.next().filter(|bytes| !bytes.is_empty()).ok_or(Wrong::Table("there is no commit in it"))?;
        let id = CommitId::new(Checksum::of(&commit));
        if promised.is_some_and(|promised| promised != id) {
            return Err(Wrong::Table("another commit is in it than was promised"));
        }
        let root = Commit::parse(&commit).map_err(|_| Wrong::Table("there is no commit in it"))?.root;
        self.entries.push(Entry::here(id.into(), commit));
        self.entries.extend(read.next().map(|bytes| Entry::here(ObjectName::commitmeta(&id), bytes)));
        Ok(root)
    }

    /// Fetches the metadata that the store lacks; gives the content objects that are reached.
    fn tree(&mut self, root: RootDir) -> Result<HashSet<FileId>, Wrong> {
        let (mut seen, mut files) = (HashSet::new(), HashSet::new());
        let mut todo: Vec<ObjectName> = vec![root.tree.into(), root.meta.into()];
        while !todo.is_empty() {
            let mut missing = Vec::new();
            while let Some(name) = todo.pop() {
                if !seen.insert(name) {
                    continue;
                }
                match self.txn.read_meta(&name)? {
                    Some(bytes) => children(&name, &bytes, &mut todo, &mut files)?,
                    None => {
                        let found = self.index.find(&name);
                        let found = found.ok_or(Wrong::Table("metadata of the commit is not in it"))?;
                        missing.push((name, found.frames));
                    }
                }
            }
            missing.sort_unstable_by_key(|(_, frames)| start(frames));
            let (names, lists): (Vec<_>, Vec<_>) = missing.into_iter().unzip();
            for (name, bytes) in names.into_iter().zip(self.fetch(&lists)?) {
                if Checksum::of(&bytes) != name.checksum {
                    return Err(Wrong::Table("metadata is not what its id says"));
                }
                children(&name, &bytes, &mut todo, &mut files)?;
                self.entries.push(Entry::here(name, bytes));
            }
        }
        Ok(files)
    }

    /// Adds the entries of `files` that are in the layer and not in the store.
    fn files(&mut self, files: &HashSet<FileId>) -> Result<(), Wrong> {
        let mut missing = Vec::new();
        for id in files {
            if !self.txn.contains(&(*id).into())? {
                missing.extend(self.index.find(&(*id).into()).map(|found| (*id, found)));
            }
        }
        missing.sort_unstable_by_key(|(_, found)| start(&found.frames));
        let mut sets = BTreeMap::new();
        for (_, found) in &missing {
            let number = found.set.ok_or(Wrong::Table("a file has no xattrs"))?;
            let set = self.index.set(number).ok_or(Wrong::Table("a file has no xattrs"))?;
            sets.insert(number, set);
        }
        for (checksum, frames) in sets.values() {
            self.check(frames)?;
            let bytes = frames.iter().map(|frame| frame.bytes).sum();
            let header = PartEntry::plain(EntryRole::Xattrs(*checksum), PartKind::Regular(bytes));
            self.entries.push(Entry { header, content: Content::Frames(frames.clone()) });
        }
        for (id, FoundObject { header, frames, set }) in missing {
            self.check(&frames)?;
            let Some((checksum, _)) = set.and_then(|number| sets.get(&number)) else { continue };
            let link = PartEntry::plain(EntryRole::XattrsOf(id), PartKind::LinkToXattrs(*checksum));
            self.entries.push(Entry { header: link, content: Content::Frames(Vec::new()) });
            self.entries.push(Entry { header, content: Content::Frames(frames) });
        }
        Ok(())
    }

    /// The content of metadata objects.
    fn fetch(&mut self, lists: &[Vec<Frame>]) -> Result<Vec<Vec<u8>>, Wrong> {
        for frames in lists {
            self.check(frames)?;
            self.metadata_bytes += frames.iter().map(|frame| frame.bytes).sum::<u64>();
        }
        if self.metadata_bytes > MAX_METADATA_BYTES {
            return Err(Wrong::Whole(WhyWhole::MostIsMissing));
        }
        self.asking.read(lists)
    }

    fn check(&self, frames: &[Frame]) -> Result<(), Wrong> {
        let fits = |frame: &Frame| {
            let length = frame.place.end - frame.place.start;
            (1..=MAX_FRAME_BYTES).contains(&length)
                && frame.bytes <= MAX_FRAME_BYTES
                && frame.place.end <= self.end
        };
        match frames.iter().all(fits) {
            true => Ok(()),
            false => Err(Wrong::Table("a piece of a file lies nowhere, or is too large")),
        }
    }
}

fn start(frames: &[Frame]) -> u64 {
    frames.first().map_or(0, |frame| frame.place.start)
}

/// What a metadata object names.
fn children(
    name: &ObjectName,
    bytes: &[u8],
    todo: &mut Vec<ObjectName>,
    files: &mut HashSet<FileId>,
) -> Result<(), Wrong> {
    if name.kind == ObjectType::DirTree {
        let tree = DirTreeRef::parse(bytes).map_err(|_| Wrong::Table("a directory cannot be read"))?;
        files.extend(tree.files().map(|(_, file)| file));
        todo.extend(tree.dirs().flat_map(|(_, dir)| [ObjectName::from(dir.tree), dir.meta.into()]));
    }
    Ok(())
}
