//! The steps of [`prepare_root`](crate::sysroot::prepare_root) on the machine that is booting: its own root, `/run`,
//! command line and journal.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::{Error, Machine, Result};
use crate::sysroot::prepare_root::{
    self, Booted, Place, Prepared, Target, UnitContent, UnitFacts, prepare, units,
};

/// The kernel's command line.
pub(super) const CMDLINE: &str = "/proc/cmdline";
/// What the initramfs tells of the root.
const BOOTED: &str = "/run/ostree-booted";
/// The initramfs of an ostree system makes this.
const RUN: &str = "/run/ostree";
/// The mark of an initramfs that has mounted `/var` itself.
const MOUNT_VAR: &str = "/run/ostree/initramfs-mount-var";
/// By this id the journal's readers find which deployments were booted; libostree gave it out.
const BOOTED_MESSAGE: &str = "7170336a73ba4601bad31af888aa0df7";

impl Machine {
    /// In an initramfs, makes the deployment that `cmdline`, or else the kernel's command line, names the root file
    /// system; `physical` is where the physical root is mounted.
    ///
    /// # Errors
    /// [`Error::Booting`] says what stands in the way.
    pub fn prepare_root(&self, physical: impl AsRef<Path>, cmdline: Option<&str>) -> Result<Prepared> {
        let physical = physical.as_ref();
        let path = fs::canonicalize(physical).map_err(Error::io("Resolving", physical))?;
        let cmdline = cmdline.map_or_else(|| read(CMDLINE), |text| Ok(text.to_owned()))?;
        let prepared = prepare(&place("/")?, &place(path)?, &cmdline)?;
        // A system without a journal boots, too.
        let _ = tell_journal(&prepared);
        Ok(prepared)
    }

    /// In the running system, remounts what the initramfs had planned; returns the names below `/` that changed.
    ///
    /// # Errors
    /// [`Error::Booting`], [`Error::Io`].
    pub fn remount(&self) -> Result<Vec<&'static str>> {
        let booted = match fs::read(BOOTED) {
            Ok(data) => Booted::parse(&data).map_err(prepare_root::Error::from)?,
            // What has made the root is older than the file, which everybody else looks for.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::write(BOOTED, []).map_err(Error::io("Writing", BOOTED))?;
                Booted::default()
            }
            Err(error) => return Err(Error::io("Reading", BOOTED)(error)),
        };
        Ok(prepare_root::remount(Path::new("/"), &booted)?)
    }

    /// Mounts an overlay on `at`, a directory of the running system, that keeps what is written there in `/var`, by the
    /// name `name`.
    ///
    /// # Errors
    /// [`Error::Sysroot`], [`Error::Io`].
    pub fn mount_state_overlay(
        &self,
        sysroot: impl AsRef<Path>,
        name: &str,
        at: impl AsRef<Path>,
    ) -> Result<()> {
        let at = at.as_ref();
        let path = fs::canonicalize(at).map_err(Error::io("Resolving", at))?;
        let sysroot = self.open_sysroot(sysroot)?;
        Ok(sysroot.mount_state_overlay(&sysroot.load()?, name, &place(path)?, &place("/var")?)?)
    }

    /// Writes the units that systemd needs for the deployment that is booted into `dir`, its directory for generators;
    /// none where no initramfs has prepared one.
    ///
    /// # Errors
    /// [`Error::Booting`], [`Error::Io`].
    pub fn generate_units(&self, dir: impl AsRef<Path>) -> Result<()> {
        match fs::remove_file(MOUNT_VAR) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("Removing", MOUNT_VAR)(error)),
        }
        let target = Target::of(&read(CMDLINE)?).map_err(prepare_root::Error::from)?;
        let Some(target) = target.filter(|_| Path::new(RUN).exists()) else { return Ok(()) };
        let facts = UnitFacts {
            fstab: fs::read_to_string("/etc/fstab").unwrap_or_default(),
            is_boot_inside: Path::new("/sysroot/boot/loader").is_symlink() && is_dir("/boot"),
            stateroot: if target.is_android { android_stateroot(&target.link) } else { None },
        };
        let units = units(&target, &facts).map_err(prepare_root::Error::from)?;
        units.iter().try_for_each(|unit| write_unit(&dir.as_ref().join(&unit.path), &unit.content))
    }
}

fn write_unit(path: &Path, content: &UnitContent) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(Error::io("Creating", parent))?;
    }
    let written = match content {
        UnitContent::File(text) => fs::write(path, text),
        UnitContent::Link(target) => symlink(target, path),
    };
    written.map_err(Error::io("Writing", path))
}

/// Android's slots are links `deploy/STATEROOT/deploy/…`.
fn android_stateroot(link: &str) -> Option<String> {
    let target = fs::read_link(link).ok()?;
    let mut parts = target.to_str()?.split('/');
    (parts.next() == Some("deploy")).then(|| parts.next().map(ToOwned::to_owned)).flatten()
}

fn is_dir(path: &str) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

pub(super) fn place(path: impl Into<PathBuf>) -> Result<Place> {
    let path = path.into();
    let dir = Dir::open_ambient_dir(&path, ambient_authority()).map_err(Error::io("Opening", &path))?;
    Ok(Place { path, dir })
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(Error::io("Reading", path))
}

/// Sends the entry by which the history of booted deployments is told, in the journal's native protocol.
fn tell_journal(prepared: &Prepared) -> io::Result<()> {
    let path = prepared.deployment.display();
    let (device, inode) = prepared.booted.backing.map(|at| (at.device, at.number)).unwrap_or_default();
    let entry = format!(
        "MESSAGE=Resolved OSTree target to: /{path}\nMESSAGE_ID={BOOTED_MESSAGE}\nDEPLOYMENT_PATH=/{path}\n\
         DEPLOYMENT_DEVICE={device}\nDEPLOYMENT_INODE={inode}\nPRIORITY=6\nSYSLOG_IDENTIFIER=ostree-prepare-root\n"
    );
    UnixDatagram::unbound()?.send_to(entry.as_bytes(), "/run/systemd/journal/socket").map(drop)
}
