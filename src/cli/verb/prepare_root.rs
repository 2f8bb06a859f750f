//! `prepare-root`: in an initramfs, makes a deployment the root file system. `ostree-prepare-root` is another name of it.

use std::io::Write;
use std::path::PathBuf;

use crate::cli::terminal::Session;
use crate::host::Machine;

/// Arguments of `prepare-root`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the initramfs has mounted the physical root, which becomes the deployment: /sysroot, say
    #[arg(value_name = "SYSROOT")]
    sysroot: PathBuf,
    /// A command line that counts instead of the kernel's
    #[arg(value_name = "CMDLINE")]
    cmdline: Option<String>,
}

/// Mounts everything, and says in a line what the root is.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let prepared = Machine::from_env().prepare_root(&args.sysroot, args.cmdline.as_deref())?;
    let root = match &prepared.booted.composefs {
        Some(mounted) if mounted.signed_by.is_some() => "composefs, signed",
        Some(mounted) if mounted.is_verity_required => "composefs with fs-verity",
        Some(_) => "composefs",
        None => "bind mounts",
    };
    let sysroot = if prepared.booted.is_sysroot_readonly { "read-only" } else { "writable" };
    let deployment = prepared.deployment.display();
    Ok(writeln!(session.out, "The root is {deployment}, by {root}; /sysroot is {sysroot}")?)
}
