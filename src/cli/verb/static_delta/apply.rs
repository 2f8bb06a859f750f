//! `static-delta apply-offline`: the commit of a static delta whose files are here.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::super::{Common, require_writable};
use crate::cli::locate;
use crate::cli::terminal::Session;
use crate::delta::{self, Sources, read_head};
use crate::host::Machine;
use crate::store::Error;

/// Arguments of `static-delta apply-offline`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The superblock, or the directory that it lies in with the parts
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

/// Applies the delta.
pub(super) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    require_writable(&repo)?;
    let (dir, superblock) = match args.path.is_dir() {
        true => (args.path.clone(), args.path.join("superblock")),
        false => (args.path.parent().unwrap_or(Path::new("")).to_owned(), args.path.clone()),
    };
    let bytes = fs::read(&superblock).with_context(|| format!("opening {}", superblock.display()))?;
    let head = read_head(&bytes, None)?;
    drop(bytes);
    if head.signatures.is_some()
        && repo.config().keyfile().get_bool("core", "sign-verify-deltas")? == Some(true)
    {
        bail!("Key is mandatory to check delta signature");
    }
    if !head.superblock.fallbacks.is_empty() {
        bail!("Cannot execute delta offline: contains nonempty http fallback entries");
    }
    let machine = Machine::from_env();
    let part = |number: usize| {
        let path = dir.join(number.to_string());
        let file = File::open(&path).map_err(|e| Error::io("opening", path, e))?;
        Ok(Box::new(file) as Box<dyn Read>)
    };
    let (ctx, spool) = (&session.ctx, || machine.temporary_file());
    locate::in_transaction(&repo, ctx, |txn| {
        let from = Sources { part: &part, old: txn, voucher: None, spool: &spool };
        Ok(delta::apply(&head.superblock, &from, txn, ctx)?)
    })?;
    Ok(())
}
