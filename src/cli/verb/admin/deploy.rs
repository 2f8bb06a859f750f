//! `admin deploy`: a commit of the sysroot's repository becomes what the machine boots next.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};

use super::{Locked, SysrootOptions};
use crate::cli::terminal::Session;
use crate::cli::verb::resolve;
use crate::format::Checksum;
use crate::host::{Finish, Machine};
use crate::sysroot::kargs::KernelArgs;
use crate::sysroot::{
    Cleanup, DeployOptions, Deployment, DeploymentOrigin, Position, Retain, StagedLock, Stateroot, Sysroot,
};

/// Arguments of `admin deploy`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: SysrootOptions,
    /// The stateroot [default: the booted one]
    #[arg(long = "os", visible_alias = "stateroot", value_name = "STATEROOT")]
    stateroot: Option<Stateroot>,
    /// A file that says where upgrades come from [default: the ref that is deployed]
    #[arg(long, value_name = "FILE")]
    origin_file: Option<PathBuf>,
    /// Do not delete objects of the repository that are not needed any more
    #[arg(long)]
    no_prune: bool,
    /// Take neither changes to /etc nor kernel arguments from the deployment before
    #[arg(long)]
    no_merge: bool,
    /// Delete no deployment
    #[arg(long)]
    retain: bool,
    /// Finish the deployment when the machine shuts down
    #[arg(long)]
    stage: bool,
    /// Stage the deployment, and do not finish it before `lock-finalization --unlock`
    #[arg(long)]
    lock_finalization: bool,
    /// Do not delete deployments that would be booted before the booted one
    #[arg(long)]
    retain_pending: bool,
    /// Do not delete deployments behind the booted one
    #[arg(long)]
    retain_rollback: bool,
    /// Let the machine boot next what it would have booted
    #[arg(long)]
    not_as_default: bool,
    /// Take the kernel arguments of the running kernel
    #[arg(long)]
    karg_proc_cmdline: bool,
    /// Set a kernel argument, in place of others with its name
    #[arg(long, value_name = "NAME=VALUE")]
    karg: Vec<String>,
    /// Add a kernel argument
    #[arg(long, value_name = "NAME=VALUE")]
    karg_append: Vec<String>,
    /// Take no kernel arguments from the deployment before
    #[arg(long)]
    karg_none: bool,
    /// Delete a kernel argument, if it is there
    #[arg(long, value_name = "NAME=VALUE")]
    karg_delete: Vec<String>,
    /// Add an initial RAM disk to that of the kernel
    #[arg(long, value_name = "FILE")]
    overlay_initrd: Vec<PathBuf>,
    /// The ref or commit
    #[arg(value_name = "REV")]
    rev: String,
}

/// Deploys.
pub(crate) fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    check(args)?;
    let Locked { sysroot, deployments, _lock } = args.common.lock(session)?;
    let stateroot = deployments.stateroot_or_booted(args.stateroot.as_ref());
    let stateroot = stateroot.context("Looking for booted deployment")?;
    let origin = match &args.origin_file {
        Some(path) => {
            let bytes = fs::read(path).with_context(|| format!("Reading {}", path.display()))?;
            DeploymentOrigin::parse(&bytes).with_context(|| format!("Parsing {}", path.display()))?
        }
        None => DeploymentOrigin::from_refspec(&args.rev)?,
    };
    let commit = resolve(sysroot.repo(), &args.rev)?;
    let merge = deployments.merge_deployment(&stateroot).filter(|_| !args.no_merge).cloned();
    // What an earlier, broken off try has left.
    let cleaned = sysroot.cleanup(&deployments, Cleanup::AllButObjects, &session.ctx);
    cleaned.context("Performing initial cleanup")?;
    let options = DeployOptions {
        stateroot,
        commit,
        origin: Some(origin),
        merge: merge.as_ref(),
        kernel_args: kernel_args(args, merge.as_ref())?,
        overlay_initrds: initrds(args, &sysroot)?,
    };
    if args.is_staged() {
        deployments.require_booted().context("Cannot stage deployment")?;
    }
    Machine::from_env().deploy(&sysroot, deployments, &options, args.finish(), &session.ctx)?;
    Ok(())
}

impl Args {
    fn is_staged(&self) -> bool {
        self.stage || self.lock_finalization
    }

    fn finish(&self) -> Finish {
        if self.is_staged() {
            let lock = if self.lock_finalization { StagedLock::Locked } else { StagedLock::Open };
            return Finish::AtShutdown { lock };
        }
        Finish::Now {
            retain: Retain { all: self.retain, pending: self.retain_pending, rollback: self.retain_rollback },
            position: if self.not_as_default { Position::NotDefault } else { Position::First },
            cleanup: if self.no_prune { Cleanup::AllButObjects } else { Cleanup::All },
        }
    }
}

/// Refuses options that contradict each other.
fn check(args: &Args) -> anyhow::Result<()> {
    let contradictions = [
        (args.karg_proc_cmdline && args.karg_none, "--karg-proc-cmdline and --karg-none"),
        (args.karg_none && !args.karg_delete.is_empty(), "--karg-none and --karg-delete"),
        (args.no_merge && !args.karg_delete.is_empty(), "--no-merge and --karg-delete"),
    ];
    if let Some((_, both)) = contradictions.iter().find(|(given, _)| *given) {
        bail!("Can't specify both {both}");
    }
    let is_staged = args.is_staged();
    if is_staged && (args.retain_pending || args.retain_rollback) {
        bail!("--stage cannot currently be combined with --retain arguments");
    }
    if is_staged && args.not_as_default {
        bail!("--stage cannot currently be combined with --not-as-default");
    }
    Ok(())
}

/// The kernel's arguments, if they are not just those of the deployment before.
fn kernel_args(args: &Args, merge: Option<&Deployment>) -> anyhow::Result<Option<KernelArgs>> {
    let changes = [&args.karg, &args.karg_append, &args.karg_delete].iter().any(|list| !list.is_empty());
    let mut kargs = match merge {
        _ if args.karg_none => KernelArgs::default(),
        _ if args.karg_proc_cmdline => {
            let mut kargs = KernelArgs::default();
            let running = fs::read_to_string("/proc/cmdline").context("Reading /proc/cmdline")?;
            kargs.append_running(&running);
            kargs
        }
        Some(merge) if changes => merge.entry.kernel_args(),
        None if changes => KernelArgs::default(),
        _ => return Ok(None),
    };
    args.karg.iter().for_each(|arg| kargs.replace(arg));
    args.karg_append.iter().for_each(|arg| kargs.append(arg));
    args.karg_delete.iter().try_for_each(|arg| kargs.delete_if_present(arg))?;
    Ok(Some(kargs))
}

fn initrds(args: &Args, sysroot: &Sysroot) -> anyhow::Result<Vec<Checksum>> {
    let each = args.overlay_initrd.iter().map(|path| {
        let mut file = fs::File::open(path).with_context(|| format!("Opening {}", path.display()))?;
        Ok(sysroot.stage_initrd(&mut file)?)
    });
    each.collect()
}
