//! Which entries of a layer bring what the store lacks.
//!
//! ```text
//! rows ► Building, an entry with its frames ┬ commit, commitmeta    always
//!                                           ├ dirtree, dirmeta      if the store lacks it
//!                                           ├ xattrs                once a file that is wanted has them
//!                                           └ file, after its xattrs  if the store lacks it
//! ```
//! Memory: some 200 bytes for each entry that is wanted, of which there are no more than [`MAX_ENTRIES`].

use std::collections::{BTreeSet, HashMap, HashSet};

use ostree_format::{Checksum, CommitId, FileId, ObjectName, ObjectType};

use super::building::Building;
use crate::container::blob::chunked::{Frame, Row, Wants};
use crate::container::image::Error;
use crate::container::store::WhyWhole;
use crate::store::{self, Txn};
use crate::tar::{EntryRole, PartEntry, PartKind};

/// The number of entries, and of pieces of them, that are kept in memory. Where more are missing, the whole layer is
/// fetched.
pub(super) const MAX_ENTRIES: usize = 128 * 1024;
/// The largest piece of content that is decompressed at once, and the largest frame of one.
pub(super) const MAX_FRAME_BYTES: u64 = 4 * 1024 * 1024;

/// What of a layer may be wanted.
#[derive(Clone, Copy)]
pub(in crate::container) enum Wanted<'a> {
    /// A commit, this one if the manifest promises it, with all metadata and any content.
    Commit(Option<CommitId>),
    /// Content objects, no others than these.
    Content(&'a HashSet<FileId>),
}

/// The content objects that a table lists, whether the store had them or not.
pub(in crate::container) type Listed = BTreeSet<FileId>;

/// What keeps a table from being used.
#[derive(Debug)]
pub(super) enum Wrong {
    /// The table says something that makes no sense.
    Table(&'static str),
    /// There is a better way, or no other.
    Whole(WhyWhole),
    /// The store cannot tell what it has, or the source gives nothing.
    Error(Error),
}

impl From<store::Error> for Wrong {
    fn from(error: store::Error) -> Self {
        Self::Error(error.into())
    }
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// An entry that is to be imported.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) header: PartEntry,
    pub(super) content: Content,
}

/// The content of an entry.
#[derive(Debug)]
pub(super) enum Content {
    /// The frames that hold it, piece by piece.
    Frames(Vec<Frame>),
    /// The content was fetched already.
    Here(Vec<u8>),
}

impl Entry {
    /// A metadata object that was fetched.
    pub(super) fn here(name: ObjectName, bytes: Vec<u8>) -> Self {
        let kind = PartKind::Regular(bytes.len() as u64);
        Self { header: PartEntry::plain(EntryRole::Meta(name), kind), content: Content::Here(bytes) }
    }

    /// What is still to be fetched of it.
    pub(super) fn frames(&self) -> &[Frame] {
        match &self.content {
            Content::Frames(frames) => frames,
            Content::Here(_) => &[],
        }
    }
}

/// What is to be fetched of a layer.
pub(super) struct List {
    /// The entries, in an order in which they can be imported.
    pub(super) entries: Vec<Entry>,
    pub(super) listed: Listed,
}

/// Looks for what is missing while the rows come.
pub(super) struct Missing<'a> {
    wanted: Wanted<'a>,
    txn: &'a dyn Txn,
    /// Where the table begins: all frames lie before it.
    end: u64,
    /// The size of the layer.
    size: u64,
    building: Option<Building>,
    /// The end of the last frame: they come in order.
    reached: u64,
    commit: Vec<Entry>,
    /// Sets of xattrs that no wanted file has yet, and those that are in `used`.
    sets: HashMap<Checksum, Option<Entry>>,
    used: Vec<Entry>,
    /// The xattrs of the file that comes next.
    next: Option<(FileId, Entry)>,
    others: Vec<Entry>,
    listed: Listed,
    /// Bytes and number of what is wanted.
    pub(super) bytes: u64,
    count: usize,
}

/// Whether `bytes` are so much of a layer that all of it may as well be fetched.
pub(super) fn is_most(bytes: u64, size: u64) -> bool {
    bytes / 3 >= size / 4
}

impl<'a> Missing<'a> {
    pub(super) fn new(wanted: Wanted<'a>, txn: &'a dyn Txn, end: u64, size: u64) -> Self {
        Self {
            wanted,
            txn,
            end,
            size,
            building: None,
            reached: 0,
            commit: Vec::new(),
            sets: HashMap::new(),
            used: Vec::new(),
            next: None,
            others: Vec::new(),
            listed: Listed::new(),
            bytes: 0,
            count: 0,
        }
    }

    /// Takes the next row; wants no more of them once most of the layer is missing.
    pub(super) fn row(&mut self, row: Row) -> Result<Wants, Wrong> {
        if row.kind == "chunk" {
            if let Some(building) = &mut self.building {
                building.piece(&row)?;
            }
        } else {
            self.complete()?;
            self.building = Building::begin(row)?;
        }
        let pieces = self.building.as_ref().map_or(0, |building| building.pieces());
        let too_many = self.count + self.sets.len() + pieces > MAX_ENTRIES;
        Ok(if too_many || is_most(self.bytes, self.size) { Wants::NoMore } else { Wants::More })
    }

    /// After the last row.
    pub(super) fn finish(mut self) -> Result<List, Wrong> {
        self.complete()?;
        if matches!(self.wanted, Wanted::Commit(_)) && self.commit.is_empty() {
            return Err(Wrong::Table("there is no commit in it"));
        }
        if self.next.is_some() {
            return Err(Wrong::Table("xattrs belong to no file"));
        }
        let mut entries = self.commit;
        entries.append(&mut self.used);
        entries.append(&mut self.others);
        Ok(List { entries, listed: self.listed })
    }

    /// The entry that was being built has all its pieces.
    fn complete(&mut self) -> Result<(), Wrong> {
        let Some(building) = self.building.take() else { return Ok(()) };
        let entry = building.finish(self.end)?;
        if let (Some(first), Some(last)) = (entry.frames().first(), entry.frames().last()) {
            if first.place.start < self.reached {
                return Err(Wrong::Table("two entries lie at the same place"));
            }
            self.reached = last.place.end;
        }
        let role = entry.header.role;
        match (role, self.wanted) {
            (EntryRole::Ignored, _) => {}
            (EntryRole::Meta(_), Wanted::Content(_)) => {
                return Err(Wrong::Table("there is metadata in a layer without a commit"));
            }
            (EntryRole::Meta(name), Wanted::Commit(promised)) => match name.kind {
                ObjectType::Commit | ObjectType::CommitMeta => {
                    if promised.is_some_and(|promised| *promised.checksum() != name.checksum) {
                        return Err(Wrong::Table("another commit is in it than was promised"));
                    }
                    self.count(&entry);
                    self.commit.push(entry);
                }
                _ if self.txn.contains(&name)? => {}
                _ => self.want(entry),
            },
            (EntryRole::Xattrs(checksum), _) => {
                self.sets.entry(checksum).or_insert(Some(entry));
            }
            (EntryRole::XattrsOf(id), _) => self.next = Some((id, entry)),
            (EntryRole::File(id), wanted) => self.file(id, entry, wanted)?,
        }
        Ok(())
    }

    /// A content object, with the xattrs that came before it.
    fn file(&mut self, id: FileId, entry: Entry, wanted: Wanted<'_>) -> Result<(), Wrong> {
        let Some((_, xattrs)) = self.next.take().filter(|(owner, _)| *owner == id) else {
            return Err(Wrong::Table("a file comes without its xattrs"));
        };
        if let Wanted::Content(expected) = wanted {
            if !expected.contains(&id) {
                return Err(Wrong::Table("a file in it does not belong to the commit"));
            }
            self.listed.insert(id);
        }
        if self.txn.contains(&id.into())? {
            return Ok(());
        }
        if let PartKind::LinkToXattrs(checksum) = &xattrs.header.kind {
            let set = self.sets.get_mut(checksum).ok_or(Wrong::Table("xattrs come behind their file"))?;
            if let Some(set) = set.take() {
                self.count(&set);
                self.used.push(set);
            }
        }
        self.want(xattrs);
        self.want(entry);
        Ok(())
    }

    fn want(&mut self, entry: Entry) {
        self.count(&entry);
        self.others.push(entry);
    }

    fn count(&mut self, entry: &Entry) {
        self.count += 1 + entry.frames().len();
        self.bytes += entry.frames().iter().map(|frame| frame.place.end - frame.place.start).sum::<u64>();
    }
}
