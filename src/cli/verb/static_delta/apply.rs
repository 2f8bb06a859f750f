//! `static-delta apply-offline`: the commit of a static delta whose files are here.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::super::Common;
use super::named::superblock_at;
use super::verify::{PublicOptions, judge};
use crate::cli::locate;
use crate::cli::terminal::Session;
use crate::delta::{self, Sources, Unjudged, read_head};
use crate::host::Machine;
use crate::store::{Error, Refusal};

/// Arguments of `static-delta apply-offline`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The superblock, or the directory that it lies in with the parts
    #[arg(value_name = "PATH")]
    path: PathBuf,
    #[command(flatten)]
    keys: PublicOptions,
}

/// Applies the delta.
pub(super) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    repo.require_writable()?;
    let (dir, superblock) = match args.path.is_dir() {
        true => (args.path.clone(), args.path.join("superblock")),
        false => (args.path.parent().unwrap_or(Path::new("")).to_owned(), args.path.clone()),
    };
    let superblock = superblock_at(&superblock, &session.ctx.cancel)?;
    let keys = args.keys.keys()?;
    let has_to = repo.config().keyfile().get_bool("core", "sign-verify-deltas")? == Some(true);
    let decide = |superblock: &Unjudged<'_>| -> Result<(), Refusal> {
        match superblock.signatures().is_some() || args.keys.name_keys() {
            true if !keys.is_empty() || args.keys.name_keys() => judge(&keys, superblock),
            true if has_to => Err("Key is mandatory to check delta signature".into()),
            _ => Ok(()),
        }
    };
    let head = read_head(superblock, Some(&decide))?;
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
        Ok(delta::apply(&head, &from, txn, ctx)?)
    })?;
    Ok(())
}
