//! `admin instutil selinux-ensure-labeled`: SELinux labels for what an installer has written without any.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::super::SysrootOptions;
use crate::cli::terminal::Session;
use crate::sysroot::ensure_labelled;

/// Arguments of `admin instutil selinux-ensure-labeled`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: SysrootOptions,
    /// The directory to label [default: that of the first deployment]
    #[arg(value_name = "DIR", requires = "prefix", value_hint = clap::ValueHint::DirPath)]
    dir: Option<PathBuf>,
    /// Where the directory will be in the running system
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::DirPath)]
    prefix: Option<String>,
}

/// Labels what has no label, by the policy of the first deployment.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let sysroot = args.common.open()?;
    let deployments = sysroot.load()?;
    let first = deployments.list.first().context("Unable to find a deployment in sysroot")?;
    let deployment = args.common.path().join(first.id.path());
    let path = args.dir.as_ref().unwrap_or(&deployment);
    let open = |path: &PathBuf| {
        let opened = Dir::open_ambient_dir(path, ambient_authority());
        opened.with_context(|| format!("Opening {}", path.display()))
    };
    let (root, dir) = (open(&deployment)?, open(path)?);
    let prefix = args.prefix.as_deref().unwrap_or_default();
    let mut lines = Vec::new();
    let mut note = |at: &str, label: &str| {
        let shown = [prefix.trim_matches('/'), at].into_iter().filter(|part| !part.is_empty());
        let shown = shown.fold(String::new(), |all, part| format!("{all}/{part}"));
        lines.push(format!("Set label of '{}' (as '{shown}') to '{label}'", path.join(at).display()));
    };
    match ensure_labelled(&root, &dir, prefix, &mut note, &session.ctx)? {
        Some(policy) => writeln!(session.out, "Relabeling using policy '{policy}'")?,
        None => writeln!(session.out, "No SELinux policy found in deployment '{}'", deployment.display())?,
    }
    lines.iter().try_for_each(|line| Ok(writeln!(session.out, "{line}")?))
}
