//! Kernel arguments changed in the boot entries that are there. A new list of deployments is safer: until its switch
//! nothing changes; here each entry is replaced by itself, by one rename.

use ostree_format::variant::Value;

use super::bootloader::BootLoader;
use super::files::{self, Durability};
use super::kargs::KernelArgs;
use super::load::STAGED;
use super::staged::merge_of;
use super::{Deployment, Deployments, Error, Result, Sysroot};
use crate::base::Ctx;

impl Sysroot {
    /// Changes the kernel arguments of all deployments: in their boot entries, or in what was written down about one that
    /// is staged. The boot loader's own configuration is then written anew, so that the next boot has them; libostree
    /// leaves that as it is.
    ///
    /// # Errors
    /// [`Error::NoSuchDeployment`] if one has no boot entry; [`Error::Io`]; those of [`BootLoader::write_config`].
    pub fn change_kernel_args_in_place(
        &self,
        current: &mut Deployments,
        change: &dyn Fn(&mut KernelArgs),
        ctx: &Ctx,
    ) -> Result<()> {
        for deployment in current.list.clone() {
            let mut kargs = current.kernel_args_of(&deployment)?;
            change(&mut kargs);
            self.set_kernel_args(current, &deployment, &kargs)?;
        }
        let Some(loader) = BootLoader::of(self)? else { return Ok(()) };
        loader.write_config(self, current.boot_version, ctx)?;
        loader.after_swap(self, current.boot_version, ctx)
    }

    fn set_kernel_args(
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
