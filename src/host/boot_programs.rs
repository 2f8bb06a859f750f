//! Programs for boot loaders that the user has named; nothing else is executed.
//!
//! ```text
//! OSTREE_GRUB2_EXEC         PROGRAM -o grub.cfg: grub2-mkconfig, ostree-grub-generator
//! OSTREE_RS_ZIPL            zipl
//! OSTREE_RS_ABOOT_DEPLOY    aboot-deploy
//! ```

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Environment, Machine};
use crate::sysroot::BootVersion;
use crate::sysroot::bootloader::{Call, GrubMenu, Programs};

/// The programs that the environment names.
#[derive(Debug)]
pub(super) struct BootPrograms {
    /// The absolute path of the sysroot, which they run in.
    sysroot: PathBuf,
    grub: Option<OsString>,
    zipl: Option<OsString>,
    aboot: Option<OsString>,
}

impl Machine {
    /// What grub2-mkconfig tells the script that makes the menu of deployments, and the version of the boot entries if
    /// it is not the one in use: `GRUB2_BOOT_DEVICE_ID`, `GRUB2_PREPARE_ROOT_CACHE`, `_OSTREE_GRUB2_BOOTVERSION`. `None`
    /// unless the first two are set.
    pub fn grub_menu(&self) -> Option<(GrubMenu, Option<BootVersion>)> {
        let text = |name: &str| self.env.text(name).map(str::to_owned);
        let menu = GrubMenu {
            device_id: text("GRUB2_BOOT_DEVICE_ID")?,
            prepare_root: text("GRUB2_PREPARE_ROOT_CACHE")?,
            ..GrubMenu::default()
        };
        let version = text("_OSTREE_GRUB2_BOOTVERSION").map(|text| match &*text {
            "1" => BootVersion::One,
            _ => BootVersion::Zero,
        });
        Some((menu, version))
    }
}

impl BootPrograms {
    pub(super) fn named(env: &Environment, sysroot: &Path) -> Self {
        let named = |name: &str| env.path(name).map(PathBuf::into_os_string);
        Self {
            sysroot: std::path::absolute(sysroot).unwrap_or_else(|_| sysroot.to_owned()),
            grub: named("OSTREE_GRUB2_EXEC"),
            zipl: named("OSTREE_RS_ZIPL"),
            aboot: named("OSTREE_RS_ABOOT_DEPLOY"),
        }
    }

    /// The command line for a call, if there is a program for it.
    fn command(&self, call: &Call<'_>) -> Option<Command> {
        let named = |program: &Option<OsString>| program.as_ref().map(Command::new);
        Some(match *call {
            Call::Grub { config, version, efi } => {
                let mut command = named(&self.grub)?;
                command.arg("-o").arg(self.sysroot.join(config));
                command.env("_OSTREE_GRUB2_BOOTVERSION", version.to_string());
                if efi {
                    command.env("_OSTREE_GRUB2_IS_EFI", "1");
                }
                command
            }
            Call::Zipl => {
                let mut command = named(&self.zipl)?;
                command.args(["--secure", "auto", "-V"]);
                command
            }
            Call::Aboot { config, options, image } => {
                let mut command = named(&self.aboot)?;
                command.current_dir(&self.sysroot);
                command.args(["-r", ".", "-c", config, "-o", options, image]);
                command
            }
        })
    }
}

impl Programs for BootPrograms {
    fn run(&self, call: &Call<'_>) -> Option<io::Result<()>> {
        let mut command = self.command(call)?;
        let name = command.get_program().to_string_lossy().into_owned();
        // What it says is for nobody who reads our output; what goes wrong is.
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
        let checked = |status: std::process::ExitStatus| match status.success() {
            true => Ok(()),
            false => Err(io::Error::other(format!("{name}: {status}"))),
        };
        Some(status.map_err(|e| io::Error::new(e.kind(), format!("{name}: {e}"))).and_then(checked))
    }
}
