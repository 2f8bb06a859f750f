//! The objects that a commit names, as far as they are known, and which of them were there.

use std::collections::HashMap;

use ostree_format::{DirTreeRef, ObjectName, ObjectType};

use super::super::error::{ContentErrorKind, Error, Result};
use crate::base::Ctx;
use crate::store::{self, Txn};

/// What is known of an object that the commit reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Another object names the object.
    Named,
    /// Another object names the object, which is metadata that the store has.
    Stored,
    /// The object was in the stream.
    Here,
}

/// Notes what a dirtree names; returns what was not named before.
pub(super) fn name_children(
    objects: &mut HashMap<ObjectName, Seen>,
    name: &ObjectName,
    bytes: &[u8],
) -> Result<Vec<ObjectName>> {
    let tree = DirTreeRef::parse(bytes).map_err(store::Error::corrupt(*name))?;
    let files = tree.files().map(|(_, file)| file.into());
    let dirs = tree.dirs().flat_map(|(_, dir)| [dir.tree.into(), dir.meta.into()]);
    let mut news = Vec::new();
    for child in files.chain(dirs) {
        objects.entry(child).or_insert_with(|| {
            news.push(child);
            Seen::Named
        });
    }
    Ok(news)
}

pub(super) fn is_metadata(name: &ObjectName) -> bool {
    matches!(name.kind, ObjectType::DirTree | ObjectType::DirMeta)
}

/// Looks in the store for the metadata that was named only, and for what it names in turn.
pub(super) fn complete_metadata(
    objects: &mut HashMap<ObjectName, Seen>,
    store: &dyn Txn,
    ctx: &Ctx,
) -> Result<()> {
    let mut missing: Option<(ObjectName, usize)> = None;
    let named = objects.iter().filter(|(name, seen)| is_metadata(name) && **seen == Seen::Named);
    let mut todo: Vec<_> = named.map(|(name, _)| *name).collect();
    while let Some(name) = todo.pop() {
        ctx.cancel.check()?;
        match store.read_meta(&name)? {
            Some(bytes) if name.kind == ObjectType::DirTree => {
                let news = name_children(objects, &name, &bytes)?;
                todo.extend(news.into_iter().filter(is_metadata));
            }
            Some(_) => {}
            None => {
                let (first, n) = missing.unwrap_or((name, 0));
                missing = Some((first.min(name), n + 1));
            }
        }
    }
    match missing {
        None => Ok(()),
        Some((name, n)) => Err(Error::Content(ContentErrorKind::Incomplete(name, n))),
    }
}
