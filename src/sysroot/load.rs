//! Reading a sysroot: boot entries are the truth, and everything follows from them.
//!
//! ```text
//! boot/loader ─► loader.V/entries/ostree-*.conf ─ options: ostree=/ostree/boot.V/STATEROOT/BOOTCHECKSUM/N
//!                                                                    │
//! ostree/boot.V ─► boot.V.S/STATEROOT/BOOTCHECKSUM/N ─► ../../../deploy/STATEROOT/deploy/COMMIT.SERIAL
//! ```
//! What is staged is told of in `/run/ostree/staged-deployment` instead.

use ostree_format::Checksum;
use ostree_format::variant::{Dict, Value};

use super::boot_entry::{BootEntry, read_entries};
use super::files::{self, into_dir};
use super::origin::DeploymentOrigin;
use super::prepare_root::Booted;
use super::{
    BootLink, BootVersion, Deployment, DeploymentId, Deployments, Error, Result, Stage, Sysroot, Unlocked,
};
use crate::base::Inode;

/// Beside `/run`: a staged deployment.
pub(super) const STAGED: &str = "ostree/staged-deployment";
/// Beside `/run`: the staged deployment stays as it is. Older than the key `locked`, which says the same.
pub(super) const STAGED_LOCKED: &str = "ostree/staged-deployment-locked";
/// Beside `/run`: the next soft reboot.
pub(super) const NEXT_ROOT: &str = "ostree/nextroot-booted";

impl Sysroot {
    /// Reads which deployments there are.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is not as it should be: a boot entry without a deployment, a link with a wrong
    /// target; [`Error::BootedIsLost`]; [`Error::Io`].
    pub fn load(&self) -> Result<Deployments> {
        let load = || {
            let boot_version = self.boot_version()?;
            let subboot_version = self.subboot_version(boot_version)?;
            let entries = self.boot_entries(boot_version)?;
            let list = entries.into_iter().map(|entry| self.deployment_of(entry)).collect::<Result<_>>()?;
            let mut all = Deployments { list, boot_version, subboot_version, booted: None, staged: None };
            all.booted = self.booted_in(&all.list)?;
            self.add_staged(&mut all)?;
            self.mark_soft_reboot_target(&mut all)?;
            Ok(all)
        };
        load().map_err(Error::within("loading sysroot"))
    }

    /// The boot entries of a version, in the order in which they are offered.
    ///
    /// # Errors
    /// [`Error::Store`] if one cannot be read; [`Error::Io`].
    pub fn boot_entries(&self, version: BootVersion) -> Result<Vec<BootEntry>> {
        let Some(boot) = self.boot_dir_if_there()? else { return Ok(Vec::new()) };
        let entries = files::open_dir_if_there(&boot, &format!("loader.{version}/entries"))?;
        Ok(entries.map(|dir| read_entries(&into_dir(dir))).transpose()?.unwrap_or_default())
    }

    /// The version of the boot entries that is in use.
    fn boot_version(&self) -> Result<BootVersion> {
        if files::lstat(&self.dir, "boot/loader")?.is_none() {
            return Ok(BootVersion::Zero);
        }
        match &*files::read_link(&self.dir, "boot/loader")? {
            "loader.0" => Ok(BootVersion::Zero),
            "loader.1" => Ok(BootVersion::One),
            other => Err(wrong_link("boot/loader", other)),
        }
    }

    /// The version of the links of a boot version that is in use.
    pub(super) fn subboot_version(&self, version: BootVersion) -> Result<BootVersion> {
        let path = format!("ostree/boot.{version}");
        if files::lstat(&self.dir, &path)?.is_none() {
            return Ok(BootVersion::Zero);
        }
        let target = files::read_link(&self.dir, &path)?;
        match target.rsplit_once('.') {
            Some((_, "0")) => Ok(BootVersion::Zero),
            Some((_, "1")) => Ok(BootVersion::One),
            _ => Err(wrong_link(&path, &target)),
        }
    }

    /// The deployment that a boot entry leads to.
    fn deployment_of(&self, entry: BootEntry) -> Result<Deployment> {
        let link = bootlink_of(&entry)?;
        let read = || {
            let target = files::read_link(&self.dir, &link.path())?;
            // What boots goes where the link leads, whatever is told by its end.
            files::open_dir(&self.dir, &link.path())?;
            let name = target.rsplit('/').next().unwrap_or(&target);
            let id = DeploymentId::from_name(link.stateroot.clone(), name);
            let mut deployment =
                self.deployment(id.map_err(Error::invalid(link.path()))?, link.boot_checksum, entry)?;
            deployment.boot_serial = link.serial;
            deployment.overlay_initrds = overlays(&deployment.entry)?;
            Ok(deployment)
        };
        read().map_err(Error::within(format!("Parsing deployment {link} in stateroot '{}'", link.stateroot)))
    }

    /// A deployment whose directory is there, with what its origin and `/run` say of it.
    pub(super) fn deployment(
        &self,
        id: DeploymentId,
        boot_checksum: Checksum,
        entry: BootEntry,
    ) -> Result<Deployment> {
        let path = id.path();
        let dir = files::open_dir(&self.dir, &path)?;
        let stat = rustix::fs::fstat(dir).map_err(|e| Error::io("stat", &path, e))?;
        let origin_path = id.origin_path();
        let origin =
            files::read(&self.dir, &origin_path)?.map(|bytes| DeploymentOrigin::parse(&bytes)).transpose();
        let origin = origin.map_err(Error::invalid(format!("Parsing {origin_path}")))?;
        let unlocked = self.unlocked(&id, origin.as_ref())?;
        Ok(Deployment {
            id,
            boot_checksum,
            boot_serial: 0,
            origin,
            entry,
            overlay_initrds: Vec::new(),
            unlocked,
            stage: Stage::Finished,
            is_soft_reboot_target: false,
            inode: Inode::from(&stat),
            is_new: false,
        })
    }

    fn unlocked(&self, id: &DeploymentId, origin: Option<&DeploymentOrigin>) -> Result<Unlocked> {
        if let Some(run) = &self.surroundings.run {
            let flag = |name: &str| files::lstat(run, &format!("{}/{name}", run_state(id)));
            if flag("unlocked-development")?.is_some() {
                return Ok(Unlocked::Development);
            }
            if flag("unlocked-transient")?.is_some() {
                return Ok(Unlocked::Transient);
            }
        }
        Ok(if origin.is_some_and(DeploymentOrigin::is_hotfix) { Unlocked::Hotfix } else { Unlocked::No })
    }

    /// The place of the booted deployment among those with a boot entry.
    fn booted_in(&self, list: &[Deployment]) -> Result<Option<usize>> {
        let Some(booted) = self.surroundings.booted else { return Ok(None) };
        let found = list.iter().position(|deployment| deployment.inode == booted);
        if found.is_none() {
            return Err(Error::BootedIsLost(match files::lstat(&self.dir, "boot/loader")? {
                None => ", but no /boot/loader directory",
                Some(_) => " and in / sysroot, but bootloader entry not found",
            }));
        }
        Ok(found)
    }

    /// Puts the staged deployment first, if there is one.
    fn add_staged(&self, all: &mut Deployments) -> Result<()> {
        let (Some(run), Some(booted)) = (&self.surroundings.run, all.booted) else { return Ok(()) };
        let Some(bytes) = files::read(run, STAGED)? else { return Ok(()) };
        let wrong = || format!("Loading staged deployment: {STAGED}");
        let data = match Dict::parse(&bytes) {
            Ok(data) => data,
            // An upgrade, which stages another one, mends it.
            Err(error) => {
                tracing::warn!(%error, "the file {STAGED} of a staged deployment is damaged: there is none");
                return Ok(());
            }
        };
        let Some(target) = data.get_dict("target").map_err(Error::invalid(wrong()))? else { return Ok(()) };
        let (id, boot_checksum) = staged_id(&target).map_err(Error::invalid(wrong()))?;
        let mut entry = BootEntry::default();
        if let Some(kargs) = data.get_strv("kargs") {
            entry.set("options", kargs.join(" "));
        }
        for (key, value) in extra_keys(&data) {
            entry.set(key, value);
        }
        let mut staged = self.deployment(id, boot_checksum, entry)?;
        let initrds = data.get_strv("overlay-initrds").unwrap_or_default();
        let initrds = initrds.into_iter().map(str::parse).collect::<Result<_, _>>();
        staged.overlay_initrds = initrds.map_err(Error::invalid(wrong()))?;
        staged.stage = if data.get_bool("locked") == Some(true) { Stage::Locked } else { Stage::Staged };
        all.list.insert(0, staged);
        all.booted = Some(booted + 1);
        all.staged = Some(data);
        Ok(())
    }

    fn mark_soft_reboot_target(&self, all: &mut Deployments) -> Result<()> {
        let Some(run) = &self.surroundings.run else { return Ok(()) };
        let Some(bytes) = files::read(run, NEXT_ROOT)? else { return Ok(()) };
        let next = Booted::parse(&bytes).map_err(Error::invalid(format!("failed to read {NEXT_ROOT}")))?;
        for deployment in &mut all.list {
            deployment.is_soft_reboot_target = Some(deployment.inode) == next.backing;
        }
        Ok(())
    }
}

/// Where, beside `/run`, flags of a deployment lie that last until the machine restarts.
pub(super) fn run_state(id: &DeploymentId) -> String {
    format!("ostree/deployment-state/{}", id.name())
}

/// A deployment as the state of a staged one names it.
pub(super) fn staged_id(dict: &Dict) -> Result<(DeploymentId, Checksum), ostree_format::ParseError> {
    let text = |key: &str| {
        let missing =
            || ostree_format::ParseError::invalid("staged deployment", 0, format!("no key '{key}'"));
        dict.get_str(key).ok_or_else(missing)
    };
    let id = DeploymentId::from_name(text("osname")?.parse()?, text("name")?)?;
    Ok((id, text("bootcsum")?.parse()?))
}

/// The keys of a boot entry that a staged deployment has from whoever staged it.
fn extra_keys(data: &Dict) -> impl Iterator<Item = (&str, &str)> {
    let items = match data.get("bootconfig-extra") {
        Some(Value::Array(array)) => array.items(),
        _ => &[],
    };
    items.iter().filter_map(|item| match item {
        Value::Entry(entry) => match (entry.key(), entry.value()) {
            (Value::Str(key), Value::Str(value)) => Some((key.as_str(), value.as_str())),
            _ => None,
        },
        _ => None,
    })
}

/// What the kernel is told of its deployment.
fn bootlink_of(entry: &BootEntry) -> Result<BootLink> {
    let options = entry.get("options").unwrap_or_default();
    let argument = options.split(' ').find_map(|option| option.strip_prefix("ostree="));
    let argument =
        argument.ok_or_else(|| Error::Usage("No ostree= kernel argument found in a boot entry".into()))?;
    argument.parse().map_err(Error::invalid("boot entry"))
}

/// The checksums in the names of the initial RAM disks that a boot entry adds to that of the kernel.
fn overlays(entry: &BootEntry) -> Result<Vec<Checksum>> {
    let checksum = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let checksum = name.strip_suffix(".img").and_then(|checksum| checksum.parse().ok());
        checksum.ok_or_else(|| Error::Usage(format!("Malformed overlay initrd filename: {name}")))
    };
    entry.overlay_initrds().iter().map(|path| checksum(path)).collect()
}

fn wrong_link(path: &str, target: &str) -> Error {
    Error::Usage(format!("Invalid target '{target}' in {path}"))
}
