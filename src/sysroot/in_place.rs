//! Kernel arguments changed in the boot entries that are there. A new list of deployments is safer: until its switch
//! nothing changes; here each entry is replaced by itself, by one rename.

use super::files::{self, Durability};
use super::kargs::KernelArgs;
use super::load::STAGED;
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
            let each = kargs.iter().map(|(key, value)| match value {
                Some(value) => format!("{key}={value}"),
                None => key.to_owned(),
            });
            state.insert("kargs", Value::strv(each));
            return files::replace(run, STAGED, &state.to_bytes(), Durability::Later);
        }
        let mut entry = deployment.entry.clone();
        entry.set("options", kargs.to_string());
        let name = entry.file_name().ok_or_else(none)?;
        let path = format!("loader.{}/entries/{name}", current.boot_version);
        files::replace(self.boot_dir()?, &path, entry.to_string().as_bytes(), Durability::Synced)
    }
}
