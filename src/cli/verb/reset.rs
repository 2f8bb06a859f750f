//! `reset`: lets a ref name another commit.

use anyhow::Context;

use super::{Common, resolve};
use crate::cli::terminal::Session;
use crate::cli::{locate, near};
use crate::format::RefSpec;
use crate::store::{Error, Refs, Txn};

/// Arguments of `reset`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// A ref that exists
    #[arg(value_name = "REF")]
    name: String,
    /// The commit that it shall name
    commit: String,
}

/// Sets the ref; whether the commit is an ancestor is not asked.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    repo.require_writable()?;
    let refspec: RefSpec = args.name.parse().with_context(|| format!("Invalid ref '{}'", args.name))?;
    if !repo.ref_files()?.contains_key(&refspec) && repo.resolve_exact(&refspec)?.is_none() {
        let missing = near::with_nearest_ref(&repo, Error::RefNotFound(refspec));
        return Err(missing.context(format!("Invalid ref '{}'", args.name)));
    }
    let target = resolve(&repo, &args.commit)?;
    let txn = locate::begin(&repo, &session.ctx)?;
    txn.set_ref(&refspec, Some(target))?;
    locate::commit(txn, &session.ctx)?;
    Ok(())
}
