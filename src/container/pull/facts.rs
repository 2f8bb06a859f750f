//! What the commit in an image says about the plain layers on top of it: what they may hold, and how their
//! files are labeled.
//!
//! Both stand in files of the commit, which may lie in a chunk that was not read yet.

use std::sync::Arc;

use ostree_format::CommitId;

use super::prepare_root::{self, RootKind};
use crate::container::image::Result;
use crate::store::selinux::{Labeling, SelinuxPolicy, UsrEtc};
use crate::store::{self, Modifier, ObjectRead, load_commit};

/// What is to be known before plain layers are taken in.
#[derive(Debug, Clone)]
pub(in crate::container) struct BaseFacts {
    /// The directories of the commit that are seen when it is deployed.
    pub(in crate::container) root: RootKind,
    /// The SELinux policy, if there is one.
    pub(in crate::container) policy: Option<Arc<SelinuxPolicy>>,
}

impl BaseFacts {
    /// The facts for plain layers without a commit below: they are the whole root file system.
    pub(in crate::container) const NO_BASE: Self = Self { root: RootKind::Writable, policy: None };

    /// The facts of a commit; `None` if they depend on a content object that is not in the store.
    pub(in crate::container) fn of_commit(store: &dyn ObjectRead, commit: &CommitId) -> Result<Option<Self>> {
        let Some(root) = prepare_root::of_commit(store, commit)? else { return Ok(None) };
        match SelinuxPolicy::of_tree(store, load_commit(store, commit)?.root) {
            Ok(policy) => Ok(Some(Self { root, policy: policy.map(Arc::new) })),
            Err(store::Error::NotFound(name)) if name.kind == ostree_format::ObjectType::File => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What is changed in the files of plain layers.
    pub(in crate::container) fn modifier(&self) -> Modifier {
        labels(self.policy.as_ref(), UsrEtc::AsItIs)
    }
}

/// Gives files the labels of a policy, if there is one.
pub(in crate::container) fn labels(policy: Option<&Arc<SelinuxPolicy>>, usr_etc: UsrEtc) -> Modifier {
    let labeling = |policy: &Arc<SelinuxPolicy>| Labeling { policy: Arc::clone(policy), usr_etc };
    Modifier { selinux: policy.map(labeling), ..Modifier::default() }
}
