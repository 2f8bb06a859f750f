//! `remote gpg-import` and `remote gpg-list-keys`: the OpenPGP keys of a remote.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::Local;

use super::super::Common;
use super::remote_name;
use crate::cli::terminal::Session;
use crate::format::RemoteName;
use crate::host::{Machine, keyring_in, keyring_name};
use crate::repo::Repo;
use crate::sign::gpg::Keyring;

/// Arguments of `remote gpg-import`.
#[derive(clap::Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    common: Common,
    /// Files with keys
    #[arg(short, long = "keyring", value_name = "FILE", conflicts_with = "stdin")]
    keyrings: Vec<PathBuf>,
    /// Read keys from standard input
    #[arg(long)]
    stdin: bool,
    /// The remote
    name: String,
    /// The keys to import [default: all keys of the files]
    #[arg(value_name = "KEY-ID")]
    key_ids: Vec<String>,
}

/// Arguments of `remote gpg-list-keys`.
#[derive(clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    common: Common,
    /// The remote [default: the system]
    name: Option<String>,
}

pub(super) fn import(args: &ImportArgs, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let name = remote_name(&args.name)?;
    Machine::from_env().remote(&repo, &name)?;
    let mut keys = if args.keyrings.is_empty() && !args.stdin {
        Machine::from_env().secret_keys(None)?.public().clone()
    } else {
        Keyring::default()
    };
    if args.stdin {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes)?;
        keys.extend(Keyring::from_bytes(&bytes)?);
    }
    for file in &args.keyrings {
        keys.extend(Machine::from_env().keyring(file)?);
    }
    if !args.key_ids.is_empty() {
        keys = keys.select(&args.key_ids)?;
    }
    take(&repo, &name, keys, session)
}

/// The keys of a file that a new remote is to get.
pub(super) fn given(file: &Path) -> anyhow::Result<Keyring> {
    some(Machine::from_env().keyring(file)?)
}

fn some(keys: Keyring) -> anyhow::Result<Keyring> {
    anyhow::ensure!(!keys.is_empty(), "there is no key to be imported: what was given is empty");
    Ok(keys)
}

/// Adds keys to the keyring of a remote.
pub(super) fn take(
    repo: &Repo,
    name: &RemoteName,
    keys: Keyring,
    session: &mut Session,
) -> anyhow::Result<()> {
    let keys = some(keys)?;
    let file = keyring_name(name);
    let _lock = repo.lock_edits(&session.ctx)?;
    let mut keyring = keyring_in(repo, &file)?.unwrap_or_default();
    let imported = keyring.extend(keys);
    repo.replace_file(&file, &keyring.to_bytes()?)?;
    let s = if imported == 1 { "" } else { "s" };
    Ok(writeln!(session.out, "Imported {imported} GPG key{s} to remote \"{name}\"")?)
}

pub(super) fn list(args: &ListArgs, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let keyring = match &args.name {
        Some(name) => Machine::from_env().imported_keyring(&repo, &remote_name(name)?)?,
        None => Machine::from_env().system_keyring()?,
    };
    for cert in keyring.certs() {
        write!(session.out, "{}", cert.info(&keyring, SystemTime::now()).describe(&Local))?;
    }
    Ok(())
}
