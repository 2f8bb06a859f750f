//! What boot loaders want that do not read boot entries by themselves.
//!
//! ```text
//!             it is there if                            what is written
//! GRUB        boot/grub2 or boot/grub has a grub.cfg,   boot/loader.V/grub.cfg, or the one on the EFI partition
//!             or boot/efi/EFI/NAME
//! U-Boot      boot/loader/uEnv.txt                      boot/loader.V/uEnv.txt
//! syslinux    boot/syslinux/syslinux.cfg                boot/loader.V/syslinux.cfg
//! zipl        it is configured                          a stamp, until zipl was run
//! aboot       it is configured                          a stamp, until aboot-deploy was run
//! ```
//! `sysroot.bootloader` in the repository's config names one, or `none`; `auto`, the default, looks for the first
//! three. libostree executes grub2-mkconfig, zipl and aboot-deploy; here nothing is executed unless the user has named
//! the program (see [`Programs`]). GRUB's configuration is written natively instead; zipl and aboot-deploy write to the
//! disk what only they know how to, so that a stamp and a warning are left behind.

mod grub;
mod stamp;
mod syslinux;
mod uboot;

use std::fmt;
use std::io;

use super::{BootLoaderChoice, BootVersion, Error, Result, Sysroot, files};
use crate::base::Ctx;

pub use self::grub::{GrubMenu, menu_entries};

/// A boot loader that has to be told of boot entries.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootLoader {
    /// GRUB 2.
    Grub2 {
        /// The name of the directory in `boot/efi/EFI` whose `grub.cfg` is the only one.
        efi: Option<String>,
    },
    /// syslinux and extlinux.
    Syslinux,
    /// Das U-Boot.
    UBoot,
    /// zipl, of IBM Z.
    Zipl,
    /// Android's boot loader.
    Aboot,
}

/// A program that the user may have named to do what this library does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call<'a> {
    /// `PROGRAM -o CONFIG` writes the configuration of GRUB.
    Grub {
        /// The file to write, as seen from the sysroot.
        config: &'a str,
        /// The version of the boot entries.
        version: BootVersion,
        /// Whether the file lies on an EFI partition.
        efi: bool,
    },
    /// `PROGRAM --secure auto -V` writes where the kernel lies to the boot sector.
    Zipl,
    /// `PROGRAM -r . -c CONFIG -o OPTIONS IMAGE` writes a boot image to its partition.
    Aboot {
        /// The file that says where, as seen from the sysroot.
        config: &'a str,
        /// The kernel's command line.
        options: &'a str,
        /// The image.
        image: &'a str,
    },
}

/// Executes programs that the user has named.
pub trait Programs: fmt::Debug + Send + Sync {
    /// Executes the program for this call and waits for it; `None` if the user has named none.
    fn run(&self, call: &Call<'_>) -> Option<io::Result<()>>;
}

impl BootLoader {
    /// The boot loader of a sysroot: the one that its repository's config names, or one that is found there. `None` if
    /// there is nothing to be done but boot entries.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the config names one that nobody knows; [`Error::Io`].
    pub fn of(sysroot: &Sysroot) -> Result<Option<Self>> {
        Ok(Some(match sysroot.settings()?.boot_loader {
            BootLoaderChoice::Auto => return Self::detect(sysroot),
            BootLoaderChoice::None => return Ok(None),
            BootLoaderChoice::Grub2 => Self::Grub2 { efi: grub::efi_dir(sysroot.dir())? },
            BootLoaderChoice::Syslinux => Self::Syslinux,
            BootLoaderChoice::UBoot => Self::UBoot,
            BootLoaderChoice::Zipl => Self::Zipl,
            BootLoaderChoice::Aboot => Self::Aboot,
        }))
    }

    fn detect(sysroot: &Sysroot) -> Result<Option<Self>> {
        let dir = sysroot.dir();
        if files::lstat(dir, syslinux::CONFIG)?.is_some() {
            return Ok(Some(Self::Syslinux));
        }
        if let Some(efi) = grub::detect(dir)? {
            return Ok(Some(Self::Grub2 { efi }));
        }
        Ok(files::lstat(dir, uboot::CONFIG)?.map(|_| Self::UBoot))
    }

    /// The name that libostree gives it in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Grub2 { .. } => "grub2",
            Self::Syslinux => "syslinux",
            Self::UBoot => "U-Boot",
            Self::Zipl => "zipl",
            Self::Aboot => "aboot",
        }
    }

    /// Whether the next boot is decided by one rename, that of `boot/loader`.
    pub fn is_atomic(&self) -> bool {
        !matches!(self, Self::Grub2 { efi: Some(_) })
    }

    /// Writes what it wants of the boot entries of `version`, before these come into use.
    ///
    /// # Errors
    /// [`Error::Io`], also if a program that the user has named fails; [`Error::Usage`] if an entry or configuration lacks
    /// what it needs.
    pub fn write_config(&self, sysroot: &Sysroot, version: BootVersion, ctx: &Ctx) -> Result<()> {
        let written = || match self {
            Self::Grub2 { efi } => grub::write_config(sysroot, version, efi.as_deref(), ctx),
            Self::Syslinux => syslinux::write_config(sysroot, version),
            Self::UBoot => uboot::write_config(sysroot, version),
            Self::Zipl | Self::Aboot => stamp::write(sysroot),
        };
        written().map_err(Error::within(format!("Bootloader write config ({})", self.name())))
    }

    /// Does what can only be done once the boot entries of `version` are in use.
    ///
    /// # Errors
    /// As [`BootLoader::write_config`].
    pub fn after_swap(&self, sysroot: &Sysroot, version: BootVersion, ctx: &Ctx) -> Result<()> {
        match self {
            Self::Zipl => stamp::run_zipl(sysroot, ctx),
            Self::Aboot => stamp::run_aboot(sysroot, version, ctx),
            _ => Ok(()),
        }
    }
}

/// The value of a key of a boot entry that has to be there.
fn required<'e>(entry: &'e super::boot_entry::BootEntry, key: &str) -> Result<&'e str> {
    entry.get(key).ok_or_else(|| Error::Usage(format!("No \"{key}\" key in bootloader config")))
}

/// Reads a small text; empty if it is not there.
fn read_text(sysroot: &Sysroot, path: &str) -> Result<String> {
    let bytes = files::read(sysroot.dir(), path)?.unwrap_or_default();
    String::from_utf8(bytes)
        .map_err(|_| Error::io("read", path, io::Error::new(io::ErrorKind::InvalidData, "not UTF-8")))
}
