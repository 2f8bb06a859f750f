//! `--generate-sizes`: how large each object of a commit is, so that who pulls it knows what is to come.

use std::collections::HashSet;

use crate::base::Ctx;
use crate::format::{DirTreeRef, ObjectName, ObjectSize, RootDir};
use crate::repo::Transaction;
use crate::store::{Error, ObjectRead};

/// The sizes of the dirtrees, dirmetas and content objects below `root`. Only an archive repository knows
/// what they take when they are compressed.
pub(crate) fn of_tree(txn: &Transaction<'_>, root: RootDir, ctx: &Ctx) -> anyhow::Result<Vec<ObjectSize>> {
    let mut seen: HashSet<ObjectName> = HashSet::new();
    let mut sizes = Vec::new();
    let mut add = |name: ObjectName| -> anyhow::Result<bool> {
        if !seen.insert(name) {
            return Ok(false);
        }
        let archived_bytes = txn.object_bytes(&name)?;
        sizes.push(ObjectSize {
            object: name,
            archived_bytes,
            unpacked_bytes: unpacked(txn, &name, archived_bytes)?,
        });
        Ok(true)
    };
    add(root.meta.into())?;
    let mut todo = vec![root.tree];
    while let Some(id) = todo.pop() {
        ctx.cancel.check()?;
        if !add(id.into())? {
            continue;
        }
        let bytes = txn.read_meta(&id.into())?.ok_or(Error::NotFound(id.into()))?;
        let tree = DirTreeRef::parse(&bytes).map_err(Error::corrupt(id))?;
        for (_, file) in tree.files() {
            add(file.into())?;
        }
        for (_, dir) in tree.dirs() {
            add(dir.meta.into())?;
            todo.push(dir.tree);
        }
    }
    Ok(sizes)
}

fn unpacked(txn: &Transaction<'_>, name: &ObjectName, stored_bytes: u64) -> anyhow::Result<u64> {
    if name.kind.is_meta() {
        return Ok(stored_bytes);
    }
    let file = txn.open_file(&crate::format::FileId::new(name.checksum))?.ok_or(Error::NotFound(*name))?;
    // A link's content is its target.
    Ok(file.header.symlink_target().map_or(file.len, |target| target.len() as u64))
}
