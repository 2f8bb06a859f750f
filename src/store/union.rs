//! Lays the tree of an image layer over a directory.
//!
//! ```text
//! .wh.NAME        takes NAME of the lower tree away
//! .wh..wh..opq    takes everything of the lower directory away; the directory itself stays
//! NAME            replaces NAME of the lower tree, of whichever type; directories become one
//! ```
//! Whiteouts act on the lower tree only, wherever they stand in the layer, and are not in the result. A
//! directory that both have keeps the lower one's owner, mode and xattrs, as in libostree's union checkout:
//! tar streams of layers lack many xattrs. Only the owner and mode are the layer's where
//! [`Upper::listed`] says that the layer sets them. Source: OCI image-spec layer.md "Whiteouts", libostree
//! ostree-repo-checkout.c:716-750, 1030-1075.

use ostree_format::{DirEntry, DirMeta, DirMetaId, DirTree, FileName, MetaKind, RootDir};

use super::{MutableTree, ObjectWrite, Result, load_dirmeta, load_dirtree};

/// What a whiteout's name starts with.
const WHITEOUT: &str = ".wh.";
/// Names of the whiteouts' own files.
const WHITEOUT_META: &str = ".wh..wh.";
/// The file that makes a directory opaque.
const OPAQUE: &str = ".wh..wh..opq";

/// The tree of a layer.
#[derive(Clone, Copy)]
pub struct Upper<'a> {
    /// The tree.
    pub root: RootDir,
    /// Whether the layer itself says the owner and mode of the directory with this path, which has no slash
    /// in front; the root's is empty.
    pub listed: &'a dyn Fn(&str) -> bool,
}

impl MutableTree {
    /// Lays the tree of a layer over this one.
    ///
    /// # Errors
    /// If a dirtree or dirmeta is missing or damaged, or cannot be written.
    pub fn lay_over(&mut self, store: &(impl ObjectWrite + ?Sized), upper: &Upper<'_>) -> Result<()> {
        let root = DirEntry { tree: upper.root.tree, meta: upper.root.meta };
        // The stack is on the heap: trees may be deep.
        let mut todo = vec![(Vec::new(), root)];
        while let Some((path, entry)) = todo.pop() {
            let mut dir = &mut *self;
            for name in &path {
                dir = dir.ensure_dir(store, FileName::clone(name))?;
            }
            for (name, below) in dir.lay_one_over(store, upper, &path, &entry)? {
                todo.push(([&path[..], &[name]].concat(), below));
            }
        }
        Ok(())
    }

    /// Lays a directory over this one, without those in it: these are returned, and there is no file in their
    /// place.
    fn lay_one_over(
        &mut self,
        store: &(impl ObjectWrite + ?Sized),
        upper: &Upper<'_>,
        path: &[FileName],
        dir: &DirEntry,
    ) -> Result<Vec<(FileName, DirEntry)>> {
        self.set_meta(self.union_meta(store, upper, path, dir.meta)?);
        let DirTree { files, dirs } = load_dirtree(store, &dir.tree)?;
        if files.contains_key(OPAQUE) {
            self.clear();
        }
        for name in files.keys() {
            if let Some(removed) = name.as_str().strip_prefix(WHITEOUT)
                && !name.as_str().starts_with(WHITEOUT_META)
            {
                self.remove(store, removed)?;
            }
        }
        for (name, id) in files {
            if !name.as_str().starts_with(WHITEOUT) {
                self.remove(store, name.as_str())?;
                self.set_file(store, name, id)?;
            }
        }
        for name in dirs.keys() {
            if self.files(store)?.contains_key(name) {
                self.remove(store, name.as_str())?;
            }
        }
        Ok(dirs.into_iter().collect())
    }

    /// The dirmeta of a directory that has `upper_meta` in the layer.
    fn union_meta(
        &self,
        store: &(impl ObjectWrite + ?Sized),
        upper: &Upper<'_>,
        path: &[FileName],
        upper_meta: DirMetaId,
    ) -> Result<DirMetaId> {
        let Some(lower_meta) = self.meta() else { return Ok(upper_meta) };
        let path = || path.iter().map(FileName::as_str).collect::<Vec<_>>().join("/");
        if lower_meta == upper_meta || !(upper.listed)(&path()) {
            return Ok(lower_meta);
        }
        let (lower, above) = (load_dirmeta(store, &lower_meta)?, load_dirmeta(store, &upper_meta)?);
        if (lower.uid, lower.gid, lower.mode) == (above.uid, above.gid, above.mode) {
            return Ok(lower_meta);
        }
        let meta = DirMeta { xattrs: lower.xattrs, ..above };
        Ok(DirMetaId::new(store.write_meta(MetaKind::DirMeta, &meta.to_bytes())?))
    }
}
