//! Hard links, which are resolved after the last entry.

use std::collections::HashSet;

use super::super::entry::TarEntry;
use super::super::error::{EntryErrorKind, Result};
use super::super::files::{ARCHIVE_DEPTH, cleaned, file_name, names};
use super::{Import, walk};
use crate::store::MutableTree;

/// A hard link.
pub(super) struct Link {
    /// The entry, for messages; the path in the tree is beside it.
    entry: TarEntry,
    path: String,
}

impl Import<'_, '_, '_> {
    pub(super) fn link(&mut self, entry: &TarEntry, link: &[&str]) -> Result<()> {
        let target = self.place(&entry.link).map_err(|kind| entry.error(kind))?;
        let target = cleaned(&target).map_err(|kind| entry.error(kind))?;
        names(&target, ARCHIVE_DEPTH).map_err(|kind| entry.error(kind))?;
        let link = Link { entry: entry.to_wait(), path: link.join("/") };
        self.links.entry(target).or_default().push(link);
        Ok(())
    }

    /// Gives every link what its target is. Targets that are links themselves come first, so that each is looked
    /// at once.
    pub(super) fn resolve_links(&mut self) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.links);
        let links: HashSet<_> = waiting.values().flatten().map(|link| link.path.clone()).collect();
        let mut ready: Vec<_> = waiting.keys().filter(|target| !links.contains(*target)).cloned().collect();
        loop {
            while let Some(target) = ready.pop() {
                self.files.ctx.cancel.check()?;
                let Some(group) = waiting.remove(&target) else { continue };
                self.resolve(&target, &group)?;
                ready.extend(group.into_iter().map(|link| link.path));
            }
            // Links in a circle: one of them may be a file that came before.
            let Some(target) = waiting.keys().next() else { return Ok(()) };
            ready.push(target.clone());
        }
    }

    /// Gives all names of a file the object of the one that had the content, or else that of the target.
    fn resolve(&mut self, target: &str, links: &[Link]) -> Result<()> {
        let store = self.files.store;
        let payload = links.iter().find(|link| link.entry.size > 0);
        let (dir, name) = self.dir_of(payload.map_or(target, |link| &link.path))?;
        let id = match dir {
            Some(dir) => dir.files(store)?.get(name).copied(),
            None => None,
        };
        let missing = || EntryErrorKind::LinkTarget(target.to_owned());
        for link in links {
            let id = id.ok_or_else(|| link.entry.error(missing()))?;
            // The target gets what only a later name brought.
            let target = payload.map(|_| target);
            for path in target.into_iter().chain([&*link.path]) {
                let (dir, name) = self.dir_of(path)?;
                let name = file_name(&link.entry, name)?;
                let dir = dir.ok_or_else(|| link.entry.error(missing()))?;
                dir.set_file(store, name, id)
                    .map_err(|_| link.entry.error(EntryErrorKind::Conflict("a directory is there")))?;
            }
        }
        Ok(())
    }

    /// The directory and the name of `path`, which has no dots or doubled slashes.
    fn dir_of<'n>(&mut self, path: &'n str) -> Result<(Option<&mut MutableTree>, &'n str)> {
        let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dirs: Vec<_> = dirs.split('/').filter(|name| !name.is_empty()).collect();
        Ok((walk(self.tree, self.files.store, &dirs)?, name))
    }
}
