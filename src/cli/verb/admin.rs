//! `admin …`: deployments of a sysroot.

mod boot_complete;
mod config_diff;
mod deploy;
mod init_fs;
mod instutil;
mod kargs;
mod listed;
mod of_image;
mod os_init;
mod soft_reboot;
mod staged;
mod state_overlay;
mod status;
mod switch;
mod unlock;
mod upgrade;
mod upstream;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};

use crate::cli::terminal::Session;
use crate::host::Machine;
use crate::sysroot::{Deployments, Sysroot, SysrootLock};

/// Arguments of `admin`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: SysrootOptions,
    /// Print the directory of the deployment that comes first
    #[arg(long, hide = true)]
    print_current_dir: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// The verbs below `admin`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Say why the staged deployment was not finished before this boot
    #[command(hide = true)]
    BootComplete(boot_complete::Args),
    /// List what was changed in /etc: modified (M), deleted (D), added (A)
    ConfigDiff(config_diff::Args),
    /// Delete what no deployment needs
    ///
    /// Nothing is deleted where there are deployments and nothing in /boot that boots them: it may be a file system of its
    /// own that is not mounted.
    Cleanup(listed::CleanupArgs),
    /// Let the machine boot a commit next
    ///
    /// The commit is in the repository of the sysroot. What was changed in /etc of the deployment before is changed in the
    /// new one, too, and it gets the same kernel arguments.
    Deploy(Box<deploy::Args>),
    /// Finish the staged deployment, when the machine shuts down
    #[command(hide = true)]
    FinalizeStaged(staged::FinalizeArgs),
    /// Make the directories of a new sysroot
    InitFs(init_fs::Args),
    /// Do not finish the staged deployment when the machine shuts down
    LockFinalization(staged::LockArgs),
    /// Make an empty stateroot: deployments with one /var
    #[command(visible_alias = "stateroot-init")]
    OsInit(os_init::Args),
    /// Mount the deployment that the current directory is in /run/nextroot, as libostree has it done
    #[command(hide = true)]
    ImplPrepareSoftReboot(soft_reboot::MountArgs),
    /// What installers and scripts of boot loaders call
    #[command(subcommand)]
    Instutil(instutil::Verb),
    /// Change kernel arguments of deployments
    #[command(subcommand)]
    Kargs(kargs::Verb),
    /// Let cleanup leave a deployment alone
    Pin(listed::PinArgs),
    /// Give a copy of a sysroot what copying loses
    PostCopy(listed::CleanupArgs),
    /// Let the next soft reboot lead to a deployment
    ///
    /// A soft reboot (`systemctl soft-reboot`, of systemd 254 and later) restarts everything but the kernel, which takes
    /// seconds. So the deployment has to have the kernel that runs, with the same arguments, and its prepare-root.conf has to
    /// ask for composefs. Its root is mounted in /run/nextroot, where systemd looks for it, also when it is told to reboot.
    /// A deployment that is staged is finished on the way if it is the one; otherwise it is deleted. Staging another one
    /// undoes the preparation, and so does deleting the deployment.
    ///
    /// Nothing is executed for it: libostree's program executes itself, umount and systemctl. With --reboot, systemctl is.
    PrepareSoftReboot(soft_reboot::Args),
    /// Let the machine boot a deployment next
    SetDefault(listed::IndexArgs),
    /// Let upgrades of a deployment come from a remote
    SetOrigin(listed::SetOriginArgs),
    /// Keep what is written to a directory of the running system, such as /opt, across upgrades
    #[command(hide = true)]
    StateOverlay(state_overlay::Args),
    /// List deployments
    Status(status::Args),
    /// Let upgrades come from another ref or container image, and deploy that
    Switch(Box<switch::Args>),
    /// Delete a deployment
    Undeploy(listed::IndexArgs),
    /// Let /usr of the running system be written, until the next boot
    ///
    /// An overlay is mounted there; the deployment itself stays as it is.
    Unlock(unlock::Args),
    /// Deploy what the ref or container image is by now
    ///
    /// What was changed in /etc is changed in the new deployment, too, and it gets the same kernel arguments. The one that
    /// runs stays, to go back to.
    Upgrade(Box<upgrade::Args>),
}

/// Options of every verb that works on a sysroot.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct SysrootOptions {
    /// Path of the sysroot [default: $OSTREE_SYSROOT, /]
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::DirPath)]
    sysroot: Option<PathBuf>,
    /// Say what is being done
    #[arg(short, long)]
    verbose: bool,
}

/// A sysroot that nobody else changes, and its deployments.
pub(crate) struct Locked {
    pub(crate) sysroot: Sysroot,
    pub(crate) deployments: Deployments,
    _lock: SysrootLock,
}

impl SysrootOptions {
    /// The path of the sysroot.
    pub(crate) fn path(&self) -> PathBuf {
        self.sysroot.clone().unwrap_or_else(|| Machine::from_env().sysroot_path())
    }

    /// Opens the sysroot to look at it.
    pub(crate) fn open(&self) -> anyhow::Result<Sysroot> {
        Ok(spoken(Machine::from_env().open_sysroot(self.path())?))
    }

    /// Opens the sysroot to change it, once nobody else does.
    pub(crate) fn lock(&self, session: &Session) -> anyhow::Result<Locked> {
        let sysroot = spoken(Machine::from_env().open_sysroot_to_write(self.path())?);
        let mut waiting = || drop(writeln!(io::stdout().lock(), "Waiting for sysroot lock..."));
        let lock = sysroot.lock(&mut waiting, &session.ctx)?;
        let deployments = sysroot.load()?;
        if deployments.booted().is_some() && !rustix::process::geteuid().is_root() {
            bail!("You must be root to perform this command");
        }
        Ok(Locked { sysroot, deployments, _lock: lock })
    }
}

/// Lets the user hear what is done. Somebody may have closed standard output; the work goes on.
fn spoken(sysroot: Sysroot) -> Sysroot {
    sysroot.with_journal(Arc::new(|text| drop(writeln!(io::stdout().lock(), "{text}"))))
}

/// Does what the arguments ask for.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    match &args.verb {
        Some(Verb::BootComplete(args)) => boot_complete::run(args, session),
        Some(Verb::ConfigDiff(args)) => config_diff::run(args, session),
        Some(Verb::Kargs(verb)) => kargs::run(verb, session),
        Some(Verb::Switch(args)) => switch::run(args, session),
        Some(Verb::Unlock(args)) => unlock::run(args, session),
        Some(Verb::Upgrade(args)) => upgrade::run(args, session),
        Some(Verb::ImplPrepareSoftReboot(args)) => soft_reboot::mount(args),
        Some(Verb::Instutil(verb)) => instutil::run(verb, session),
        Some(Verb::Cleanup(args)) => listed::cleanup(args, session),
        Some(Verb::Deploy(args)) => deploy::run(args, session),
        Some(Verb::FinalizeStaged(args)) => staged::finalize(args, session),
        Some(Verb::LockFinalization(args)) => staged::lock(args, session),
        Some(Verb::Pin(args)) => listed::pin(args, session),
        Some(Verb::PostCopy(args)) => listed::post_copy(args, session),
        Some(Verb::PrepareSoftReboot(args)) => soft_reboot::prepare(args, session),
        Some(Verb::SetDefault(args)) => listed::set_default(args, session),
        Some(Verb::SetOrigin(args)) => listed::set_origin(args, session),
        Some(Verb::Undeploy(args)) => listed::undeploy(args, session),
        Some(Verb::InitFs(args)) => init_fs::run(args),
        Some(Verb::OsInit(args)) => os_init::run(args, session),
        Some(Verb::StateOverlay(args)) => state_overlay::run(args),
        Some(Verb::Status(args)) => status::run(args, session),
        None if args.print_current_dir => print_current_dir(&args.common, session),
        None => bail!("No \"admin\" subcommand specified"),
    }
}

fn print_current_dir(options: &SysrootOptions, session: &mut Session) -> anyhow::Result<()> {
    let deployments = options.open()?.load()?;
    let first = deployments.list.first().context("Unable to find a deployment in sysroot")?;
    let path = std::path::absolute(options.path().join(first.id.path()))?;
    Ok(writeln!(session.out, "{}", Path::new(&path).display())?)
}
