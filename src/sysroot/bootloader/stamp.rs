//! zipl and aboot: programs of their own write what these boot loaders read, outside of any file system.
//!
//! A stamp says that this is still to be done: it is written before boot entries come into use, and removed once the
//! program was executed. It is the one that libostree writes, so that whichever of the two comes next does it.

use std::io;

use super::super::files::{self, Durability};
use super::super::{BootVersion, Error, Result, Sysroot};
use super::{Call, required};
use crate::base::Ctx;

const STAMP: &str = "boot/ostree-bootloader-update.stamp";

pub(super) fn write(sysroot: &Sysroot) -> Result<()> {
    files::replace(sysroot.dir(), STAMP, b"", Durability::Later)
}

pub(super) fn run_zipl(sysroot: &Sysroot, ctx: &Ctx) -> Result<()> {
    run(sysroot, &Call::Zipl, "zipl has to be run before the next boot", ctx)
}

pub(super) fn run_aboot(sysroot: &Sysroot, version: BootVersion, ctx: &Ctx) -> Result<()> {
    let first = sysroot.boot_entries(version)?.into_iter().next();
    let entry = first.ok_or_else(|| Error::Usage("aboot: no bls config".into()))?;
    let call = Call::Aboot {
        image: required(&entry, "aboot")?,
        config: required(&entry, "abootcfg")?,
        options: required(&entry, "options")?,
    };
    run(sysroot, &call, "aboot-deploy has to be run before the next boot", ctx)
}

/// Executes what the user has named, if the stamp is there, and removes it; says what is still to be done if nothing
/// was named.
fn run(sysroot: &Sysroot, call: &Call<'_>, to_do: &str, ctx: &Ctx) -> Result<()> {
    if files::lstat(sysroot.dir(), STAMP)?.is_none() {
        return Ok(());
    }
    match sysroot.surroundings().programs.as_ref().and_then(|programs| programs.run(call)) {
        Some(done) => {
            done.map_err(|e: io::Error| Error::io("run the boot loader's program for", "boot", e))?;
            files::unlink(sysroot.dir(), STAMP).map(drop)
        }
        None => {
            ctx.warn(to_do);
            Ok(())
        }
    }
}
