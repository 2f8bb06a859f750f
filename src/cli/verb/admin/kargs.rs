//! `admin kargs …`: kernel arguments of the deployments that are there.

use anyhow::bail;

use super::{Locked, SysrootOptions};
use crate::cli::terminal::Session;
use crate::sysroot::kargs::KernelArgs;

/// The verbs below `admin kargs`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Change the boot entries of all deployments, without making new ones
    EditInPlace(Args),
}

/// Arguments of `admin kargs edit-in-place`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: SysrootOptions,
    /// Add a kernel argument unless one of this name is there
    #[arg(long, value_name = "NAME=VALUE")]
    append_if_missing: Vec<String>,
    /// Accepted, as by C ostree, and ignored
    #[arg(value_name = "ARGS", hide = true)]
    ignored: Vec<String>,
}

/// Does what the arguments ask for.
pub(crate) fn run(verb: &Verb, session: &Session) -> anyhow::Result<()> {
    let Verb::EditInPlace(args) = verb;
    let Locked { sysroot, mut deployments, _lock } = args.common.lock(session)?;
    if deployments.list.is_empty() {
        bail!("Unable to find a deployment in sysroot");
    }
    let change = |kargs: &mut KernelArgs| {
        args.append_if_missing.iter().for_each(|arg| kargs.append_if_missing(arg));
    };
    Ok(sysroot.change_kernel_args_in_place(&mut deployments, &change, &session.ctx)?)
}
