//! `push`: copies commits as they are to another repository, of this machine or over ssh, or into an export.

mod into_export;

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;

use super::Common;
use super::serve::SiteOptions;
use crate::base::Ctx;
use crate::cli::terminal::Session;
use crate::cli::{locate, near};
use crate::format::{RefName, RefSpec};
use crate::host::{Machine, SshOptions, SshPlace};
use crate::repo::Repo;
use crate::store::{Depth, Error, Refs};
use crate::transfer::pipe;
use crate::transfer::{CopiedRef, Moves, RefCopy, TransferOptions, TransferStats, copy_refs};

/// The refs that are there now, and what it took.
type Done = (Vec<CopiedRef>, TransferStats);

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
    /// The ssh to use, with options for it [default: $OSTREE_RS_SSH, ssh]
    #[arg(long, value_name = "COMMAND")]
    ssh: Option<String>,
    /// The ostree-rs to start on the other machine
    #[arg(long, value_name = "COMMAND")]
    receive_program: Option<String>,
    /// The repository to push to: a directory, [USER@]HOST:PATH, or ssh://[USER@]HOST[:PORT]/PATH; or a directory that
    /// `serve --export` wrote
    #[arg(value_name = "DEST_REPO")]
    dest: PathBuf,
    #[command(
        flatten,
        next_help_heading = "Options for what serve --export wrote, as they were given to it"
    )]
    site: SiteOptions,
}

/// What is pushed.
struct Pushed {
    refs: Vec<RefCopy>,
    moves: Moves,
    depth: Depth,
}

/// Pushes objects, then refs.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let source = args.common.open()?;
    let pushed = Pushed {
        refs: refs(args, &source)?,
        moves: if args.force { Moves::Anywhere } else { Moves::Forward },
        depth: u32::try_from(args.depth).map_or(Depth::All, Depth::Parents),
    };
    let place = args.dest.to_str().map(SshPlace::parse).transpose()?.flatten();
    let (copied, stats) = match &place {
        Some(place) => by_ssh(args, place, &source, &pushed, &session.ctx)?,
        None => to_directory(args, &source, &pushed, &session.ctx)?,
    };
    if !args.quiet {
        let (metadata, content) = (stats.metadata_objects, stats.content_objects);
        writeln!(session.out, "{metadata} metadata, {content} content objects pushed")?;
        copied.iter().try_for_each(|copied| say(copied, session))?;
    }
    Ok(())
}

fn to_directory(args: &Args, source: &Repo, pushed: &Pushed, ctx: &Ctx) -> anyhow::Result<Done> {
    if let Some(export) = into_export::find(&args.dest) {
        return into_export::push(&export, &args.site, source, pushed, ctx);
    }
    args.site.refuse_key(&args.dest)?;
    pushed.copy(source, &locate::open(&args.dest)?, ctx)
}

impl Pushed {
    /// Copies commits and refs into another repository.
    fn copy(&self, source: &Repo, dest: &Repo, ctx: &Ctx) -> anyhow::Result<Done> {
        dest.require_writable()?;
        let options = TransferOptions { depth: self.depth, ..TransferOptions::default() };
        let copied = locate::in_transaction(dest, ctx, |txn| {
            Ok(copy_refs(source, txn, &self.refs, self.moves, &options, ctx)?)
        })?;
        Ok(copied.0)
    }
}

fn by_ssh(args: &Args, place: &SshPlace, source: &Repo, pushed: &Pushed, ctx: &Ctx) -> anyhow::Result<Done> {
    let options = SshOptions { command: args.ssh.clone(), program: args.receive_program.clone() };
    args.site.refuse_key(&args.dest)?;
    let (ssh, pipes) = Machine::from_env().receive_at(place, &options)?;
    let sent = pipe::send(source, &pushed.refs, pushed.moves, pushed.depth, pipes, ctx);
    match sent {
        Ok(done) => Ok(done),
        // How the other side ended tells more than that it did.
        Err(error @ (pipe::Error::BrokenOff | pipe::Error::Stream(_))) => {
            ssh.end()?;
            Err(anyhow::Error::new(error).context(place.to_string()))
        }
        Err(error @ pipe::Error::Store(_)) => Err(error.into()),
        Err(error) => Err(anyhow::Error::new(error).context(place.to_string())),
    }
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
