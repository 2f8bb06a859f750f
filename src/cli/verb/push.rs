//! `push`: copies commits as they are to another repository of this machine.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;

use super::{Common, require_writable};
use crate::cli::terminal::Session;
use crate::cli::{locate, near};
use crate::format::{RefName, RefSpec};
use crate::repo::Repo;
use crate::store::{Depth, Error, Refs};
use crate::transfer::{CopiedRef, Moves, RefCopy, TransferOptions, copy_refs};

/// Arguments of `push`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The ref to push [default: all local refs]
    #[arg(long, value_name = "REF")]
    from_ref: Option<RefName>,
    /// What it is called there [default: the same]
    #[arg(long, value_name = "REF", requires = "from_ref")]
    to_ref: Option<RefName>,
    /// Replace a ref there whose commit is not in the history of the new one
    #[arg(long)]
    force: bool,
    /// How many parents to push too; -1 for all
    #[arg(long, default_value_t = 0)]
    depth: i64,
    /// No progress bar
    #[arg(short, long)]
    quiet: bool,
    /// The repository to push to: a directory
    #[arg(value_name = "DEST_REPO")]
    dest: PathBuf,
}

/// Pushes objects, then refs.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let source = args.common.open()?;
    let dest = locate::open(&args.dest)?;
    require_writable(&dest)?;
    let refs = refs(args, &source)?;
    let moves = if args.force { Moves::Anywhere } else { Moves::Forward };
    let depth = u32::try_from(args.depth).map_or(Depth::All, Depth::Parents);
    let options = TransferOptions { depth, ..TransferOptions::default() };
    let (copied, stats) = locate::in_transaction(&dest, &session.ctx, |txn| {
        Ok(copy_refs(&source, txn, &refs, moves, &options, &session.ctx)?)
    })?
    .0;
    if !args.quiet {
        let (metadata, content) = (stats.metadata_objects, stats.content_objects);
        writeln!(session.out, "{metadata} metadata, {content} content objects pushed")?;
        copied.iter().try_for_each(|copied| say(copied, session))?;
    }
    Ok(())
}

fn refs(args: &Args, source: &Repo) -> anyhow::Result<Vec<RefCopy>> {
    if let Some(from) = &args.from_ref {
        let refspec = RefSpec::from(from.clone());
        if source.resolve_exact(&refspec)?.is_none() {
            return Err(near::with_nearest_ref(source, Error::RefNotFound(refspec)));
        }
        let to = args.to_ref.clone().unwrap_or_else(|| from.clone());
        return Ok(vec![RefCopy { from: from.clone(), to }]);
    }
    let local = source.list_of(None)?.into_keys();
    let refs: Vec<RefCopy> =
        local.map(|refspec| RefCopy { from: refspec.name.clone(), to: refspec.name }).collect();
    if refs.is_empty() {
        bail!("there is no ref to push: `commit --branch=NAME` makes one");
    }
    Ok(refs)
}

fn say(copied: &CopiedRef, session: &mut Session) -> anyhow::Result<()> {
    let CopiedRef { name, before, now } = copied;
    match before {
        Some(before) if before == now => writeln!(session.out, "{name}: {now} as before")?,
        Some(before) => writeln!(session.out, "{name}: {before} -> {now}")?,
        None => writeln!(session.out, "{name}: {now}")?,
    }
    Ok(())
}
