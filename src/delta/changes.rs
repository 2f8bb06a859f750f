//! What only the new commit has, and the file of the old one that each new file is like.
//!
//! ```text
//! the same path                                                  if the sizes are alike
//! the same name elsewhere                                        of several the one whose size is nearest
//! the same up to the first dot (libx.so.1.2 ► libx.so.1.3)       likewise
//! ```
//! Old files that not everybody may read are no source: the one who applies the delta may be anybody.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use ostree_format::{CommitId, FileId, FileKind, ObjectName};

use crate::base::Ctx;
use crate::store::{Error, ObjectRead, Result, TreeEntry, load_commit, paths};

/// Below this size any two files are of alike size.
const SMALL_BYTES: u64 = 64 * 1024;
/// Sizes are alike up to this factor.
const MAX_FACTOR: u64 = 10;
/// What is compressed well, in which a small change changes everything behind it.
const COMPRESSED: [&str; 2] = [".xz", ".bz2"];

/// The objects that only the new commit has, but for the commit itself.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) meta: BTreeSet<ObjectName>,
    /// Regular files, in the order of their first paths.
    pub(super) files: Vec<NewFile>,
    pub(super) links: Vec<FileId>,
}

/// A regular file that is new.
pub(super) struct NewFile {
    pub(super) id: FileId,
    pub(super) bytes: u64,
    pub(super) old: Option<(FileId, u64)>,
}

/// Compares two commits; without an old one, everything is new.
pub(super) fn changes(
    store: &dyn ObjectRead,
    from: Option<&CommitId>,
    to: &CommitId,
    ctx: &Ctx,
) -> Result<Changes> {
    let mut old = OldFiles::new(store);
    if let Some(from) = from {
        let root = load_commit(store, from)?.root;
        for entry in paths(store, root) {
            ctx.cancel.check()?;
            let (path, entry) = entry?;
            old.add(&path, entry);
        }
    }
    let (mut changes, mut places) = (Changes::default(), HashMap::new());
    for entry in paths(store, load_commit(store, to)?.root) {
        ctx.cancel.check()?;
        match entry? {
            (_, TreeEntry::Dir(dir)) => {
                let both = [ObjectName::from(dir.tree), dir.meta.into()];
                changes.meta.extend(both.into_iter().filter(|name| !old.meta.contains(name)));
            }
            (_, TreeEntry::File(id)) if old.ids.contains_key(&id) => {}
            (path, TreeEntry::File(id)) => changes.file(id, &path, &old, &mut places)?,
        }
    }
    Ok(changes)
}

impl Changes {
    fn file(
        &mut self,
        id: FileId,
        path: &str,
        old: &OldFiles<'_>,
        places: &mut HashMap<FileId, Option<usize>>,
    ) -> Result<()> {
        if let Some(place) = places.get(&id) {
            // Another name may be that of an old file.
            if let Some(file) =
                place.and_then(|place| self.files.get_mut(place)).filter(|file| file.old.is_none())
            {
                file.old = old.alike(path, file.bytes)?;
            }
            return Ok(());
        }
        let (header, bytes) = old.store.stat_file(&id)?.ok_or(Error::NotFound(id.into()))?;
        let is_regular = header.kind == FileKind::Regular;
        places.insert(id, is_regular.then_some(self.files.len()));
        match is_regular {
            true => self.files.push(NewFile { id, bytes, old: old.alike(path, bytes)? }),
            false => self.links.push(id),
        }
        Ok(())
    }
}

/// The files of the old commit, to be found by their names.
struct OldFiles<'a> {
    store: &'a dyn ObjectRead,
    meta: HashSet<ObjectName>,
    /// The number of each file.
    ids: HashMap<FileId, usize>,
    files: Vec<(FileId, OnceCell<Option<u64>>)>,
    by_path: HashMap<u64, usize>,
    by_name: HashMap<u64, Vec<usize>>,
    by_stem: HashMap<u64, Vec<usize>>,
}

impl<'a> OldFiles<'a> {
    fn new(store: &'a dyn ObjectRead) -> Self {
        Self {
            store,
            meta: HashSet::new(),
            ids: HashMap::new(),
            files: Vec::new(),
            by_path: HashMap::new(),
            by_name: HashMap::new(),
            by_stem: HashMap::new(),
        }
    }

    fn add(&mut self, path: &str, entry: TreeEntry) {
        let id = match entry {
            TreeEntry::Dir(dir) => {
                self.meta.extend([ObjectName::from(dir.tree), dir.meta.into()]);
                return;
            }
            TreeEntry::File(id) => id,
        };
        let number = *self.ids.entry(id).or_insert_with(|| {
            self.files.push((id, OnceCell::new()));
            self.files.len() - 1
        });
        if is_compressed(path) {
            return;
        }
        self.by_path.insert(hash(path), number);
        self.by_name.entry(hash(name(path))).or_default().push(number);
        self.by_stem.entry(hash(stem(path))).or_default().push(number);
    }

    /// The size of an old file; `None` if it is no source.
    fn bytes(&self, number: usize) -> Result<Option<u64>> {
        let (id, known) = &self.files[number];
        if let Some(bytes) = known.get() {
            return Ok(*bytes);
        }
        let is_source =
            |kind: &FileKind, permissions: u32| *kind == FileKind::Regular && permissions & 0o004 != 0;
        let stat = self.store.stat_file(id)?;
        let bytes = stat.filter(|(header, bytes)| *bytes > 0 && is_source(&header.kind, header.permissions));
        Ok(*known.get_or_init(|| bytes.map(|(_, bytes)| bytes)))
    }

    /// The old file that a new one is like, and its size.
    fn alike(&self, path: &str, bytes: u64) -> Result<Option<(FileId, u64)>> {
        if bytes == 0 || is_compressed(path) {
            return Ok(None);
        }
        let same_path: Vec<usize> = self.by_path.get(&hash(path)).copied().into_iter().collect();
        let lists =
            [Some(&same_path), self.by_name.get(&hash(name(path))), self.by_stem.get(&hash(stem(path)))];
        for list in lists.into_iter().flatten() {
            let mut nearest: Option<(u64, usize, u64)> = None;
            for number in list {
                let Some(old) = self.bytes(*number)?.filter(|old| are_alike(*old, bytes)) else { continue };
                let candidate = (old.abs_diff(bytes), *number, old);
                nearest = Some(nearest.map_or(candidate, |nearest| nearest.min(candidate)));
            }
            if let Some((_, number, old)) = nearest {
                return Ok(Some((self.files[number].0, old)));
            }
        }
        Ok(None)
    }
}

fn are_alike(a: u64, b: u64) -> bool {
    let (small, large) = (a.min(b), a.max(b));
    large < SMALL_BYTES || large / small.max(1) < MAX_FACTOR
}

fn is_compressed(path: &str) -> bool {
    COMPRESSED.iter().any(|ending| path.ends_with(ending))
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A name up to its first dot, or all of it if it begins with one.
fn stem(path: &str) -> &str {
    let name = name(path);
    match name.find('.') {
        Some(dot) if dot > 0 => &name[..dot],
        _ => name,
    }
}

/// A number for a name: the names of a large commit would take more memory than everything else.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
