//! Hard links, which are resolved after the last entry.

use super::super::error::{EntryErrorKind, Result};
use super::{Import, Link, file_name, walk};
use crate::store::MutableTree;

impl Import<'_, '_, '_> {
    /// Resolves links whose target is in the tree; the others stay.
    pub(super) fn resolve_all_links(&mut self) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.found.links);
        // A target may itself be a link that another round resolves.
        while !waiting.is_empty() {
            let before = waiting.len();
            for (target, links) in std::mem::take(&mut waiting) {
                if !self.resolve_links(&target, &links)? {
                    waiting.insert(target, links);
                }
            }
            if waiting.len() == before {
                break;
            }
        }
        self.found.links = waiting;
        Ok(())
    }

    /// Gives links to objects what these are now: as they are in the archive, or else in the store.
    pub(super) fn resolve_object_links(&mut self) -> Result<()> {
        let store = self.store;
        for (target, Link { entry, path }) in std::mem::take(&mut self.object_links) {
            let id = match self.objects.get(&target) {
                Some(changed) => *changed,
                None if store.contains(&target.into())? => target,
                None => {
                    let target = String::from_utf8_lossy(&entry.link).into_owned();
                    return Err(entry.error(EntryErrorKind::LinkTarget(target)));
                }
            };
            let (dir, name) = self.dir_of(&path)?;
            let parent = || entry.error(EntryErrorKind::NoParent(path.clone()));
            let set = dir.ok_or_else(parent)?.set_file(store, file_name(&entry, name)?, id);
            set.map_err(|_| entry.error(EntryErrorKind::Conflict("a directory is there")))?;
        }
        Ok(())
    }

    /// Gives all names of a file the object of the one that had the content, or else that of the target;
    /// `false` if that is not there.
    fn resolve_links(&mut self, target: &str, links: &[Link]) -> Result<bool> {
        let store = self.store;
        let payload = links.iter().find(|link| link.entry.size > 0);
        let (dir, name) = self.dir_of(payload.map_or(target, |link| &link.path))?;
        let id = match dir {
            Some(dir) => dir.files(store)?.get(name).copied(),
            None => None,
        };
        let Some(id) = id else { return Ok(false) };
        for link in links {
            // The target gets what only a later name brought.
            let target = payload.map(|_| target);
            for path in target.into_iter().chain([&*link.path]) {
                let (dir, name) = self.dir_of(path)?;
                let name = file_name(&link.entry, name)?;
                let Some(dir) = dir else { return Ok(false) };
                dir.set_file(store, name, id)
                    .map_err(|_| link.entry.error(EntryErrorKind::Conflict("a directory is there")))?;
            }
        }
        Ok(true)
    }

    /// The directory and the name of `path`, which has no dots or doubled slashes.
    fn dir_of<'n>(&mut self, path: &'n str) -> Result<(Option<&mut MutableTree>, &'n str)> {
        let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dirs: Vec<_> = dirs.split('/').filter(|name| !name.is_empty()).collect();
        Ok((walk(self.tree, self.store, &dirs)?, name))
    }
}
