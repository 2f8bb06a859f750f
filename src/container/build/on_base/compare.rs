//! What a commit has that its base has not: the layers of the base are read once.

use std::collections::{BTreeMap, BTreeSet};

use ostree_format::{CommitId, DirEntry, DirMetaId, FileName};

use super::merged::{Merged, Meta, NodeKind, unpacked_xattrs};
use super::passing::Passing;
use crate::base::Ctx;
use crate::container::image::{Error, Image, Result};
use crate::store::{ObjectRead, load_commit, load_dirmeta, load_dirtree};
use crate::tar::{BaseSearch, CheckoutMap, ChunkContent, OnBase, WantedFiles};

/// The directory in which the objects lie, of which the checkout shows nothing.
const SYSROOT: &str = "sysroot";

/// Compares a commit with the layers of `base`, which go on to where the image goes.
pub(super) fn compare(
    store: &dyn ObjectRead,
    commit: &CommitId,
    passing: &mut Passing<'_>,
    base: &Image,
    ctx: &Ctx,
) -> Result<OnBase> {
    let wanted = WantedFiles::of_stored(store, commit)?;
    let dirs = dirs(store, commit)?;
    check_names(wanted.iter().map(|(place, _)| place).chain(dirs.keys().map(String::as_str)))?;
    let (search, mut merged) = (BaseSearch::new(&wanted, None), Merged::default());
    ctx.phase("Reading base", None, Some(base.manifest.layers().iter().map(|layer| layer.size()).sum()));
    for layer in base.layers()? {
        merged.next_layer();
        passing.read_layer(&layer, ctx, |stream| {
            let mut visit = |entry: &_, path: &_, candidate| merged.entry(entry, path, candidate);
            Ok(search.read_layer(stream, &mut visit, ctx)?)
        })?;
    }
    Comparison { store, commit, wanted: &wanted, dirs: &dirs, search: &search, merged: &merged }.done()
}

/// The directories of the commit by their paths in the checkout.
fn dirs(store: &dyn ObjectRead, commit: &CommitId) -> Result<BTreeMap<String, DirMetaId>> {
    let commit = load_commit(store, commit)?;
    let map = CheckoutMap::of(store, &commit)?;
    let mut dirs = BTreeMap::from([(String::new(), commit.root.meta)]);
    // Depth first; the stack is on the heap: trees may be deep.
    let enter = |tree| Ok::<_, Error>(load_dirtree(store, &tree)?.dirs.into_iter());
    let mut stack: Vec<(String, std::collections::btree_map::IntoIter<FileName, DirEntry>)> =
        vec![(String::new(), enter(commit.root.tree)?)];
    while let Some((path, below)) = stack.last_mut() {
        let Some((name, dir)) = below.next() else {
            stack.pop();
            continue;
        };
        let path = format!("{path}{name}");
        if let Some(place) = map.map(&path) {
            dirs.insert(place.to_owned(), dir.meta);
        }
        stack.push((path + "/", enter(dir.tree)?));
    }
    Ok(dirs)
}

/// In a layer such names mean something else.
fn check_names<'a>(mut places: impl Iterator<Item = &'a str>) -> Result<()> {
    match places.find(|place| place.split('/').any(|name| name.starts_with(".wh."))) {
        None => Ok(()),
        Some(place) => Err(Error::Unsupported(format!(
            "the commit has {place:?}: in a layer on top of others such a name takes files away"
        ))),
    }
}

/// A commit and a base whose layers were read.
struct Comparison<'a> {
    store: &'a dyn ObjectRead,
    commit: &'a CommitId,
    wanted: &'a WantedFiles,
    dirs: &'a BTreeMap<String, DirMetaId>,
    search: &'a BaseSearch<'a>,
    merged: &'a Merged,
}

impl Comparison<'_> {
    fn done(&self) -> Result<OnBase> {
        let map = CheckoutMap::of(self.store, &load_commit(self.store, self.commit)?)?;
        let all = ChunkContent::of_commit(self.store, self.commit)?;
        let mut listed = self.dirs_to_list()?;
        // Content below `sysroot` has no place; the base cannot have it.
        let is_there = |id: &_, place: &str| self.search.found(id) && self.is_right(place);
        let content = all.select_paths(|id, path| map.map(path).is_none_or(|place| !is_there(id, place)));
        let written: BTreeSet<_> = content
            .iter()
            .map(|(id, paths)| {
                let places = paths.iter().filter_map(|path| map.map(path));
                places.for_each(|place| list_above(&mut listed, place));
                id
            })
            .collect();
        let in_base = all.iter().map(|(id, _)| id).filter(|id| !written.contains(id)).collect();
        let gone = self.gone();
        gone.iter().for_each(|path| list_above(&mut listed, path));
        Ok(OnBase { content, in_base, dirs: listed, gone })
    }

    /// Whether a container of the base sees at this path what the commit has there.
    fn is_right(&self, place: &str) -> bool {
        let (Some(id), Some(node)) = (self.wanted.at(place), self.merged.get(place)) else { return false };
        let NodeKind::File(Some(candidate)) = node.kind else { return false };
        let xattrs = Some(unpacked_xattrs(self.wanted.xattrs_of(id)));
        candidate.id == *id
            && self.search.is_right(&candidate)
            && xattrs == node.meta.map(|meta| meta.xattrs())
    }

    /// Directories that the base has not, or with another owner, mode or xattrs.
    fn dirs_to_list(&self) -> Result<BTreeSet<String>> {
        let mut listed = BTreeSet::new();
        for (place, meta) in self.dirs {
            let meta = load_dirmeta(self.store, meta)?;
            let meta = Meta::new(meta.uid, meta.gid, meta.mode & 0o7777, &meta.xattrs);
            let node = self.merged.get(place);
            if node.is_none_or(|node| node.kind != NodeKind::Dir || node.meta != Some(meta)) {
                list_above(&mut listed, place);
                listed.insert(place.clone());
            }
        }
        Ok(listed)
    }

    /// What the base has in directories of the commit that these have not.
    fn gone(&self) -> BTreeSet<String> {
        let is_gone = |path: &&str| {
            let is_there = self.dirs.contains_key(*path) || self.wanted.at(path).is_some();
            let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
            !is_there && path.split('/').next() != Some(SYSROOT) && self.dirs.contains_key(dir)
        };
        self.merged.paths().filter(is_gone).map(str::to_owned).collect()
    }
}

/// Lists the directories in which a path lies: where a layer does not, programs make them up.
fn list_above(listed: &mut BTreeSet<String>, path: &str) {
    let mut path = path;
    while let Some((dir, _)) = path.rsplit_once('/') {
        if !listed.insert(dir.to_owned()) {
            return;
        }
        path = dir;
    }
}
