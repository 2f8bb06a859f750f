//! Names of commits.

use std::collections::BTreeMap;

use ostree_format::{Checksum, CommitId, RefName, RefSpec, RemoteName};

use super::{Error, Result};

/// A store in which names of commits can be looked up.
pub trait Refs: Sync {
    /// The commit that a ref names; `None` if the ref does not exist. A local ref that does not exist may
    /// stand for a remote's, as in libostree.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Invalid`] if what is stored there is no checksum.
    fn resolve(&self, refspec: &RefSpec) -> Result<Option<CommitId>>;

    /// The commit that a ref names, where a local ref never stands for a remote's.
    ///
    /// # Errors
    /// As [`Refs::resolve`].
    fn resolve_exact(&self, refspec: &RefSpec) -> Result<Option<CommitId>> {
        self.resolve(refspec)
    }

    /// Every ref, local and remote.
    ///
    /// # Errors
    /// As [`Refs::resolve`].
    fn list(&self) -> Result<BTreeMap<RefSpec, CommitId>>;

    /// The commits whose checksum starts with these hexadecimal digits.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn commits_with_prefix(&self, digits: &str) -> Result<Vec<CommitId>>;
}

/// Checks that a ref may be written: nobody could tell one that looks like a checksum from a commit.
///
/// # Errors
/// [`Error::Usage`].
pub fn check_new_ref(refspec: &RefSpec) -> Result<()> {
    match refspec.name.as_str().parse::<Checksum>() {
        Ok(_) => Err(Error::Usage(format!("Rev name '{}' looks like a checksum", refspec.name))),
        Err(_) => Ok(()),
    }
}

/// The local ref `name`.
pub fn local_ref(name: RefName) -> RefSpec {
    RefSpec { remote: None, name }
}

/// The ref `name` of `remote`.
pub fn remote_ref(remote: RemoteName, name: RefName) -> RefSpec {
    RefSpec { remote: Some(remote), name }
}
