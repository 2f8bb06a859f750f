//! `remote …`: configures where commits come from, and asks remotes what they have.

mod add;
mod cookies;
mod keys;
mod listing;

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};

use super::Common;
use crate::cli::terminal::Session;
use crate::format::RemoteName;
use crate::host::{Machine, RemotePlace, keyring_name, remote_group};
use crate::repo::Repo;

pub(super) use add::add_if_missing;

/// The verbs below `remote`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Add a remote
    Add(Box<add::Args>),
    /// Delete a remote
    Delete(DeleteArgs),
    /// Print the URL of a remote
    ShowUrl(NameArgs),
    /// List remotes
    List(ListArgs),
    /// Add OpenPGP keys to the keyring of a remote
    GpgImport(keys::ImportArgs),
    /// List the OpenPGP keys of a remote
    GpgListKeys(keys::ListArgs),
    /// List the refs of a remote
    Refs(listing::RefsArgs),
    /// Print the summary of a remote
    Summary(listing::SummaryArgs),
    /// Send a cookie with requests to a remote
    AddCookie(cookies::AddArgs),
    /// Send a cookie no longer
    DeleteCookie(cookies::DeleteArgs),
    /// List the cookies of a remote
    ListCookies(cookies::ListArgs),
}

/// The sysroot whose remotes are meant.
#[derive(clap::Args)]
struct OfSysroot {
    /// Work on the repository of this sysroot; remotes of a deployment are files in its /etc/ostree/remotes.d
    #[arg(long = "sysroot", value_name = "PATH", value_hint = clap::ValueHint::DirPath)]
    path: Option<PathBuf>,
}

impl OfSysroot {
    /// Opens the repository; gives the directory for files of remotes, too, if there is one.
    fn open(&self, common: &Common) -> anyhow::Result<(Repo, Option<PathBuf>)> {
        let machine = Machine::from_env();
        let repo = match &self.path {
            Some(path) => machine.open_sysroot(path)?.into_repo(),
            None => common.open()?,
        };
        let dir = machine.remotes_dir(&repo, self.path.as_deref());
        Ok((repo, dir))
    }
}

/// Arguments of `remote delete`.
#[derive(clap::Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    sysroot: OfSysroot,
    /// Do nothing if there is no such remote
    #[arg(long)]
    if_exists: bool,
    /// The remote
    name: String,
}

/// Arguments of `remote show-url`.
#[derive(clap::Args)]
pub(crate) struct NameArgs {
    #[command(flatten)]
    common: Common,
    /// The remote
    name: String,
}

/// Arguments of `remote list`.
#[derive(clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    common: Common,
    /// Print URLs too
    #[arg(short = 'u', long)]
    show_urls: bool,
}

/// Does what the arguments ask for.
pub(crate) fn run(verb: &Verb, session: &mut Session) -> anyhow::Result<()> {
    match verb {
        Verb::Add(args) => add::add(args, session),
        Verb::Delete(args) => delete(args),
        Verb::List(args) => list(args, session),
        Verb::GpgImport(args) => keys::import(args, session),
        Verb::GpgListKeys(args) => keys::list(args, session),
        Verb::Refs(args) => listing::refs(args, session),
        Verb::Summary(args) => listing::summary(args, session),
        Verb::AddCookie(args) => cookies::add(args, session),
        Verb::DeleteCookie(args) => cookies::delete(args, session),
        Verb::ListCookies(args) => cookies::list(args, session),
        Verb::ShowUrl(args) => {
            let (repo, name) = (args.common.open()?, remote_name(&args.name)?);
            Ok(writeln!(session.out, "{}", Machine::from_env().remote(&repo, &name)?.url(&name)?)?)
        }
    }
}

fn remote_name(text: &str) -> anyhow::Result<RemoteName> {
    text.parse().with_context(|| format!("Invalid remote name {text}"))
}

fn delete(args: &DeleteArgs) -> anyhow::Result<()> {
    let (mut repo, dir) = args.sysroot.open(&args.common)?;
    let name = remote_name(&args.name)?;
    let remote = Machine::from_env().remotes_beside(&repo, dir.as_deref())?.remove(&name);
    let remote = match remote {
        None if args.if_exists => return Ok(()),
        remote => remote.ok_or_else(|| crate::host::Error::RemoteNotFound(name.clone()))?,
    };
    if matches!(remote.place, RemotePlace::Parent) {
        bail!("Remote \"{name}\" belongs to the parent repository");
    }
    // The keys go first: left behind, they would be trusted by the next remote of this name.
    repo.remove_file(&keyring_name(&name))?;
    if let RemotePlace::File(file) = remote.place {
        return fs::remove_file(&file).with_context(|| format!("Deleting {}", file.display()));
    }
    let group = remote_group(&name);
    Ok(repo.update_config(|config| {
        config.remove_group(&group);
        Ok(())
    })?)
}

fn list(args: &ListArgs, session: &mut Session) -> anyhow::Result<()> {
    let remotes = Machine::from_env().remotes(&args.common.open()?)?;
    let width = remotes.keys().map(|name| name.as_str().len()).max().unwrap_or(0);
    for (name, remote) in &remotes {
        if args.show_urls {
            writeln!(session.out, "{name:width$}  {}", remote.url(name)?)?;
        } else {
            writeln!(session.out, "{name}")?;
        }
    }
    Ok(())
}
