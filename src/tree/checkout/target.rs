//! Finds the file or directory that is to be checked out.

use ostree_format::{DirEntry, FileId, FileName, RootDir};

use super::{CheckoutOptions, MissingSubpath};
use crate::store::{Error, ObjectRead, Result, load_dirtree};

/// What is to be checked out.
pub(super) enum CheckoutTarget {
    Dir(DirEntry),
    File(FileName, FileId),
}

/// Finds what the options ask for; `None` if it is not there and that is no error.
pub(super) fn find<S: ObjectRead + ?Sized>(
    store: &S,
    root: RootDir,
    options: &CheckoutOptions,
) -> Result<Option<CheckoutTarget>> {
    let mut here = CheckoutTarget::Dir(DirEntry { tree: root.tree, meta: root.meta });
    let path = options.subpath.as_deref().unwrap_or_default();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        let next = match &here {
            CheckoutTarget::File(..) => None,
            CheckoutTarget::Dir(entry) => {
                let mut tree = load_dirtree(store, &entry.tree)?;
                let file = tree.files.remove_entry(part).map(|(name, id)| CheckoutTarget::File(name, id));
                file.or_else(|| tree.dirs.get(part).copied().map(CheckoutTarget::Dir))
            }
        };
        here = match (next, options.missing_subpath) {
            (Some(next), _) => next,
            (None, MissingSubpath::Ignore) => return Ok(None),
            (None, MissingSubpath::Refuse) => {
                let path = path.trim_start_matches('/');
                return Err(Error::Usage(format!("No such file or directory: /{path}")));
            }
        };
    }
    Ok(Some(here))
}
