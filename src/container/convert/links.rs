//! The top-level directories of a system that boots from a commit, most of them links to where state is.

use ostree_format::{FileHeader, Xattrs};

use super::var::FACTORY;
use super::{dir, ensure_dir, file_name, is_empty};
use crate::container::image::Result;
use crate::store::{Entry, MutableTree, ObjectWrite};
use crate::tar::Var;

/// A link in place of a directory.
struct Link {
    name: &'static str,
    target: &'static str,
    /// The permissions of the target, where the image does not tell.
    permissions: u32,
    content: Content,
}

/// What is in the directory.
#[derive(PartialEq, Eq)]
enum Content {
    /// State: it moves to where the link leads.
    Moves,
    /// Perhaps programs: these stay, and no link is made.
    Stays,
}

const LINKS: [Link; 7] = [
    Link { name: "home", target: "var/home", permissions: 0o755, content: Content::Moves },
    Link { name: "root", target: "var/roothome", permissions: 0o700, content: Content::Moves },
    Link { name: "srv", target: "var/srv", permissions: 0o755, content: Content::Moves },
    Link { name: "opt", target: "var/opt", permissions: 0o755, content: Content::Stays },
    Link { name: "mnt", target: "var/mnt", permissions: 0o755, content: Content::Stays },
    Link { name: "media", target: "run/media", permissions: 0o755, content: Content::Stays },
    Link { name: "ostree", target: "sysroot/ostree", permissions: 0o755, content: Content::Stays },
];

/// Directories that something is mounted over, and their permissions.
const MOUNTS: [(&str, u32); 8] = [
    ("boot", 0o755),
    ("dev", 0o755),
    ("proc", 0o755),
    ("run", 0o755),
    ("sys", 0o755),
    ("sysroot", 0o755),
    ("tmp", 0o1777),
    ("var", 0o755),
];

/// Makes directories and links; returns the paths where that would lose something.
pub(super) fn make(store: &dyn ObjectWrite, tree: &mut MutableTree, var: Var) -> Result<Vec<String>> {
    let mut in_the_way = Vec::new();
    for (name, permissions) in MOUNTS {
        // A link to a directory elsewhere will do.
        let _ = ensure_dir(store, tree, name, permissions)?;
    }
    for link in &LINKS {
        if !make_one(store, tree, var, link)? {
            in_the_way.push(link.name.to_owned());
        }
    }
    Ok(in_the_way)
}

/// Where what was below the top-level directory `name` may be, if that became a link to state.
pub(super) fn places_of(name: &str, rest: &str) -> Vec<String> {
    let link = LINKS.iter().find(|link| link.name == name && link.content == Content::Moves);
    let places = link.map(|link| [Var::Factory, Var::Keep].map(|var| state_place(link.target, var)));
    places.into_iter().flatten().flatten().map(|place| format!("{place}/{rest}")).collect()
}

/// Makes a link, unless something is in its way; a link of another kind is as good.
fn make_one(store: &dyn ObjectWrite, tree: &mut MutableTree, var: Var, link: &Link) -> Result<bool> {
    let old = match tree.get(store, link.name)? {
        Some(Entry::File(id)) => {
            let stat = store.stat_file(&id)?;
            return Ok(stat.is_some_and(|(header, _)| header.symlink_target().is_some()));
        }
        Some(Entry::Dir(old)) => {
            if link.content == Content::Stays && !is_empty(store, old)? {
                return Ok(false);
            }
            Some(std::mem::take(old))
        }
        None => None,
    };
    if let Some(place) = state_place(link.target, var)
        && let Some(lost) = put_state(store, tree, &place, link, old)?
    {
        tree.set_dir(store, file_name(link.name)?, lost)?;
        return Ok(false);
    }
    tree.remove(store, link.name)?;
    let header = FileHeader::symlink(0, 0, link.target, Xattrs::EMPTY);
    let id = store.write_file(&header, 0, &mut std::io::empty())?;
    tree.set_file(store, file_name(link.name)?, id)?;
    Ok(true)
}

/// Puts what was in the place of a link to where the link leads; gives it back if that would lose something.
fn put_state(
    store: &dyn ObjectWrite,
    tree: &mut MutableTree,
    place: &str,
    link: &Link,
    old: Option<MutableTree>,
) -> Result<Option<MutableTree>> {
    let is_taken = match dir(store, tree, place)? {
        Some(there) => !is_empty(store, there)?,
        None => false,
    };
    let target = ensure_dir(store, tree, place, link.permissions)?;
    match (target, old) {
        (_, None) => Ok(None),
        (Some(target), Some(old)) if !is_taken => {
            *target = old;
            Ok(None)
        }
        (_, Some(mut old)) => {
            let is_lost = !is_empty(store, &mut old)?;
            Ok(is_lost.then_some(old))
        }
    }
}

/// Where in the commit the state is that will be at `target`.
fn state_place(target: &str, var: Var) -> Option<String> {
    let name = target.strip_prefix("var/")?;
    Some(match var {
        Var::Factory => format!("{FACTORY}/{name}"),
        Var::Keep => format!("var/{name}"),
    })
}
