//! Ref bindings: the refs that a commit says it is for.
//!
//! Source: libostree ostree-repo.c:6644-6736.

use ostree_format::variant::Dict;
use ostree_format::{CollectionId, RefName};

/// The metadata key with the refs, `as`.
pub const REF_BINDING: &str = "ostree.ref-binding";
/// The metadata key with the collection, `s`.
pub const COLLECTION_BINDING: &str = "ostree.collection-binding";

/// The reasons for which a commit does not belong to a ref.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// The collection is known, so the commit has to say its refs, and does not.
    #[error("Expected commit metadata to have ref binding information, found none")]
    NoRefs,
    /// The commit is for other refs.
    #[error("Commit has no requested ref ‘{asked}’ in ref binding metadata ({})", list(.bound))]
    OtherRefs {
        /// The ref that led to it.
        asked: RefName,
        /// The refs that the commit is bound to.
        bound: Vec<String>,
    },
    /// The collection is known, so the commit has to say it, and does not.
    #[error("Expected commit metadata to have collection ID binding information, found none")]
    NoCollection,
    /// The commit is for another collection.
    #[error(
        "Commit has collection ID ‘{bound}’ in collection binding metadata, while the remote it came from has collection ID ‘{expected}’"
    )]
    OtherCollection {
        /// The one it is for.
        bound: String,
        /// The one it came from.
        expected: CollectionId,
    },
}

/// Checks that a commit with this metadata belongs to a ref (not checked if it was asked for by its
/// checksum) of a collection (if one is known). A commit without bindings belongs to every ref, unless the
/// collection is known.
///
/// # Errors
/// If it does not.
pub fn check_bindings(
    metadata: &Dict,
    name: Option<&RefName>,
    collection: Option<&CollectionId>,
) -> Result<(), BindingError> {
    let Some(refs) = metadata.get_strv(REF_BINDING) else {
        return collection.map_or(Ok(()), |_| Err(BindingError::NoRefs));
    };
    if let Some(asked) = name.filter(|name| !refs.contains(&name.as_str())) {
        let bound = refs.into_iter().map(Into::into).collect();
        return Err(BindingError::OtherRefs { asked: asked.clone(), bound });
    }
    match (collection, metadata.get_str(COLLECTION_BINDING)) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(BindingError::NoCollection),
        (Some(expected), Some(bound)) if bound == expected.as_str() => Ok(()),
        (Some(expected), Some(bound)) => {
            Err(BindingError::OtherCollection { bound: bound.into(), expected: expected.clone() })
        }
    }
}

fn list(refs: &[String]) -> String {
    match refs {
        [] => "no refs".into(),
        refs => refs.iter().map(|name| format!("‘{name}’")).collect::<Vec<_>>().join(", "),
    }
}
