//! Whether an initramfs will let a deployment be the root that asks for a signed composefs, told before there is a boot entry.
//!
//! ```text
//! commit of the deployment   ─ has detached metadata ─► its signatures, its digest of an image
//!    └ was made of an image  ─ parent: the commit in that ─► those of that one, which is the same tree
//! ```
//! The signatures themselves are verified by the initramfs, which has the key.

use ostree_format::{COMPOSEFS_DIGEST_KEY, Commit, CommitId};

use super::prepare_root::{OF_IMAGE, SIGNATURES};
use super::{Error, Result};
use crate::base::Ctx;
use crate::repo::Repo;
use crate::store::{load_commit, load_commitmeta};

/// Why an initramfs will not let a deployment be the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsealed {
    /// The image that the commit was made of has none.
    #[error(
        "the image holds no commit that somebody could have signed; commit its files with the digest of their \
         composefs, sign that commit, and build an image of it"
    )]
    NoCommit,
    /// The image that the commit was made of has more than the signed one.
    #[error(
        "the image has layers on top of its commit, and is not what was signed; pull it, commit the result with \
         the digest of its composefs, sign that commit, and build an image of it"
    )]
    Layers,
    /// The commit has no signature of the kind that an initramfs verifies.
    #[error("no ed25519 key has signed the commit; sign it, before an image is built of it")]
    NotSigned,
    /// The commit does not say what its composefs is.
    #[error(
        "the commit does not say what its composefs is; commit its files with the digest of that, and sign this commit"
    )]
    NoDigest,
}

/// The digest that the composefs of a commit has to have, in a deployment that asks for a signed one. A commit that was not
/// made of an image may still be signed, so that is no error, and the user is warned.
///
/// # Errors
/// [`Error::Unsealed`] for a commit that was made of an image; [`Error::Store`].
pub(super) fn expected_digest(repo: &Repo, id: &CommitId, ctx: &Ctx) -> Result<Option<Vec<u8>>> {
    let commit = load_commit(repo, id)?;
    match vouched_digest(repo, id, &commit)? {
        Ok(digest) => Ok(Some(digest)),
        Err(why) if is_of_image(&commit) => Err(Error::Unsealed { commit: *id, why }),
        Err(why) => {
            ctx.warn(&Error::Unsealed { commit: *id, why }.to_string());
            Ok(digest_in(&commit))
        }
    }
}

/// The digest that an initramfs will find, and signatures beside it.
fn vouched_digest(repo: &Repo, id: &CommitId, commit: &Commit) -> Result<Result<Vec<u8>, Unsealed>> {
    let own = load_commitmeta(repo, id)?;
    let base = match (&own, commit.parent) {
        (None, Some(base)) if is_of_image(commit) => Some(base),
        (None, None) if is_of_image(commit) => return Ok(Err(Unsealed::NoCommit)),
        _ => None,
    };
    let (signatures, digest) = match base {
        None => (own, digest_in(commit)),
        Some(id) => {
            let base = load_commit(repo, &id)?;
            if base.root != commit.root {
                return Ok(Err(Unsealed::Layers));
            }
            (load_commitmeta(repo, &id)?, digest_in(&base))
        }
    };
    let signatures = signatures.as_ref().and_then(|detached| detached.get_bytes_array(SIGNATURES));
    match signatures.is_some_and(|signatures| !signatures.is_empty()) {
        true => Ok(digest.ok_or(Unsealed::NoDigest)),
        false => Ok(Err(Unsealed::NotSigned)),
    }
}

fn is_of_image(commit: &Commit) -> bool {
    commit.metadata.get_str(OF_IMAGE).is_some()
}

/// What a commit says that its composefs is.
pub(super) fn digest_in(commit: &Commit) -> Option<Vec<u8>> {
    commit.metadata.get_bytes(COMPOSEFS_DIGEST_KEY).map(<[u8]>::to_vec)
}
