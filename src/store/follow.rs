//! Follows the symbolic links of a tree, as the kernel does when a layer is unpacked over it.

use ostree_format::FileId;

use super::{Entry, MutableTree, ObjectRead, Result};

/// The number of links that are followed in a path: Linux's own limit.
const MAX_LINKS: usize = 40;
/// The number of names in a path up to which it is followed.
const MAX_NAMES: usize = 512;

/// A map from the paths of a layer to those of a tree: `etc` lies in `usr/etc`, for example. No path has dots or a
/// slash in front.
pub trait Placement {
    /// Where the directory `path` is in the tree; `None` if it is not in it.
    fn place(&self, path: &str) -> Option<String>;

    /// The path of what is at `place` in the tree.
    fn path_of(&self, place: &str) -> String;
}

/// Says where a symbolic link leads; `None` for other files.
pub type LinkTarget<'a> = dyn Fn(&FileId) -> Result<Option<String>> + 'a;

/// What a walk along a path meets first.
enum Met {
    /// Directories, and perhaps in the end nothing.
    Directories,
    /// A symbolic link: how many names are in front of it, and its target.
    Link(usize, String),
    /// Something that nothing can be below.
    Dead,
}

impl MutableTree {
    /// The directory `path` after all symbolic links, also those to what is not there, and to what has no place in the
    /// tree; `None` if these lead to a file, or are too many.
    ///
    /// # Errors
    /// If a dirtree is missing or damaged; and what `target` gives.
    pub fn follow(
        &mut self,
        store: &(impl ObjectRead + ?Sized),
        placement: &dyn Placement,
        target: &LinkTarget<'_>,
        path: &str,
    ) -> Result<Option<String>> {
        let mut names: Vec<String> =
            path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        for _ in 0..=MAX_LINKS {
            // What `..` means is known when everything in front of it is.
            let up = names.iter().position(|name| name == "..");
            match self.meet(store, placement, target, &names[..up.unwrap_or(names.len())])? {
                Met::Link(n, target) => {
                    names = splice(&names, n, &target);
                    if names.len() > MAX_NAMES {
                        return Ok(None);
                    }
                }
                Met::Dead => return Ok(None),
                Met::Directories => match up {
                    Some(up) => drop(names.drain(up.saturating_sub(1)..=up)),
                    None => return Ok(Some(names.join("/"))),
                },
            }
        }
        Ok(None)
    }

    fn meet(
        &mut self,
        store: &(impl ObjectRead + ?Sized),
        placement: &dyn Placement,
        target: &LinkTarget<'_>,
        names: &[String],
    ) -> Result<Met> {
        // Of what has no place nothing is known: it is taken as it stands.
        let Some(place) = placement.place(&names.join("/")) else { return Ok(Met::Directories) };
        let places: Vec<_> = place.split('/').filter(|name| !name.is_empty()).collect();
        let mut dir = self;
        for (n, name) in places.iter().enumerate() {
            match dir.get(store, name)? {
                Some(Entry::Dir(next)) => dir = next,
                None => return Ok(Met::Directories),
                Some(Entry::File(id)) => {
                    // Placement changes the front of a path only.
                    let in_path = (n + names.len()).checked_sub(places.len());
                    return Ok(match (target(&id)?, in_path) {
                        (Some(target), Some(n)) => Met::Link(n, target),
                        _ => Met::Dead,
                    });
                }
            }
        }
        Ok(Met::Directories)
    }
}

/// Puts the target of a link in place of the name number `n`. There are no links in front of it.
fn splice(names: &[String], n: usize, target: &str) -> Vec<String> {
    let mut out = if target.starts_with('/') { Vec::new() } else { names[..n].to_vec() };
    let mut real = out.len();
    for name in target.split('/').filter(|name| !matches!(*name, "" | ".")) {
        if name == ".." && real == out.len() {
            out.pop();
            real = out.len();
        } else {
            out.push(name.to_owned());
        }
    }
    out.extend_from_slice(&names[n + 1..]);
    out
}
