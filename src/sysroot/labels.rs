//! SELinux labels of what is written beside the files of a commit, as the deployment's own policy says.

use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::{Error, Result, files};
use crate::store::selinux::{LABEL_XATTR, Labeling, SelinuxPolicy, UsrEtc};
use crate::tree::Relabel;

/// The labels of a root file system; none where it has no policy.
#[derive(Debug, Clone)]
pub(super) struct Labels(Option<Labeling>);

impl Labels {
    /// The labels that the policy in this root gives.
    pub(super) fn of(root: impl AsFd) -> Result<Self> {
        let root = root.as_fd();
        let mut failed = None;
        let policy = SelinuxPolicy::load(&mut |path| {
            Ok(files::read(root, path).unwrap_or_else(|error| {
                failed = Some(error);
                None
            }))
        });
        match failed {
            Some(error) => Err(error),
            None => {
                Ok(Self(policy?.map(|policy| Labeling { policy: Arc::new(policy), usr_etc: UsrEtc::AsItIs })))
            }
        }
    }

    /// The labels for a checkout that will be at `prefix`, a path from the root.
    pub(super) fn below(&self, prefix: &str) -> Option<Relabel> {
        self.0.clone().map(|labeling| Relabel { labeling, prefix: format!("/{prefix}") })
    }

    /// The name of the policy, if there is one.
    pub(super) fn policy_name(&self) -> Option<&str> {
        self.0.as_ref().map(|labeling| labeling.policy.name())
    }

    /// The label of the file at `path`, which begins with a slash, as the value of an xattr.
    pub(super) fn xattr(&self, path: &str, mode: u32) -> Option<Vec<u8>> {
        self.0.as_ref()?.xattr(path, mode)
    }

    /// Whether there is a policy.
    pub(super) fn exist(&self) -> bool {
        self.0.is_some()
    }

    /// Labels an open file or directory as the one at `path` from the root, if a policy says how. Where labels cannot
    /// be kept nothing asks for them.
    pub(super) fn set(&self, file: impl AsFd, path: &str, mode: u32) -> Result<()> {
        let Some(label) = self.0.as_ref().and_then(|labeling| labeling.xattr(&format!("/{path}"), mode))
        else {
            return Ok(());
        };
        match rustix::fs::fsetxattr(file, LABEL_XATTR, &label, XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => Ok(()),
            Err(error) => Err(Error::io("set the SELinux label of", path, error)),
        }
    }
}
