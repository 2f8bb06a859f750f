//! Lays the tree of another commit over a tree.

use ostree_format::{DirEntry, DirMetaId, FileId, MetaKind, RootDir};

use crate::base::Ctx;
use crate::store::{Decision, Error, Modifier, MutableTree, ObjectWrite, Result, load_dirmeta, load_dirtree};

/// Directories nest at most this deep where a tree has to be changed or merged.
const MAX_DEPTH: usize = 1024;

/// Adds the tree of a commit to `tree`: attributes of directories that exist are replaced, files too. What the
/// modifier does not change is not read, and objects are written only for what it does change.
///
/// # Errors
/// [`Error::Usage`] where a file would replace a directory or the other way round; [`Error::Unsupported`] if
/// directories nest too deep; and what the store gives.
pub fn add_commit<S: ObjectWrite + ?Sized>(
    store: &S,
    tree: &mut MutableTree,
    root: RootDir,
    modifier: &mut Modifier,
    ctx: &Ctx,
) -> Result<()> {
    let identity = modifier.is_identity();
    let mut merge = Merge { store, modifier, identity, ctx, path: String::new() };
    merge.dir(tree, DirEntry { tree: root.tree, meta: root.meta }, 0)
}

struct Merge<'a, S: ?Sized> {
    store: &'a S,
    modifier: &'a mut Modifier,
    identity: bool,
    ctx: &'a Ctx,
    path: String,
}

impl<S: ObjectWrite + ?Sized> Merge<'_, S> {
    fn dir(&mut self, tree: &mut MutableTree, from: DirEntry, depth: usize) -> Result<()> {
        self.ctx.cancel.check()?;
        if self.identity && is_new(self.store, tree)? {
            *tree = MutableTree::from_entry(from);
            return Ok(());
        }
        if depth == MAX_DEPTH {
            return Err(Error::Unsupported(format!("{}: more than {MAX_DEPTH} directories deep", self.path)));
        }
        let Some(meta) = self.dirmeta(from.meta)? else { return Ok(()) };
        tree.set_meta(meta);
        let entries = load_dirtree(self.store, &from.tree)?;
        for (name, id) in entries.files {
            let len = self.push(&name);
            if let Some(id) = self.file(id)? {
                tree.set_file(self.store, name, id)?;
            }
            self.path.truncate(len);
        }
        for (name, entry) in entries.dirs {
            let len = self.push(&name);
            // Asked here and again inside, as `add_dir` does.
            if self.identity || self.takes_dir(entry.meta)? {
                self.dir(tree.ensure_dir(self.store, name)?, entry, depth + 1)?;
            }
            self.path.truncate(len);
        }
        Ok(())
    }

    fn push(&mut self, name: &str) -> usize {
        let len = self.path.len();
        self.path.push('/');
        self.path.push_str(name);
        len
    }

    fn shown_path(&self) -> &str {
        if self.path.is_empty() { "/" } else { &self.path }
    }

    fn takes_dir(&mut self, id: DirMetaId) -> Result<bool> {
        let mut meta = load_dirmeta(self.store, &id)?;
        Ok(self.modifier.apply_to_dir(&self.path, &mut meta) == Decision::Take)
    }

    /// The dirmeta that the modifier makes of this one.
    fn dirmeta(&mut self, id: DirMetaId) -> Result<Option<DirMetaId>> {
        if self.identity {
            return Ok(Some(id));
        }
        let original = load_dirmeta(self.store, &id)?;
        let mut meta = original.clone();
        let path = if self.path.is_empty() { "/" } else { &self.path };
        match self.modifier.apply_to_dir(path, &mut meta) {
            Decision::Skip => Ok(None),
            Decision::Take if meta == original => Ok(Some(id)),
            Decision::Take => {
                let id = self.store.write_meta(MetaKind::DirMeta, &meta.to_bytes())?;
                Ok(Some(DirMetaId::new(id)))
            }
        }
    }

    /// The object that the modifier makes of this one.
    fn file(&mut self, id: FileId) -> Result<Option<FileId>> {
        if self.identity {
            return Ok(Some(id));
        }
        self.ctx.cancel.check()?;
        let mut object = self.store.open_file(&id)?.ok_or(Error::NotFound(id.into()))?;
        let mut header = object.header.clone();
        match self.modifier.apply_to_file(&self.path, &mut header) {
            Decision::Skip => Ok(None),
            Decision::Take if header == object.header => Ok(Some(id)),
            Decision::Take => {
                let id = self.store.write_file(&header, object.len, &mut object).map_err(|e| match e {
                    Error::Read { source, .. } => Error::Read { what: self.shown_path().into(), source },
                    other => other.of_path(self.shown_path()),
                })?;
                self.ctx.object_done(object.len);
                Ok(Some(id))
            }
        }
    }
}

/// Whether nothing was put into the directory yet.
fn is_new<S: ObjectWrite + ?Sized>(store: &S, tree: &mut MutableTree) -> Result<bool> {
    Ok(tree.meta().is_none() && tree.files(store)?.is_empty() && tree.dirs(store)?.is_empty())
}
