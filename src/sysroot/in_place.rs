//! Kernel arguments changed in the boot entries that are there. A new list of deployments is safer: until its switch
//! nothing changes; here each entry is replaced by itself, by one rename.

use super::files::{self, Durability};
use super::kargs::KernelArgs;
use super::load::STAGED;
use super::staged::merge_of;
use super::{Deployment, Deployments, Error, Result, Sysroot};
use ostree_format::variant::Value;

impl Sysroot {
    /// Gives a deployment other kernel arguments: in its boot entry, or in what was written down about it if it is
    /// staged.
    ///
    /// # Errors
    /// [`Error::NoSuchDeployment`] if it has no boot entry; [`Error::Io`].
    pub fn set_kernel_args_in_place(
        &self,
        current: &mut Deployments,
        deployment: &Deployment,
        kargs: &KernelArgs,
    ) -> Result<()> {
        let none = || Error::NoSuchDeployment(format!("no boot entry of {}", deployment.id.name()));
        if deployment.is_staged() {
            let run = self.surroundings.run.as_ref().ok_or_else(none)?;
            let state = current.staged.as_mut().ok_or_else(none)?;
            state.insert("kargs", Value::strv(kargs.words()));
            return files::replace(run, STAGED, &state.to_bytes(), Durability::Later);
        }
        let mut entry = deployment.entry.clone();
        entry.set("options", kargs.to_string());
        let name = entry.file_name().ok_or_else(none)?;
        let path = format!("loader.{}/entries/{name}", current.boot_version);
        files::replace(self.boot_dir()?, &path, entry.to_string().as_bytes(), Durability::Synced)
    }
}

impl Deployments {
    /// The kernel arguments that a deployment has. A staged one for which nobody has set any will have those of the
    /// deployment whose configuration it takes over.
    ///
    /// # Errors
    /// [`Error::NoMergeDeployment`] if that is gone.
    pub fn kernel_args_of(&self, deployment: &Deployment) -> Result<KernelArgs> {
        let state = self.staged.as_ref().filter(|_| deployment.is_staged());
        if let (None, Some(state)) = (deployment.entry.get("options"), state)
            && let Some(merge) = merge_of(state, self)?
        {
            return Ok(merge.entry.kernel_args());
        }
        Ok(deployment.entry.kernel_args())
    }
}
