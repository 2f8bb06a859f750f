//! Deployments: checked-out commits that a machine boots, their boot entries, and the way from one set of them to
//! the next.
//!
//! ```text
//! bootloader   what GRUB, U-Boot, syslinux, zipl and aboot want beside the boot entries
//! boot_entry   one file of loader/entries (boot loader specification)
//! kargs        the kernel's command line
//! origin       where a deployment came from, and where its upgrades come from
//! etc          /etc of the old deployment merged into that of the new one
//! ```
//!
//! The layout is libostree's (`docs/manual/deployment`, `ostree-sysroot.c`): `ostree/repo` is the repository,
//! `ostree/deploy/STATEROOT/deploy/COMMIT.SERIAL` a deployment, `boot/loader.V` the boot entries of version V (0 or
//! 1), `ostree/boot.V.S` the links that boot entries name.

pub mod boot_entry;
pub mod bootloader;
pub mod etc;
pub mod kargs;
pub mod origin;
