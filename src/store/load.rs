//! Metadata objects, loaded and parsed.

use ostree_format::variant::Dict;
use ostree_format::{Commit, CommitId, DirMeta, DirMetaId, DirTree, DirTreeId, ObjectName};

use super::{Error, ObjectRead, Result};

fn load<T>(
    store: &(impl ObjectRead + ?Sized),
    name: ObjectName,
    parse: impl FnOnce(&[u8]) -> ostree_format::Result<T>,
) -> Result<T> {
    let bytes = store.read_meta(&name)?.ok_or(Error::NotFound(name))?;
    parse(&bytes).map_err(Error::corrupt(name))
}

/// Loads a commit.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Corrupt`], and what the store gives.
pub fn load_commit(store: &(impl ObjectRead + ?Sized), id: &CommitId) -> Result<Commit> {
    load(store, (*id).into(), Commit::parse)
}

/// Loads a dirtree.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Corrupt`], and what the store gives.
pub fn load_dirtree(store: &(impl ObjectRead + ?Sized), id: &DirTreeId) -> Result<DirTree> {
    load(store, (*id).into(), DirTree::parse)
}

/// Loads a dirmeta.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Corrupt`], and what the store gives.
pub fn load_dirmeta(store: &(impl ObjectRead + ?Sized), id: &DirMetaId) -> Result<DirMeta> {
    load(store, (*id).into(), DirMeta::parse)
}

/// Loads the detached metadata of a commit; `None` if it has none. An empty file means the same:
/// libostree writes one to take detached metadata away.
///
/// # Errors
/// [`Error::Corrupt`], and what the store gives.
pub fn load_commitmeta(store: &(impl ObjectRead + ?Sized), id: &CommitId) -> Result<Option<Dict>> {
    let name = ObjectName::commitmeta(id);
    match store.read_meta(&name)? {
        None => Ok(None),
        Some(bytes) if bytes.is_empty() => Ok(None),
        Some(bytes) => Dict::parse(&bytes).map(Some).map_err(Error::corrupt(name)),
    }
}
