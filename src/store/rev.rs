//! Finds the commit that a revision names.

use ostree_format::{CommitId, RefSpec, Rev, RevBase};

use super::{Error, ObjectRead, Refs, Result, load_commit};

/// Finds the commit that `rev` names. What could be a ref and an abbreviated checksum is the ref, if there is one:
/// a name that somebody gave does not change its meaning when a commit with such a checksum comes. (libostree takes
/// the commit.)
///
/// # Errors
/// [`Error::RefNotFound`]; [`Error::RevNotFound`] if an abbreviation fits several commits, or `^` asks
/// for a parent that a commit does not have.
pub fn resolve_rev<S: ObjectRead + Refs + ?Sized>(store: &S, rev: &Rev) -> Result<CommitId> {
    let mut id = match &rev.base {
        RevBase::Commit(id) => *id,
        RevBase::Ref(refspec) => resolve_ref(store, refspec)?,
        RevBase::Prefix(digits) => resolve_prefix(store, rev, digits)?,
    };
    for _ in 0..rev.ancestors {
        let Some(parent) = load_commit(store, &id)?.parent else {
            let why = format!("Commit {id} has no parent");
            return Err(Error::RevNotFound { rev: rev.clone(), why });
        };
        id = parent;
    }
    Ok(id)
}

fn resolve_ref<S: Refs + ?Sized>(store: &S, refspec: &RefSpec) -> Result<CommitId> {
    store.resolve(refspec)?.ok_or_else(|| Error::RefNotFound(refspec.clone()))
}

fn resolve_prefix<S: Refs + ?Sized>(store: &S, rev: &Rev, digits: &str) -> Result<CommitId> {
    // Digits are a valid name of a ref, so this cannot fail.
    let refspec: RefSpec =
        digits.parse().map_err(|source| Error::Invalid { what: rev.to_string(), source })?;
    if let Some(id) = store.resolve(&refspec)? {
        return Ok(id);
    }
    match store.commits_with_prefix(digits)?.as_slice() {
        [only] => Ok(*only),
        [] => Err(Error::RefNotFound(refspec)),
        several => {
            let why = format!("{} commits start with {digits}; give more digits", several.len());
            Err(Error::RevNotFound { rev: rev.clone(), why })
        }
    }
}
