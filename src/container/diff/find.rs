//! Finds the databases of package managers in the trees of two images, and reads what differs of them.

use std::collections::BTreeMap;
use std::io;

use ostree_format::{FileId, RootDir};

use super::packages::Found;
use super::trees::Trees;
use crate::container::build::chunks::database::installed::{Part, dirs, files};
use crate::container::image::{Error, Result};
use crate::store::{self, TreeEntry, load_dirtree, lookup};

/// What of a database is in a tree, by names: files with their ids, and directories, which have none.
type Listed = BTreeMap<String, Option<FileId>>;

/// Reads what differs between the databases in two trees. What is the same in both is in neither result.
pub(super) fn databases(trees: &Trees<'_>, old: RootDir, new: RootDir) -> Result<(Found, Found)> {
    let mut found = (Found::default(), Found::default());
    let mut compare = |part, of_old: Listed, of_new: Listed| -> Result<()> {
        for (mine, other, found) in [(&of_old, &of_new, &mut found.0), (&of_new, &of_old, &mut found.1)] {
            if !mine.is_empty() {
                found.0.entry(part).or_default();
            }
            for (name, id) in mine.iter().filter(|(name, id)| other.get(*name) != Some(*id)) {
                match id {
                    Some(id) => found.add(part, &trees.content(*id)?),
                    None => found.add(part, name.as_bytes()),
                }
            }
        }
        Ok(())
    };
    for part in Part::WHOLE {
        compare(part, in_file(trees, old, part)?, in_file(trees, new, part)?)?;
    }
    for part in [Part::Dpkg, Part::Pacman] {
        compare(part, in_dir(trees, old, part)?, in_dir(trees, new, part)?)?;
    }
    Ok(found)
}

/// Reads what a tree has of the databases that another image has in the layers that `other` was read from. Of databases
/// with a file for each package only those are told that the other has there, too: where the rest of them are is not known.
pub(super) fn beside(trees: &Trees<'_>, root: RootDir, other: &Found) -> Result<Found> {
    let mut found = Found::default();
    for (part, packages) in &other.0 {
        let whole = in_file(trees, root, *part)?;
        let is_whole = !whole.is_empty();
        for (name, id) in if is_whole { whole } else { in_dir(trees, root, *part)? } {
            match id {
                Some(id) => found.add(*part, &trees.content(id)?),
                None => found.add(*part, name.as_bytes()),
            }
        }
        if !is_whole && let Some(of_part) = found.0.get_mut(part) {
            of_part.retain(|name, _| packages.contains_key(name));
        }
    }
    Ok(found)
}

/// A database in one file.
fn in_file(trees: &Trees<'_>, root: RootDir, part: Part) -> Result<Listed> {
    first(trees, root, files().filter(|(of, _)| *of == part), &file)
}

/// A database with a file or a directory for each package.
fn in_dir(trees: &Trees<'_>, root: RootDir, part: Part) -> Result<Listed> {
    first(trees, root, dirs().filter(|(of, _)| *of == part), &children)
}

/// What is at the first of several places where there is something.
fn first(
    trees: &Trees<'_>,
    root: RootDir,
    places: impl Iterator<Item = (Part, String)>,
    list: &dyn Fn(&Trees<'_>, Part, TreeEntry) -> Result<Listed>,
) -> Result<Listed> {
    for (part, path) in places {
        match lookup(trees, root, &path) {
            Ok(entry) => {
                let listed = list(trees, part, entry)?;
                if !listed.is_empty() {
                    return Ok(listed);
                }
            }
            Err(store::Error::Io { source, .. })
                if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return trees.told(Err(error.into())),
        }
    }
    Ok(Listed::new())
}

fn file(_: &Trees<'_>, _: Part, entry: TreeEntry) -> Result<Listed> {
    Ok(match entry {
        TreeEntry::File(id) => Listed::from([(String::new(), Some(id))]),
        TreeEntry::Dir(_) => Listed::new(),
    })
}

fn children(trees: &Trees<'_>, part: Part, entry: TreeEntry) -> Result<Listed> {
    let TreeEntry::Dir(dir) = entry else { return Ok(Listed::new()) };
    let tree = trees.told(load_dirtree(trees, &dir.tree).map_err(Error::from))?;
    Ok(match part {
        Part::Pacman => tree.dirs.into_keys().map(|name| (name.as_str().to_owned(), None)).collect(),
        // Beside each list lie the checksums of the package's files.
        _ => {
            let lists = tree.files.into_iter().filter(|(name, _)| !name.as_str().ends_with(".md5sums"));
            lists.map(|(name, id)| (name.as_str().to_owned(), Some(id))).collect()
        }
    })
}
