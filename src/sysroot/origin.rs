//! Origin files: where a deployment came from, and where its upgrades come from.
//!
//! ```text
//! [origin]
//! refspec=REMOTE:REF                      a ref, or
//! container-image-reference=ostree-…      an image (ostree-ext, bootc)
//! override-commit=COMMIT                  this one commit, and no upgrades
//! unlocked=hotfix
//!
//! [libostree-transient]                   not handed on to the next deployment
//! pinned=true
//! ```

use std::fmt;

use ostree_format::keyfile::KeyFile;
use ostree_format::{CommitId, ParseError};

const ORIGIN: &str = "origin";
const TRANSIENT: &str = "libostree-transient";

/// Where a deployment came from; keys that are not known here are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeploymentOrigin(KeyFile);

impl DeploymentOrigin {
    /// The origin of what was deployed from a ref.
    ///
    /// # Errors
    /// If the refspec cannot be written into a key file.
    pub fn from_refspec(refspec: &str) -> Result<Self, ParseError> {
        let mut keys = KeyFile::new();
        keys.set_string(ORIGIN, "refspec", refspec)?;
        Ok(Self(keys))
    }

    /// Reads an origin file.
    ///
    /// # Errors
    /// As [`KeyFile::parse`].
    pub fn parse(data: &[u8]) -> Result<Self, ParseError> {
        KeyFile::parse(data).map(Self)
    }

    /// All keys.
    pub fn keys(&self) -> &KeyFile {
        &self.0
    }

    /// All keys, to be changed.
    pub fn keys_mut(&mut self) -> &mut KeyFile {
        &mut self.0
    }

    /// The ref that upgrades come from, such as `remote:os/stable`.
    pub fn refspec(&self) -> Option<String> {
        self.0.get_string(ORIGIN, "refspec").ok().flatten()
    }

    /// Lets upgrades come from another ref.
    ///
    /// # Errors
    /// If the refspec cannot be written into a key file.
    pub fn set_refspec(&mut self, refspec: &str) -> Result<(), ParseError> {
        self.0.set_string(ORIGIN, "refspec", refspec)
    }

    /// The container image that upgrades come from, such as `ostree-unverified-registry:quay.io/os:latest`.
    pub fn image(&self) -> Option<String> {
        self.0.get_string(ORIGIN, "container-image-reference").ok().flatten()
    }

    /// Lets upgrades come from another container image, and from no ref.
    ///
    /// # Errors
    /// If the name cannot be written into a key file.
    pub fn set_image(&mut self, image: &str) -> Result<(), ParseError> {
        self.0.remove(ORIGIN, "refspec");
        self.0.set_string(ORIGIN, "container-image-reference", image)
    }

    /// The commit that stays, whatever the ref names.
    ///
    /// # Errors
    /// If the key is there and no commit's id.
    pub fn override_commit(&self) -> Result<Option<CommitId>, ParseError> {
        self.0.get_string(ORIGIN, "override-commit")?.map(|id| id.parse()).transpose()
    }

    /// Whether cleanup leaves the deployment alone.
    pub fn is_pinned(&self) -> bool {
        self.0.get_bool(TRANSIENT, "pinned").ok().flatten() == Some(true)
    }

    /// Lets cleanup leave the deployment alone, or not.
    ///
    /// # Errors
    /// Never: the key has a valid name.
    pub fn set_pinned(&mut self, pinned: bool) -> Result<(), ParseError> {
        if pinned {
            return self.0.set_raw(TRANSIENT, "pinned", "true");
        }
        self.0.remove(TRANSIENT, "pinned");
        Ok(())
    }

    /// Whether changes to `/usr` are kept from one boot to the next (`hotfix`).
    pub fn is_hotfix(&self) -> bool {
        self.0.get_raw(ORIGIN, "unlocked") == Some("hotfix")
    }

    /// Removes what says something about one deployment alone: pin, overridden commit, unlocked state.
    pub fn remove_transient(&mut self) {
        self.0.remove_group(TRANSIENT);
        self.0.remove(ORIGIN, "override-commit");
        self.0.remove(ORIGIN, "unlocked");
    }
}

impl fmt::Display for DeploymentOrigin {
    /// The text of the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
