//! Files that no package owns, by their path and size.
//!
//! ```text
//! file of 4 MiB                     a component of its own     /boot/initrd.img
//! directory of at most 16 MiB       one component              /usr/share
//! larger one    directories of 4 MiB      components of their own
//!               everything else in it     one component
//! ```
//! The bounds are fixed, so that a file more or less changes as few components as possible.

use crate::container::build::chunks::tree::{ROOT, Tree};
use crate::container::build::chunks::{Component, OVERHEAD_BYTES};

/// Larger directories are divided.
const MAX_DIR_BYTES: u64 = 16 * 1024 * 1024;
/// What is smaller does not become a component of its own.
pub(super) const MIN_BYTES: u64 = 4 * 1024 * 1024;
/// What the component of the root is called.
const UNPACKAGED: &str = "unpackaged";

/// The components of those files of the tree.
pub(super) fn components(tree: &Tree, files: &[usize]) -> Vec<Component> {
    let (large, small): (Vec<usize>, Vec<usize>) =
        files.iter().partition(|file| tree.files[**file].bytes >= MIN_BYTES);
    let mut out: Vec<_> =
        large.into_iter().map(|file| component(tree, &tree.file_path(file), vec![file])).collect();
    let mut sizes = vec![0; tree.dirs.len()];
    for file in &small {
        let bytes = tree.files[*file].bytes + OVERHEAD_BYTES;
        let mut dir = tree.files[*file].dir;
        sizes[dir] += bytes;
        while dir != ROOT {
            dir = tree.dirs[dir].parent;
            sizes[dir] += bytes;
        }
    }
    // The directory whose component a directory's files go to; its parent comes before it.
    let mut heads = vec![ROOT; tree.dirs.len()];
    for dir in 1..tree.dirs.len() {
        let parent = tree.dirs[dir].parent;
        let divided = heads[parent] == parent && sizes[parent] > MAX_DIR_BYTES;
        heads[dir] = if divided && sizes[dir] >= MIN_BYTES { dir } else { heads[parent] };
    }
    let mut whole: Vec<Vec<usize>> = vec![Vec::new(); tree.dirs.len()];
    for file in small {
        whole[heads[tree.files[file].dir]].push(file);
    }
    let whole = whole.into_iter().enumerate().filter(|(_, files)| !files.is_empty());
    out.extend(whole.map(|(dir, files)| component(tree, &tree.dir_path(dir), files)));
    out
}

/// A component called by its path; the slash in front tells it from a package.
fn component(tree: &Tree, path: &str, files: Vec<usize>) -> Component {
    let name = if path.is_empty() { UNPACKAGED.to_owned() } else { format!("/{}", path.replace(',', "_")) };
    Component::new(tree, name.clone(), name, files)
}
