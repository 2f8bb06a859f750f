//! `admin init-fs`: a new sysroot.

use std::path::PathBuf;

use crate::host::Machine;
use crate::sysroot::Epoch;

/// Arguments of `admin init-fs`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: super::SysrootOptions,
    /// Make only boot and ostree; the same as --epoch=1
    #[arg(long)]
    modern: bool,
    /// 0: with the directories of a root file system, 1: only boot and ostree, 2: ostree is for root alone
    #[arg(short = 'E', long, value_name = "NUMBER", default_value_t = 0)]
    epoch: i32,
    /// The directory that becomes a sysroot
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::DirPath)]
    path: PathBuf,
}

/// Makes the directories.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let epoch = match (args.epoch, args.modern) {
        (..0, _) => anyhow::bail!("Invalid epoch: {}", args.epoch),
        (0, false) => Epoch::Traditional,
        (2, _) => Epoch::Private,
        _ => Epoch::Modern,
    };
    Ok(Machine::from_env().create_sysroot(&args.path, epoch)?)
}
