//! `cat`: the content of files of a commit.

use std::io;

use anyhow::{Context, bail};

use super::{Common, resolve};
use crate::cli::terminal::Session;
use crate::format::{FileKind, RootDir};
use crate::repo::Repo;
use crate::store::{Error, ObjectRead, TreeEntry, load_commit, lookup};

/// Arguments of `cat`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The commit
    commit: String,
    /// Files in it
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
}

/// Links that are followed before a path is taken for a loop, as in the kernel.
const MAX_LINKS: usize = 40;

/// Prints the files one after another.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let root = load_commit(&repo, &resolve(&repo, &args.commit)?)?.root;
    for path in &args.paths {
        cat(&repo, root, path, session).with_context(|| path.clone())?;
    }
    Ok(())
}

fn cat(repo: &Repo, root: RootDir, path: &str, session: &mut Session) -> anyhow::Result<()> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let TreeEntry::File(id) = lookup(repo, root, &path)? else { bail!("Can't open directory") };
        let mut file = repo.open_file(&id)?.ok_or(Error::NotFound(id.into()))?;
        match &file.header.kind {
            FileKind::Regular => {
                io::copy(&mut file, session.out.data())?;
                return Ok(());
            }
            FileKind::Symlink(target) if target.starts_with('/') => path = target.to_string(),
            FileKind::Symlink(target) => {
                let parent = path.trim_end_matches('/').rsplit_once('/').map_or("", |(parent, _)| parent);
                path = format!("{parent}/{target}");
            }
        }
    }
    bail!("Too many levels of symbolic links")
}
