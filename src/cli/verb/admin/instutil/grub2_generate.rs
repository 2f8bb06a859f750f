//! `admin instutil grub2-generate`: GRUB menu entries, as the script `15_ostree` of grub2-mkconfig wants them.

use std::io::Write;

use anyhow::Context;

use crate::cli::terminal::Session;
use crate::host::Machine;
use crate::sysroot::BootVersion;
use crate::sysroot::bootloader::menu_entries;

/// Arguments of `admin instutil grub2-generate`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: super::super::SysrootOptions,
    /// The version of the boot entries: 0 or 1 [default: $_OSTREE_GRUB2_BOOTVERSION, the one in use]
    #[arg(value_name = "BOOTVERSION", value_parser = version)]
    version: Option<BootVersion>,
}

/// Prints the entries.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let sysroot = args.common.open()?;
    let (menu, named) = Machine::from_env().grub_menu().context("to be called by grub2-mkconfig")?;
    let version = match args.version.or(named) {
        Some(version) => version,
        None => sysroot.load()?.boot_version,
    };
    let text = menu_entries(&sysroot.boot_entries(version)?, &menu)?;
    Ok(session.out.write_all(text.as_bytes())?)
}

fn version(text: &str) -> Result<BootVersion, String> {
    match text {
        "0" => Ok(BootVersion::Zero),
        "1" => Ok(BootVersion::One),
        _ => Err(format!("Invalid bootversion: {text}")),
    }
}
