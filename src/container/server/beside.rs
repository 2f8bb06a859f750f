//! Content that a container may be unable to read where the image has it, so that it lies beside the server, packed.
//!
//! ```text
//! a file that not everybody may read      the container may run as any user; what is served is read by all anyway
//! of an image on a base, where content    paths that runtimes lay something over, such as etc/hosts and run;
//! is read by its path                     directories that not everybody may enter
//! ```

use std::collections::BTreeSet;

use ostree_format::{CommitId, FileId, FileKind};

use crate::container::image::Result;
use crate::store::{self, ObjectRead, TreeEntry, load_commit, load_dirmeta, paths};
use crate::tar::{CheckoutMap, ChunkContent};

/// The permission of everybody to read a file.
const READ: u32 = 0o004;
/// The permission of everybody to enter a directory.
const ENTER: u32 = 0o001;

/// Files and directories that runtimes replace in a container: podman, docker, containerd, CRI-O.
const REPLACED: [&str; 15] = [
    ".dockerenv",
    "dev",
    "etc/group",
    "etc/hostname",
    "etc/hosts",
    "etc/localtime",
    "etc/mtab",
    "etc/passwd",
    "etc/resolv.conf",
    "proc",
    "run",
    "sys",
    "tmp",
    "var/run",
    "var/tmp",
];

/// The content of `commit` that has to lie beside the server; `in_base` is what only the base of the image has.
pub(super) fn beside(
    store: &dyn ObjectRead,
    commit: &CommitId,
    in_base: &BTreeSet<FileId>,
) -> Result<Vec<FileId>> {
    let map = CheckoutMap::of(store, &load_commit(store, commit)?)?;
    let closed = closed_dirs(store, commit, map)?;
    let is_shaky = |dir: &str| closed.contains(dir) || REPLACED.contains(&dir);
    let is_steady = |path: &String| map.map(path).is_some_and(|place| !lies_in(place, is_shaky));
    let mut beside = Vec::new();
    for (id, paths) in ChunkContent::of_commit(store, commit)?.iter() {
        let (header, _) = store.stat_file(&id)?.ok_or(store::Error::NotFound(id.into()))?;
        let is_open = header.kind != FileKind::Regular || header.permissions & READ != 0;
        if !is_open || (in_base.contains(&id) && !paths.iter().any(is_steady)) {
            beside.push(id);
        }
    }
    Ok(beside)
}

/// The directories that not everybody may enter, by their paths in the checkout.
fn closed_dirs(store: &dyn ObjectRead, commit: &CommitId, map: CheckoutMap) -> Result<BTreeSet<String>> {
    let mut closed = BTreeSet::new();
    for entry in paths(store, load_commit(store, commit)?.root) {
        let (path, TreeEntry::Dir(dir)) = entry? else { continue };
        if load_dirmeta(store, &dir.meta)?.mode & ENTER == 0
            && let Some(place) = map.map(path.trim_start_matches('/'))
        {
            closed.insert(place.to_owned());
        }
    }
    Ok(closed)
}

/// Whether a path is, or lies in, something that `is_meant`.
fn lies_in(path: &str, is_meant: impl Fn(&str) -> bool) -> bool {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let mut all = ends.map(|end| &path[..end]);
    is_meant("") || all.any(is_meant)
}

#[cfg(test)]
mod tests {
    use super::lies_in;

    #[test]
    fn paths_and_directories_above() {
        for (path, expected) in [("run", true), ("run/a/b", true), ("running", false), ("a/run", false)] {
            assert_eq!(lies_in(path, |dir| dir == "run"), expected, "{path}");
        }
    }
}
