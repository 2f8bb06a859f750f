//! Which repository a command works on, and what is said when writing to it fails.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::causes::{kind, store_error};
use super::room::{Kept, Writing};
use crate::base::{Ctx, ErrorKind, fs};
use crate::host::Machine;
use crate::repo::{Repo, Transaction, TransactionStats};
use crate::{container, store};

/// Options of every verb that works on a repository.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct RepoOptions {
    /// Path to the repository [default: the current directory, $OSTREE_REPO, /sysroot/ostree/repo]
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::DirPath)]
    pub(crate) repo: Option<PathBuf>,
}

impl RepoOptions {
    /// Opens the repository.
    pub(crate) fn open(&self) -> anyhow::Result<Repo> {
        open(&self.path()?)
    }

    /// Where the repository is, or shall be.
    pub(crate) fn path(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.repo {
            return Ok(path.clone());
        }
        Machine::from_env().repo_path().context("Command requires a --repo argument")
    }
}

/// Opens the repository at `path`, and the one that it calls its parent.
pub(crate) fn open(path: &Path) -> anyhow::Result<Repo> {
    Ok(Machine::from_env().open_repo(path)?)
}

/// Begins a transaction; an error names the repository.
pub(crate) fn begin<'a>(repo: &'a Repo, ctx: &Ctx) -> anyhow::Result<Transaction<'a>> {
    repo.begin(ctx).map_err(|error| named(repo, error, Kept::Nothing))
}

/// Does `work` in a transaction of `repo` and ends it, as [`store::in_transaction`] does.
pub(crate) fn in_transaction<'r, T>(
    repo: &'r Repo,
    ctx: &Ctx,
    work: impl FnOnce(&Transaction<'r>) -> anyhow::Result<T>,
) -> anyhow::Result<(T, TransactionStats)> {
    let txn = begin(repo, ctx)?;
    match work(&txn) {
        Ok(done) => Ok((done, commit(txn, ctx)?)),
        Err(error) => Err(give_up(repo, txn, error)),
    }
}

/// Ends a transaction; an error names the repository if its file system is to blame.
pub(crate) fn commit(txn: Transaction<'_>, ctx: &Ctx) -> anyhow::Result<TransactionStats> {
    let repo = txn.repo();
    txn.commit(ctx).map_err(|error| match error {
        // What may not have reached the disk is not kept.
        store::Error::Io { op: "syncfs", .. } => named(repo, error, Kept::Nothing),
        store::Error::Io { .. } => named(repo, error, Kept::Objects),
        _ => error.into(),
    })
}

/// Ends a transaction whose work failed, as [`store::give_up`] does; gives the error back, with the name of a
/// repository that has no more room.
pub(crate) fn give_up(repo: &Repo, txn: Transaction<'_>, error: anyhow::Error) -> anyhow::Error {
    let kind = kind(&error);
    store::give_up(Box::new(txn), kind);
    if kind == ErrorKind::Exhausted { named(repo, error, Kept::Objects) } else { error }
}

/// What went wrong while an image came into a repository, which is named if it takes no more.
pub(crate) fn writing(repo: &Repo) -> impl FnOnce(container::image::Error) -> anyhow::Error {
    use store::Error::{Io, NoSpace};
    move |error| match error.store() {
        Some(Io { .. } | NoSpace { .. }) => named(repo, error, Kept::Objects),
        _ => error.into(),
    }
}

/// Says to which repository something could not be written, unless the error does by the path of a file in it.
fn named(repo: &Repo, error: impl Into<anyhow::Error>, kept: Kept) -> anyhow::Error {
    let (error, path) = (error.into(), fs::place(repo.dir(), "."));
    let file = error.chain().find_map(store_error).and_then(store::Error::path);
    let place = match file.is_some_and(|file| file.starts_with(&path)) {
        true => error.to_string(),
        false => format!("Repository {}", path.display()),
    };
    error.context(Writing { place, path: Some(path), kept })
}
