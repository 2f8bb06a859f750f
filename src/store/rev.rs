//! From a revision to the commit that it names.

use ostree_format::{CommitId, RefSpec, Rev, RevBase};

use super::{Error, ObjectRead, Refs, Result, load_commit};

/// Finds the commit that `rev` names. An abbreviated checksum that fits exactly one commit is that
/// commit; one that fits none is tried as a ref.
///
/// # Errors
/// [`Error::RefNotFound`]; [`Error::RevNotFound`] if an abbreviation fits several commits, or `^` asks
/// for a parent that a commit does not have.
pub fn resolve_rev<S: ObjectRead + Refs + ?Sized>(store: &S, rev: &Rev) -> Result<CommitId> {
    let mut id = match &rev.base {
        RevBase::Commit(id) => *id,
        RevBase::Ref(refspec) => resolve_ref(store, refspec)?,
        RevBase::Prefix(digits) => match store.commits_with_prefix(digits)?.as_slice() {
            [only] => *only,
            // Digits are a valid ref name, so this parse cannot fail.
            [] => match digits.parse::<RefSpec>() {
                Ok(refspec) => resolve_ref(store, &refspec)?,
                Err(source) => return Err(Error::Invalid { what: rev.to_string(), source }),
            },
            several => {
                let why = format!("{} commits start with {digits}; give more digits", several.len());
                return Err(Error::RevNotFound { rev: rev.clone(), why });
            }
        },
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
