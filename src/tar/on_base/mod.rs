//! Files of a commit that lie in layers which others made: the base of an image.
//!
//! ```text
//! entry of a base's layer ─ its path in the checkout ─► the id that the commit wants there
//!    uid, gid, mode, content ┐
//!    xattrs of that id       ┴─► id: equal, and the object is found; or else the entry is of no use
//! ```
//! So nothing that a base says is believed. Whiteouts do not matter here: an object is what its checksum says, wherever
//! it was found. Of hard links only the entry with the content counts. An entry in the repository of an image that is
//! ostree's itself is compared with the object that its name says. Memory: what the paths take that are wanted.

mod search;

use std::collections::{HashMap, HashSet};

use ostree_format::{Checksum, CommitId, FileId, Xattrs};

use super::chunk::ChunkContent;
use super::error::Result;
use super::layout::CheckoutMap;
use crate::store::{self, ObjectRead, load_commit};

pub use search::{BaseFile, BaseSearch};

/// Xattrs of content objects; those of which nothing is known have none.
#[derive(Debug, Clone, Default)]
pub struct XattrsOf {
    sets: HashMap<Checksum, Xattrs>,
    of: HashMap<FileId, Checksum>,
}

/// Content objects of a commit by the paths at which they lie in its checkout.
#[derive(Debug, Default)]
pub struct WantedFiles {
    places: HashMap<Box<str>, FileId>,
    ids: HashSet<FileId>,
    xattrs: XattrsOf,
}

impl XattrsOf {
    /// The xattrs `of` some objects, and those of one more, which is `last`.
    pub(super) fn new(
        sets: HashMap<Checksum, Box<[u8]>>,
        of: HashMap<FileId, Checksum>,
        last: Option<(FileId, Xattrs)>,
    ) -> Result<Self> {
        let mut all = Self { sets: HashMap::new(), of };
        let needed: HashSet<_> = all.of.values().copied().collect();
        for (checksum, bytes) in sets.into_iter().filter(|(checksum, _)| needed.contains(checksum)) {
            let xattrs = Xattrs::parse(&bytes).map_err(|source| {
                store::Error::corrupt(ostree_format::ObjectName::new(
                    checksum,
                    ostree_format::ObjectType::FileXattrs,
                ))(source)
            })?;
            all.sets.insert(checksum, xattrs);
        }
        last.into_iter().for_each(|(id, xattrs)| all.insert(id, xattrs));
        Ok(all)
    }

    fn insert(&mut self, id: FileId, xattrs: Xattrs) {
        let checksum = Checksum::of(&xattrs.to_bytes());
        self.sets.entry(checksum).or_insert(xattrs);
        self.of.insert(id, checksum);
    }

    /// The xattrs of an object, if they are known.
    pub fn get(&self, id: &FileId) -> Option<&Xattrs> {
        self.sets.get(self.of.get(id)?)
    }
}

impl WantedFiles {
    /// All files of a commit that its checkout shows; the objects are in `store`.
    ///
    /// # Errors
    /// If an object is missing or damaged.
    pub fn of_stored(store: &dyn ObjectRead, commit: &CommitId) -> Result<Self> {
        let mut wanted = Self::of_commit(store, commit, |_| true, XattrsOf::default())?;
        for id in &wanted.ids {
            let file = store.open_file(id)?.ok_or(store::Error::NotFound((*id).into()))?;
            if !file.header.xattrs.is_empty() {
                wanted.xattrs.insert(*id, file.header.xattrs);
            }
        }
        Ok(wanted)
    }

    /// The files of a commit for which `keep` returns true, whose xattrs are known; the commit and its metadata are
    /// in `store`.
    ///
    /// # Errors
    /// If a commit, dirtree or dirmeta is missing or damaged.
    pub fn of_commit(
        store: &dyn ObjectRead,
        commit: &CommitId,
        mut keep: impl FnMut(&FileId) -> bool,
        xattrs: XattrsOf,
    ) -> Result<Self> {
        let map = CheckoutMap::of(store, &load_commit(store, commit)?)?;
        let (mut places, mut ids) = (HashMap::new(), HashSet::new());
        for (id, paths) in ChunkContent::of_commit(store, commit)?.select(&mut keep).iter() {
            ids.insert(id);
            places.extend(paths.iter().filter_map(|path| map.map(path)).map(|place| (place.into(), id)));
        }
        Ok(Self { places, ids, xattrs })
    }

    /// The object that is wanted at a path in the checkout.
    pub fn at(&self, place: &str) -> Option<&FileId> {
        self.places.get(place)
    }

    /// Every path in the checkout, and the object that is wanted there.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FileId)> {
        self.places.iter().map(|(place, id)| (&**place, id))
    }

    /// Whether an object is wanted anywhere.
    pub fn contains(&self, id: &FileId) -> bool {
        self.ids.contains(id)
    }

    /// The xattrs of an object that is wanted.
    pub fn xattrs_of(&self, id: &FileId) -> &Xattrs {
        static NONE: Xattrs = Xattrs::EMPTY;
        self.xattrs.get(id).unwrap_or(&NONE)
    }
}
