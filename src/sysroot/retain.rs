//! Which deployments stay when a new one comes.

use super::write::After;
use super::{Deployment, DeploymentId, Deployments, Result, Sysroot};
use crate::base::Ctx;

/// Which deployments stay when a new one of the same stateroot comes. In any case these do: the booted one, that
/// whose configuration the new one has, those that are pinned, and those of other stateroots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retain {
    /// All deployments, whatever the other fields say.
    pub all: bool,
    /// Deployments that would be booted before the booted one.
    pub pending: bool,
    /// Deployments behind the booted one.
    pub rollback: bool,
}

/// The place of a new deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Position {
    /// The machine boots the new one next.
    #[default]
    First,
    /// The new one comes behind the booted deployment, or else behind that whose configuration it has.
    NotDefault,
}

impl Sysroot {
    /// Adds a deployment to the list and writes it, without those that do not stay.
    ///
    /// # Errors
    /// As [`Sysroot::write_deployments`].
    pub fn add_deployment(
        &self,
        current: Deployments,
        new: Deployment,
        merge: Option<&DeploymentId>,
        (retain, position): (Retain, Position),
        ctx: &Ctx,
    ) -> Result<Deployments> {
        let list = with_new(&current, new, merge, retain, position);
        self.write_deployments(current, list, After::Nothing, ctx)
    }
}

fn with_new(
    current: &Deployments,
    new: Deployment,
    merge: Option<&DeploymentId>,
    mut retain: Retain,
    position: Position,
) -> Vec<Deployment> {
    let booted = current.booted().map(|booted| &booted.id);
    // Without a place between the two kinds both mean all.
    retain.all |= booted.is_none() && merge.is_none() && (retain.pending || retain.rollback);
    let stateroot = new.id.stateroot.clone();
    let mut new = Some(new);
    let mut list = Vec::new();
    if position == Position::First {
        list.extend(new.take());
    }
    let mut passed = false;
    for deployment in &current.list {
        let (is_booted, is_merge) = (Some(&deployment.id) == booted, Some(&deployment.id) == merge);
        passed |= if booted.is_some() { is_booted } else { is_merge };
        let stays = retain.all
            || deployment.is_pinned()
            || deployment.id.stateroot != stateroot
            || is_booted
            || is_merge
            || if passed { retain.rollback } else { retain.pending };
        if stays {
            list.push(deployment.clone());
        }
        if passed {
            list.extend(new.take());
        }
    }
    list.extend(new);
    list
}
