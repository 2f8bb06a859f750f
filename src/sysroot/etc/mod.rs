//! `/etc` of the old deployment merged into that of the new one.
//!
//! ```text
//!                  usr/etc              etc
//! old deployment   default  ─changes()─ current     what the administrator changed, added and removed
//! new deployment   (copied to etc)  ◄──merge()──    the same done to the new default
//! ```
//! Where both the administrator and the new default changed a file, the administrator's is the one that stays. That
//! is all the merging there is: files are whole. What counts as a change is type, content, owner, group and mode;
//! xattrs do not count, because labels of SELinux differ between the two directories, and come along with files that
//! changed otherwise. Only one kind of conflict is an error: the new default has a directory where the administrator
//! has a file.

mod compare;
mod copy;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;

use self::copy::{Copier, open_below};
use super::files::into_dir;
use super::{DeploymentId, Error, Result, Sysroot};
use crate::base::Ctx;
use crate::store::XattrPolicy;

pub use self::compare::changes;

/// What an administrator did to the default configuration. Paths are sorted, and begin below `etc`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EtcChanges {
    /// Files and directories that both have, and that differ in type, content, owner, group or mode.
    pub modified: Vec<PathBuf>,
    /// What is gone; of a directory only itself.
    pub removed: Vec<PathBuf>,
    /// What is new; of a directory also everything below it.
    pub added: Vec<PathBuf>,
}

/// What a merge did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// The changes that were done again.
    pub changes: EtcChanges,
    /// Devices, pipes and sockets: they are left out.
    pub ignored: Vec<PathBuf>,
}

/// Does to `new` what was done to `default` and made `current` of it: `new` is `etc` of a new deployment, a copy of its
/// default; the other two are `usr/etc` and `etc` of the old one.
///
/// # Errors
/// [`Error::EtcConflict`] where the new default has a directory and the administrator a file; [`Error::Io`],
/// [`Error::Cancelled`].
pub fn merge(default: &Dir, current: &Dir, new: &Dir, xattrs: XattrPolicy, ctx: &Ctx) -> Result<Merged> {
    let changes = changes(default, current, ctx)?;
    for path in &changes.removed {
        remove(new, path)?;
    }
    let mut copier = Copier::new(default, current, new, xattrs, ctx);
    for path in changes.modified.iter().chain(&changes.added) {
        copier.copy(path)?;
    }
    let ignored = copier.into_ignored();
    Ok(Merged { changes, ignored })
}

impl Sysroot {
    /// The default configuration of a deployment and the current one: `usr/etc` and `etc`.
    ///
    /// # Errors
    /// [`Error::Io`] if one of them is not there, or is a symbolic link that leads out of the deployment.
    pub fn etc_of(&self, id: &DeploymentId) -> Result<(Dir, Dir)> {
        let deployment = into_dir(self.deployment_dir(id)?);
        Ok((open_below(&deployment, "usr/etc")?, open_below(&deployment, "etc")?))
    }

    /// The current configuration of a deployment, as [`Sysroot::etc_of`] gives it.
    pub(super) fn current_etc(&self, id: &DeploymentId) -> Result<Dir> {
        open_below(&into_dir(self.deployment_dir(id)?), "etc")
    }
}

/// Removes a file, or a directory with all that is in it, from `dir`. What is not there, or not there any more because
/// the directory that had it is something else now (such as a link that leads elsewhere), is removed already.
fn remove(dir: &Dir, path: &Path) -> Result<()> {
    let failed = |e| Error::at(dir, "remove", path, e);
    let found = match dir.symlink_metadata(path) {
        Ok(found) => found,
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied => return Ok(()),
            _ => return Err(failed(error)),
        },
    };
    let removed = if found.is_dir() { dir.remove_dir_all(path) } else { dir.remove_file(path) };
    removed.map_err(failed)
}
