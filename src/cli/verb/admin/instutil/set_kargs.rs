//! `admin instutil set-kargs`: other kernel arguments for the deployment that is booted next.

use std::fs;

use anyhow::{Context, bail};

use super::super::{Locked, SysrootOptions};
use crate::cli::terminal::Session;
use crate::sysroot::After;
use crate::sysroot::kargs::KernelArgs;

/// Arguments of `admin instutil set-kargs`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: SysrootOptions,
    /// Begin with the arguments of the running kernel
    #[arg(long)]
    import_proc_cmdline: bool,
    /// Begin with the arguments that the deployment has
    #[arg(long)]
    merge: bool,
    /// Set a kernel argument, in place of others with its name
    #[arg(long, value_name = "NAME=VALUE")]
    replace: Vec<String>,
    /// Add a kernel argument
    #[arg(long, value_name = "NAME=VALUE")]
    append: Vec<String>,
    /// More kernel arguments to add
    #[arg(value_name = "NAME=VALUE")]
    args: Vec<String>,
}

/// Sets the kernel arguments of the first deployment.
pub(crate) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let Locked { sysroot, deployments, _lock } = args.common.lock(session)?;
    let mut list = deployments.list.clone();
    let first = list.first_mut().context("Unable to find a deployment in sysroot")?;
    if first.is_staged() {
        bail!("the first deployment is staged: `admin kargs edit-in-place` changes its arguments");
    }
    let mut kargs = KernelArgs::default();
    if args.import_proc_cmdline {
        kargs.append_running(&fs::read_to_string("/proc/cmdline").context("Reading /proc/cmdline")?);
    } else if args.merge {
        kargs = first.entry.kernel_args();
    }
    args.replace.iter().for_each(|arg| kargs.replace(arg));
    args.append.iter().chain(&args.args).for_each(|arg| kargs.append(arg));
    first.entry.set("options", kargs.to_string());
    sysroot.write_deployments(deployments, list, After::Cleanup, &session.ctx)?;
    Ok(())
}
