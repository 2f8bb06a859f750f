//! Options for pulling an image, and the decision about who has to vouch for it.

use ostree_format::RefSpec;

use crate::base::debug_fields;
use crate::container::image::{Error, Image, LayerPlan, Result};
use crate::container::trust::{Admitted, PolicyVerdict};
use crate::store::Voucher;
use crate::tar::Var;

/// The decision about who has to vouch for the commit in an image.
#[derive(Clone, Copy, Default)]
pub enum Vouching<'a> {
    /// No decision yet: unless a policy said that the image is signed, the pull stops before it begins.
    #[default]
    Undecided,
    /// A voucher has to accept the commit. It vouches for nothing else, so an image with plain layers is refused.
    By(&'a dyn Voucher),
    /// Nobody has to vouch: any commit is taken.
    Nobody,
}

debug_fields!(
    enum Vouching<'a> {
        Undecided,
        By,
        Nobody,
    }
);

/// Options for pulling an image.
#[derive(Debug, Clone, Default)]
pub struct PullOptions<'a> {
    /// The decision about who has to vouch for the commit. Nobody has to where a policy said that the image is
    /// signed.
    pub vouching: Vouching<'a>,
    /// The ref that shall name the commit.
    pub name: Option<RefSpec>,
    /// The treatment of `var` in plain layers. For a deployment it stays: a new system's `var` is made of it.
    pub var: Var,
}

impl<'a> Vouching<'a> {
    /// The voucher that decides about the commit of `image`, if one has to.
    pub(in crate::container) fn decided(self, image: &Admitted<'_>) -> Result<Option<&'a dyn Voucher>> {
        match (self, image.verdict()) {
            (Self::By(voucher), _) => Ok(Some(voucher)),
            (Self::Nobody, _) | (Self::Undecided, PolicyVerdict::Signed) => Ok(None),
            (Self::Undecided, PolicyVerdict::Nothing) => Err(Error::NoSignaturePolicy),
        }
    }
}

/// A signed commit vouches for no other layers.
pub(in crate::container) fn only_of_commit(image: &Image, plan: &LayerPlan) -> Result<()> {
    match plan.commit_layer().is_some() && plan.plain_layers() == 0 {
        true => Ok(()),
        false => Err(Error::UnsignedLayers { image: image.digest, layers: plan.plain_layers() }),
    }
}
