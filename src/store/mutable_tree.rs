//! A directory tree that changes before it becomes dirtrees.
//!
//! Parts that nobody touched stay ids and are never loaded; what was finished can be sealed, that is
//! written and reduced to its id again, so that memory holds only the directories under work.

use std::collections::{BTreeMap, btree_map};

use ostree_format::{DirEntry, DirMetaId, DirTree, DirTreeId, FileId, FileName, MetaKind, RootDir};

use super::{Error, ObjectRead, ObjectWrite, Result, load_dirtree};

/// A directory that can change. Its dirmeta is not known until it is set.
#[derive(Debug, Clone, Default)]
pub struct MutableTree {
    meta: Option<DirMetaId>,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Sealed(DirTreeId),
    Open { files: BTreeMap<FileName, FileId>, dirs: BTreeMap<FileName, MutableTree> },
}

/// The entries of a loaded directory.
type OpenDir<'a> = (&'a mut BTreeMap<FileName, FileId>, &'a mut BTreeMap<FileName, MutableTree>);

impl Default for State {
    fn default() -> Self {
        Self::Open { files: BTreeMap::new(), dirs: BTreeMap::new() }
    }
}

/// A file or directory in a [`MutableTree`].
#[derive(Debug)]
pub enum Entry<'a> {
    /// A content object.
    File(FileId),
    /// A directory.
    Dir(&'a mut MutableTree),
}

impl MutableTree {
    /// An empty directory without a dirmeta.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of a commit.
    pub fn from_root(root: RootDir) -> Self {
        Self::from_entry(DirEntry { tree: root.tree, meta: root.meta })
    }

    /// A directory that exists.
    pub fn from_entry(entry: DirEntry) -> Self {
        Self { meta: Some(entry.meta), state: State::Sealed(entry.tree) }
    }

    /// The dirmeta of the directory, where it is known.
    pub fn meta(&self) -> Option<DirMetaId> {
        self.meta
    }

    /// Sets its dirmeta.
    pub fn set_meta(&mut self, meta: DirMetaId) {
        self.meta = Some(meta);
    }

    /// Loads the directory's entries, if it is still an id.
    fn open(&mut self, store: &(impl ObjectRead + ?Sized)) -> Result<OpenDir<'_>> {
        if let State::Sealed(id) = self.state {
            let DirTree { files, dirs } = load_dirtree(store, &id)?;
            let dirs = dirs.into_iter().map(|(name, entry)| (name, Self::from_entry(entry))).collect();
            self.state = State::Open { files, dirs };
        }
        match &mut self.state {
            State::Open { files, dirs } => Ok((files, dirs)),
            State::Sealed(id) => Err(Error::NotFound((*id).into())),
        }
    }

    /// The file or directory called `name`.
    ///
    /// # Errors
    /// If the directory has to be loaded, and that fails.
    pub fn get(&mut self, store: &(impl ObjectRead + ?Sized), name: &str) -> Result<Option<Entry<'_>>> {
        let (files, dirs) = self.open(store)?;
        Ok(match files.get(name) {
            Some(id) => Some(Entry::File(*id)),
            None => dirs.get_mut(name).map(Entry::Dir),
        })
    }

    /// The files of the directory, sorted by name.
    ///
    /// # Errors
    /// As [`MutableTree::get`].
    pub fn files(&mut self, store: &(impl ObjectRead + ?Sized)) -> Result<&BTreeMap<FileName, FileId>> {
        Ok(self.open(store)?.0)
    }

    /// The subdirectories, sorted by name.
    ///
    /// # Errors
    /// As [`MutableTree::get`].
    pub fn dirs(&mut self, store: &(impl ObjectRead + ?Sized)) -> Result<&mut BTreeMap<FileName, Self>> {
        Ok(self.open(store)?.1)
    }

    /// Puts a file under `name`, in place of a file that is there.
    ///
    /// # Errors
    /// [`Error::Usage`] if a directory is there; and as [`MutableTree::get`].
    pub fn set_file(&mut self, store: &(impl ObjectRead + ?Sized), name: FileName, id: FileId) -> Result<()> {
        let (files, dirs) = self.open(store)?;
        if dirs.contains_key(&name) {
            return Err(Error::Usage(format!("Can't replace directory with file: {name}")));
        }
        files.insert(name, id);
        Ok(())
    }

    /// The directory `name`, made empty if nothing is there.
    ///
    /// # Errors
    /// [`Error::Usage`] if a file is there; and as [`MutableTree::get`].
    pub fn ensure_dir(&mut self, store: &(impl ObjectRead + ?Sized), name: FileName) -> Result<&mut Self> {
        let (files, dirs) = self.open(store)?;
        if files.contains_key(&name) {
            return Err(Error::Usage(format!("Can't replace file with directory: {name}")));
        }
        Ok(dirs.entry(name).or_default())
    }

    /// Puts a whole directory under `name`, in place of whatever is there.
    ///
    /// # Errors
    /// As [`MutableTree::get`].
    pub fn set_dir(&mut self, store: &(impl ObjectRead + ?Sized), name: FileName, dir: Self) -> Result<()> {
        let (files, dirs) = self.open(store)?;
        files.remove(&name);
        dirs.insert(name, dir);
        Ok(())
    }

    /// Takes `name` away, file or directory; says whether it was there.
    ///
    /// # Errors
    /// As [`MutableTree::get`].
    pub fn remove(&mut self, store: &(impl ObjectRead + ?Sized), name: &str) -> Result<bool> {
        let (files, dirs) = self.open(store)?;
        Ok(files.remove(name).is_some() | dirs.remove(name).is_some())
    }

    /// Takes everything away; the dirmeta stays.
    pub fn clear(&mut self) {
        self.state = State::default();
    }

    /// Writes the directory and everything below; what remains in memory is its id.
    ///
    /// # Errors
    /// [`Error::Usage`] if a directory below has no dirmeta; and what the store gives.
    pub fn seal(&mut self, store: &(impl ObjectWrite + ?Sized)) -> Result<DirTreeId> {
        let id = match std::mem::take(&mut self.state) {
            State::Sealed(id) => id,
            State::Open { files, dirs } => seal_open(store, Unsealed::new(None, files, dirs))?,
        };
        self.state = State::Sealed(id);
        Ok(id)
    }

    /// [`MutableTree::seal`], and the root directory for a commit.
    ///
    /// # Errors
    /// [`Error::Usage`] if the directory has no dirmeta; and as [`MutableTree::seal`].
    pub fn write(&mut self, store: &(impl ObjectWrite + ?Sized)) -> Result<RootDir> {
        let meta = self.meta.ok_or_else(|| Error::Usage("Can't commit an empty tree".into()))?;
        Ok(RootDir { tree: self.seal(store)?, meta })
    }
}

/// A directory that is written after those in it.
struct Unsealed {
    /// The name and dirmeta of the directory; the outermost has none.
    entry: Option<(FileName, DirMetaId)>,
    /// The files of the directory, and the subdirectories that are written.
    tree: DirTree,
    dirs: btree_map::IntoIter<FileName, MutableTree>,
}

impl Unsealed {
    fn new(
        entry: Option<(FileName, DirMetaId)>,
        files: BTreeMap<FileName, FileId>,
        dirs: BTreeMap<FileName, MutableTree>,
    ) -> Self {
        Self { entry, tree: DirTree { files, dirs: BTreeMap::new() }, dirs: dirs.into_iter() }
    }
}

/// Depth first; the stack is on the heap: trees may be deep.
fn seal_open(store: &(impl ObjectWrite + ?Sized), mut dir: Unsealed) -> Result<DirTreeId> {
    let mut above = Vec::new();
    loop {
        if let Some((name, below)) = dir.dirs.next() {
            let no_meta = || Error::Usage(format!("Can't commit tree: {name} has no metadata"));
            let meta = below.meta.ok_or_else(no_meta)?;
            match below.state {
                State::Sealed(tree) => drop(dir.tree.dirs.insert(name, DirEntry { tree, meta })),
                State::Open { files, dirs } => {
                    let below = Unsealed::new(Some((name, meta)), files, dirs);
                    above.push(std::mem::replace(&mut dir, below));
                }
            }
            continue;
        }
        let bytes = dir.tree.to_bytes();
        // A directory can be large: not both forms at once.
        dir.tree = DirTree::default();
        let tree = DirTreeId::new(store.write_meta(MetaKind::DirTree, &bytes)?);
        match (dir.entry, above.pop()) {
            (Some((name, meta)), Some(parent)) => {
                dir = parent;
                dir.tree.dirs.insert(name, DirEntry { tree, meta });
            }
            _ => return Ok(tree),
        }
    }
}
