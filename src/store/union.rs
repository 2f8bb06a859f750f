//! Lays the tree of an image layer over a directory.
//!
//! ```text
//! .wh.NAME        takes NAME of the lower tree away
//! .wh..wh..opq    takes everything of the lower directory away; the directory itself stays
//! NAME            replaces NAME of the lower tree, of whichever type; directories become one
//! NAME/…          without an entry for NAME: below a symbolic link of the lower tree, where that leads
//! NAME/           over such a link: takes its place, or goes where it leads: see `ListedOverLink`
//! NAME/.wh.…      without an entry for NAME: nothing, where the lower tree has a file called NAME
//! ```
//! Whiteouts act on the lower tree only, wherever they stand in the layer, and are not in the result. A
//! directory that both have keeps the lower one's owner, mode and xattrs, as in libostree's union checkout:
//! tar streams of layers lack many xattrs. Only the owner and mode are the layer's where
//! [`Upper::listed`] says that the layer sets them. Source: OCI image-spec layer.md "Whiteouts", libostree
//! ostree-repo-checkout.c:716-750, 1030-1075.

use ostree_format::{DirEntry, DirMeta, DirMetaId, DirTree, FileKind, FileName, RootDir};

use super::{MutableTree, ObjectRead, ObjectWrite, Placement, Result, load_dirmeta, load_dirtree};
use crate::base::debug_fields;

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
    /// The map from paths of the layer to paths of the tree, by which symbolic links are followed.
    pub placement: &'a dyn Placement,
    /// The treatment of a directory that the layer lists where the lower tree has a symbolic link to one.
    pub listed_over_link: ListedOverLink,
}

debug_fields!(Upper<'a> { root, listed_over_link });

/// The treatment of a directory that a layer lists, over a symbolic link to a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedOverLink {
    /// The directory takes the link's place, as in container runtimes.
    Replaces,
    /// The link stays, and what is in the directory goes where it leads, as in ostree-ext: a layer that lists `/lib`
    /// does not take the libraries from a system that boots.
    Follows,
}

impl Upper<'_> {
    /// Whether the directory `path` of the layer, and what is below it, is nothing but whiteouts.
    fn only_takes_away(
        &self,
        store: &(impl ObjectRead + ?Sized),
        path: String,
        entry: &DirEntry,
    ) -> Result<bool> {
        let mut todo = vec![(path, entry.tree)];
        while let Some((path, tree)) = todo.pop() {
            let DirTree { files, dirs } = load_dirtree(store, &tree)?;
            let is_whiteout = |name: &FileName| name.as_str().starts_with(WHITEOUT);
            if (self.listed)(&path) || !files.keys().all(is_whiteout) || files.is_empty() && dirs.is_empty() {
                return Ok(false);
            }
            todo.extend(dirs.iter().map(|(name, dir)| (format!("{path}/{name}"), dir.tree)));
        }
        Ok(true)
    }
}

/// A directory of a layer.
struct Above {
    /// The path of the directory in the layer.
    path: Vec<FileName>,
    /// The path of the directory over which it is laid.
    place: Vec<FileName>,
    entry: DirEntry,
    /// Whether a link led there: then the directory is another, and keeps its owner and mode.
    by_link: bool,
}

impl MutableTree {
    /// Lays the tree of a layer over this one.
    ///
    /// # Errors
    /// If a dirtree or dirmeta is missing or damaged, or cannot be written.
    pub fn lay_over(&mut self, store: &(impl ObjectWrite + ?Sized), upper: &Upper<'_>) -> Result<()> {
        let entry = DirEntry { tree: upper.root.tree, meta: upper.root.meta };
        // The stack is on the heap: trees may be deep.
        let mut todo = vec![Above { path: Vec::new(), place: Vec::new(), entry, by_link: false }];
        while let Some(Above { path, place, entry, by_link }) = todo.pop() {
            let mut dir = &mut *self;
            for name in &place {
                // Where a link led may be something else by now.
                if dir.files(store)?.contains_key(name) {
                    dir.remove(store, name.as_str())?;
                }
                dir = dir.ensure_dir(store, name.clone())?;
                if dir.meta().is_none() {
                    dir.set_meta(entry.meta);
                }
            }
            let is_listed = !by_link && (upper.listed)(&joined(&path));
            let dirs = dir.lay_one_over(store, is_listed, &entry)?;
            for (name, entry) in dirs {
                let [path, direct] =
                    [&path, &place].map(|dirs| [&dirs[..], std::slice::from_ref(&name)].concat());
                let Some(place) = self.make_way(store, upper, &path, &entry, direct.clone())? else {
                    continue;
                };
                todo.push(Above { path, by_link: place != direct, place, entry });
            }
        }
        Ok(())
    }

    /// Where the directory `path` of the layer goes: to `place`, from which a file is taken away, but for a
    /// symbolic link to a directory that the layer does not list, or lists and follows. `None` where a file is and the
    /// directory says only what is to be taken away below it.
    fn make_way(
        &mut self,
        store: &(impl ObjectWrite + ?Sized),
        upper: &Upper<'_>,
        path: &[FileName],
        entry: &DirEntry,
        place: Vec<FileName>,
    ) -> Result<Option<Vec<FileName>>> {
        let Some((name, parents)) = place.split_last() else { return Ok(Some(place)) };
        if !self.descend(store, parents)?.files(store)?.contains_key(name) {
            return Ok(Some(place));
        }
        if (upper.listed_over_link == ListedOverLink::Follows || !(upper.listed)(&joined(path)))
            && let Some(real) = self.real_place(store, upper.placement, &joined(&place))?
            && let Ok(names) = real.split('/').map(FileName::new).collect()
        {
            return Ok(Some(names));
        }
        if upper.only_takes_away(store, joined(path), entry)? {
            return Ok(None);
        }
        self.descend(store, parents)?.remove(store, name.as_str())?;
        Ok(Some(place))
    }

    /// The directory that these names lead to.
    fn descend(&mut self, store: &(impl ObjectRead + ?Sized), names: &[FileName]) -> Result<&mut Self> {
        names.iter().try_fold(self, |dir, name| dir.ensure_dir(store, name.clone()))
    }

    /// The path of the directory `place` after all symbolic links; `None` if these lead to no directory.
    ///
    /// # Errors
    /// If a dirtree or content object is missing or damaged.
    pub fn real_place(
        &mut self,
        store: &(impl ObjectRead + ?Sized),
        placement: &dyn Placement,
        place: &str,
    ) -> Result<Option<String>> {
        let target = |id: &_| match store.stat_file(id)? {
            Some((header, _)) => Ok(match header.kind {
                FileKind::Symlink(target) => Some(target.to_string()),
                FileKind::Regular => None,
            }),
            None => Ok(None),
        };
        let real = self.follow(store, placement, &target, &placement.path_of(place))?;
        Ok(real.and_then(|path| placement.place(&path)))
    }

    /// Lays a directory over this one, without those in it, which are returned.
    fn lay_one_over(
        &mut self,
        store: &(impl ObjectWrite + ?Sized),
        is_listed: bool,
        dir: &DirEntry,
    ) -> Result<Vec<(FileName, DirEntry)>> {
        self.set_meta(self.union_meta(store, is_listed, dir.meta)?);
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
        Ok(dirs.into_iter().collect())
    }

    /// The dirmeta of a directory that has `upper_meta` in the layer.
    fn union_meta(
        &self,
        store: &(impl ObjectWrite + ?Sized),
        is_listed: bool,
        upper_meta: DirMetaId,
    ) -> Result<DirMetaId> {
        let Some(lower_meta) = self.meta() else { return Ok(upper_meta) };
        if lower_meta == upper_meta || !is_listed {
            return Ok(lower_meta);
        }
        let (lower, above) = (load_dirmeta(store, &lower_meta)?, load_dirmeta(store, &upper_meta)?);
        if (lower.uid, lower.gid, lower.mode) == (above.uid, above.gid, above.mode) {
            return Ok(lower_meta);
        }
        let meta = DirMeta { xattrs: lower.xattrs, ..above };
        store.write_dirmeta(&meta)
    }
}

fn joined(path: &[FileName]) -> String {
    path.iter().map(FileName::as_str).collect::<Vec<_>>().join("/")
}
