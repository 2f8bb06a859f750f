//! A commit becomes what a machine boots next: at once, or when it shuts down.
//!
//! ```text
//! at once      deployment ► list of deployments, boot entries ► what no deployment needs is deleted
//! at shutdown  deployment, staged; a service of systemd goes on with it
//! ```

use super::{Machine, Result};
use crate::base::Ctx;
use crate::sysroot::{Cleanup, DeployOptions, Deployments, Position, Retain, StagedLock, Sysroot};

/// When a deployment is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// At once.
    Now {
        /// Which deployments stay.
        retain: Retain,
        /// The place of the new one.
        position: Position,
        /// What is deleted afterwards.
        cleanup: Cleanup,
    },
    /// When the machine shuts down, so that changes of `/etc` up to then are not lost.
    AtShutdown {
        /// Whether it waits until somebody unlocks it.
        lock: StagedLock,
    },
}

impl Finish {
    /// At once, with everything as it is when nothing else is asked for.
    pub const AT_ONCE: Self = Self::Now {
        retain: Retain { all: false, pending: false, rollback: false },
        position: Position::First,
        cleanup: Cleanup::All,
    };
}

impl Machine {
    /// Deploys a commit, and deletes what no deployment needs any more; gives the new list.
    ///
    /// # Errors
    /// [`Error::Sysroot`](super::Error::Sysroot), as [`Sysroot::deploy`], [`Sysroot::stage`] and
    /// [`Sysroot::write_deployments`]; [`Error::Service`](super::Error::Service) if nobody would finish it.
    pub fn deploy(
        &self,
        sysroot: &Sysroot,
        current: Deployments,
        options: &DeployOptions<'_>,
        finish: Finish,
        ctx: &Ctx,
    ) -> Result<Deployments> {
        let (retain, position, cleanup) = match finish {
            Finish::Now { retain, position, cleanup } => (retain, position, cleanup),
            Finish::AtShutdown { lock } => {
                self.start_finalization()?;
                return Ok(sysroot.stage(&current, options, lock, ctx)?);
            }
        };
        let new = sysroot.deploy(options, ctx)?;
        let merge = options.merge.map(|merge| &merge.id);
        let written = sysroot.add_deployment(current, new, merge, (retain, position), ctx)?;
        sysroot.cleanup(&written, cleanup, ctx)?;
        Ok(written)
    }
}
