//! What is missing of a layer, by its index of objects.
//!
//! ```text
//! commit, and all metadata of the layer that is not here ► fetched, checksums ─┐
//! root ► metadata, fetched or here ► files that are reached and missing ◄──────┘ ► index ► frames
//! ```
//! Three requests, one after the other: index, metadata, content. The metadata is kept until it is imported: no more than
//! [`MAX_METADATA_BYTES`].

use std::collections::{BTreeMap, HashMap, HashSet};

use ostree_format::{Checksum, Commit, CommitId, DirTreeRef, FileId, ObjectName, ObjectType, RootDir};

use super::asking::Asking;
use super::missing::{Content, Entry, List, Listed, MAX_FRAME_BYTES, Wanted, Wrong};
use crate::container::blob::chunked::{FoundObject, Frame, IndexPlace, ObjectIndex};
use crate::container::store::WhyWhole;
use crate::store::ObjectRead;
use crate::tar::{EntryRole, PartEntry, PartKind};

/// The metadata that is kept in memory. Where more is missing, the whole layer is fetched.
const MAX_METADATA_BYTES: u64 = 16 * 1024 * 1024;

/// Looks for what the store lacks.
pub(super) fn by_index(
    place: &IndexPlace,
    wanted: Wanted<'_>,
    store: &dyn ObjectRead,
    asking: &Asking<'_>,
) -> Result<List, Wrong> {
    asking.check(place.bytes.end - place.bytes.start)?;
    let packed = asking.part(place.bytes.clone())?.ok_or(Wrong::Whole(WhyWhole::NoParts))?;
    let index = &place.read(&packed).map_err(Wrong::Table)?;
    let mut walk =
        Walk { index, end: place.bytes.start, store, asking, entries: Vec::new(), metadata_bytes: 0 };
    let (files, listed) = match wanted {
        Wanted::Commit(promised) => {
            let (root, metadata) = walk.commit(promised)?;
            (walk.tree(root, metadata)?, Listed::new())
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

/// Metadata that was fetched.
type Metadata = HashMap<ObjectName, Vec<u8>>;

struct Walk<'a> {
    index: &'a ObjectIndex,
    /// All frames lie before it.
    end: u64,
    store: &'a dyn ObjectRead,
    asking: &'a Asking<'a>,
    entries: Vec<Entry>,
    metadata_bytes: u64,
}

impl Walk<'_> {
    /// Fetches the commit and its detached metadata, which are always wanted, and dirtrees and dirmetas that the store
    /// lacks.
    fn commit(&mut self, promised: Option<CommitId>) -> Result<(RootDir, Metadata), Wrong> {
        let (commit, detached) = self.index.commit();
        let mut missing = Vec::new();
        for name in self.index.metadata() {
            if !self.store.contains(&name)? {
                missing.extend(self.index.find(&name).map(|found| (name, found.frames)));
            }
        }
        missing.sort_unstable_by_key(|(_, frames)| start(frames));
        let (names, frames): (Vec<_>, Vec<_>) = missing.into_iter().unzip();
        let has_detached = detached.is_some();
        let lists: Vec<_> = [Some(commit), detached].into_iter().flatten().chain(frames).collect();
        let mut read = self.fetch(&lists)?.into_iter();
        let no_commit = || Wrong::Table("there is no commit in it");
        let commit = read.next().filter(|bytes| !bytes.is_empty()).ok_or_else(no_commit)?;
        let id = CommitId::new(Checksum::of(&commit));
        if promised.is_some_and(|promised| promised != id) {
            return Err(Wrong::Table("another commit is in it than was promised"));
        }
        let root = Commit::parse(&commit).map_err(|_| no_commit())?.root;
        self.entries.push(Entry::here(id.into(), commit));
        if has_detached {
            self.entries.extend(read.next().map(|bytes| Entry::here(ObjectName::commitmeta(&id), bytes)));
        }
        let metadata: Metadata = names.into_iter().zip(read).collect();
        match metadata.iter().all(|(name, bytes)| Checksum::of(bytes) == name.checksum) {
            true => Ok((root, metadata)),
            false => Err(Wrong::Table("metadata is not what its id says")),
        }
    }

    /// Takes metadata that is reached, of what was fetched; gives the content objects that are reached.
    fn tree(&mut self, root: RootDir, mut metadata: Metadata) -> Result<HashSet<FileId>, Wrong> {
        let (mut seen, mut files) = (HashSet::new(), HashSet::new());
        let mut todo: Vec<ObjectName> = vec![root.tree.into(), root.meta.into()];
        while let Some(name) = todo.pop() {
            if !seen.insert(name) {
                continue;
            }
            if let Some(bytes) = metadata.remove(&name) {
                children(&name, &bytes, &mut todo, &mut files)?;
                self.entries.push(Entry::here(name, bytes));
                continue;
            }
            let bytes = self.store.read_meta(&name)?;
            let bytes = bytes.ok_or(Wrong::Table("metadata of the commit is not in it"))?;
            children(&name, &bytes, &mut todo, &mut files)?;
        }
        Ok(files)
    }

    /// Adds the entries of `files` that are in the layer and not in the store.
    fn files(&mut self, files: &HashSet<FileId>) -> Result<(), Wrong> {
        let mut missing = Vec::new();
        for id in files {
            if !self.store.contains(&(*id).into())? {
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
        self.asking.check(lists.iter().flatten().map(|frame| frame.place.end - frame.place.start).sum())?;
        if self.metadata_bytes > MAX_METADATA_BYTES {
            return Err(Wrong::Whole(WhyWhole::MostIsMissing));
        }
        self.asking.read(lists)
    }

    fn check(&self, frames: &[Frame]) -> Result<(), Wrong> {
        check(frames, self.end)
    }
}

/// The entries of content objects that are in a layer and not in the store.
pub(super) fn missing_files(
    index: &ObjectIndex,
    end: u64,
    files: &HashSet<FileId>,
    store: &dyn ObjectRead,
    asking: &Asking<'_>,
) -> Result<Vec<Entry>, Wrong> {
    let mut walk = Walk { index, end, store, asking, entries: Vec::new(), metadata_bytes: 0 };
    walk.files(files)?;
    Ok(walk.entries)
}

/// Frames have to lie before `end`, and to be no larger than what is decompressed at once.
pub(super) fn check(frames: &[Frame], end: u64) -> Result<(), Wrong> {
    let fits = |frame: &Frame| {
        let length = frame.place.end - frame.place.start;
        (1..=MAX_FRAME_BYTES).contains(&length) && frame.bytes <= MAX_FRAME_BYTES && frame.place.end <= end
    };
    match frames.iter().all(fits) {
        true => Ok(()),
        false => Err(Wrong::Table("a piece of a file lies nowhere, or is too large")),
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
