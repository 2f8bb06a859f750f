//! `log`: a commit and those before it.

use std::io::Write;

use super::{Common, resolve};
use crate::cli::dump;
use crate::cli::terminal::Session;
use crate::format::Commit;
use crate::store::{Error, ObjectRead};

/// Arguments of `log`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Show commits as GVariant text
    #[arg(long)]
    raw: bool,
    /// Print one JSON object a line
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// The commit to start from
    rev: String,
}

/// Prints the commits, the newest first, as far as they are there.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let first = resolve(&repo, &args.rev)?;
    let mut next = Some(first);
    while let Some(id) = next {
        session.ctx.cancel.check()?;
        let Some(bytes) = repo.read_meta(&id.into())? else {
            if id == first {
                return Err(Error::NotFound(id.into()).into());
            }
            if !args.json {
                writeln!(session.out, "<< History beyond this commit not fetched >>")?;
            }
            break;
        };
        let commit = Commit::parse(&bytes).map_err(Error::corrupt(id))?;
        if args.json {
            session.out.json(&dump::CommitJson::new(&id, &commit))?;
        } else {
            dump::object(&mut session.out, &id.into(), &bytes, dump::Form::from_flags(args.raw, false))?;
        }
        next = commit.parent;
    }
    Ok(())
}
